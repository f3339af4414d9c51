"""A second round, written after the first had been mended and before this one was run."""

MORE_BAD = {
    "tuple_unpacked_in_the_constructor": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(6))
        self.shift, self.scale = torch.sigmoid(self.raw).chunk(2)  # HERE stale-attribute

    def forward(self, x):
        return self.shift + self.scale * x
""",
    "plain_helper_object": """
class Settings:
    def __init__(self, scale):
        self.scale = scale

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(6))
        self.settings = Settings(torch.exp(self.raw))  # HERE? stale-attribute

    def forward(self, x):
        return self.settings.scale * x
""",
    "built_by_a_method_that_returns": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.tri = nn.Parameter(torch.randn(3, 3))
        self.cov = self._covariance()  # HERE stale-attribute

    def _covariance(self):
        lower = torch.tril(self.tri)
        return lower @ lower.mT + 1e-4 * torch.eye(3)

    def forward(self, x):
        return x @ self.cov
""",
    "under_a_condition": """
class Net(nn.Module):
    def __init__(self, bounded=True):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(6))
        if bounded:
            self.x = torch.sigmoid(self.raw)  # HERE stale-attribute
        else:
            self.x = self.raw

    def forward(self, inp):
        return self.x * inp
""",
    "read_from_outside_alone": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(6))
        self.x = 2 * torch.sigmoid(self.raw) - 1  # HERE stale-attribute

def loss_of(net, y):
    return F.mse_loss(net.x, y)
""",
    "einsum_of_two_layers": """
class Low(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 2, bias=False)
        self.b = nn.Linear(2, 4, bias=False)
        self.merged = torch.einsum("ij,jk->ik", self.b.weight, self.a.weight)  # HERE stale-attribute

    def forward(self, x):
        return F.linear(x, self.merged)
""",
    "lightning_module": """
import pytorch_lightning as pl

class Lit(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.log_sigma = nn.Parameter(torch.zeros(()))
        self.sigma = self.log_sigma.exp()  # HERE stale-attribute

    def training_step(self, batch, index):
        x, y = batch
        return ((x - y) ** 2 / self.sigma).mean()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())
""",
    "sequential_of_a_list_comprehension": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(3, 3) for _ in range(4))
        self.norms = [b.weight.norm() for b in self.blocks]  # HERE stale-attribute

    def forward(self, x):
        for block, norm in zip(self.blocks, self.norms):
            x = block(x) / norm
        return x
""",
    "setattr_by_name": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(6))
        setattr(self, "gain", F.softplus(self.raw))  # HERE stale-attribute

    def forward(self, x):
        return x * self.gain
""",
    "cached_in_dunder_dict": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(6))

    @property
    def gain(self):
        if "_gain" not in self.__dict__:
            self.__dict__["_gain"] = F.softplus(self.raw)  # HERE stale-cache
        return self.__dict__["_gain"]

    def forward(self, x):
        return x * self.gain
""",
    "getattr_with_default": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(6))

    def gain(self):
        kept = getattr(self, "_kept", None)
        if kept is None:
            kept = self.raw.softmax(0)
            self._kept = kept  # HERE? stale-cache
        return kept

    def forward(self, x):
        return x * self.gain()
""",
    "tuple_of_key_and_value": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(6))
        self._memo = (None, None)

    def forward(self, x):
        key = x.device
        if self._memo[0] != key:
            self._memo = (key, torch.exp(self.raw).to(x.device))  # HERE? stale-cache
        return x * self._memo[1]
""",
    "memo_of_another_method": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(6))
        self.memo = {}

    def _fill(self, name):
        self.memo[name] = torch.exp(self.raw)  # HERE? stale-cache

    def forward(self, x):
        if "w" not in self.memo:
            self._fill("w")
        return x * self.memo["w"]
""",
    "first_step_flag_in_the_loop": """
def train(net, loader):
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    reference = None
    for x, y in loader:
        out = net(x)
        if reference is None:
            reference = out  # HERE? stale-loop-invariant
        loss = F.mse_loss(out, y) + F.mse_loss(out, reference)
        opt.zero_grad()
        loss.backward()
        opt.step()
""",
    "periodic_refresh": """
def train(gen, data):
    opt = torch.optim.SGD(gen.parameters(), lr=0.1)
    for i, x in enumerate(data):
        if i % 10 == 0:
            codes = gen(x)  # HERE? stale-loop-invariant
        loss = codes.pow(2).mean()
        opt.zero_grad()
        loss.backward(retain_graph=True)
        opt.step()
""",
    "previous_loss_added": """
def train(net, loader):
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    loss = 0
    for x, y in loader:
        loss = 0.5 * loss + F.mse_loss(net(x), y)  # HERE carried-state
        opt.zero_grad()
        loss.backward()
        opt.step()
""",
    "states_in_a_list": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.cells = nn.ModuleList([nn.GRUCell(3, 3) for _ in range(2)])
        self.hidden = [torch.zeros(1, 3), torch.zeros(1, 3)]

    def forward(self, x):
        for i, cell in enumerate(self.cells):
            self.hidden[i] = cell(x, self.hidden[i])  # HERE? carried-state
            x = self.hidden[i]
        return x
""",
    "outputs_collected_in_forward": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(3, 3)
        self.seen = []

    def forward(self, x):
        y = self.lin(x)
        self.seen.append(y.norm())  # HERE graph-growth
        return y
""",
    "global_list_of_losses": """
HISTORY = []

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(3, 3)

    def forward(self, x):
        return self.lin(x)

def step(net, opt, x):
    opt.zero_grad()
    loss = net(x).pow(2).mean()
    loss.backward()
    opt.step()
    HISTORY.append(loss)  # HERE graph-growth
""",
    "layer_added_after_the_optimizer": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(3, 3)

    def forward(self, x):
        return self.extra(self.body(x))

def make():
    net = Net()
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    net.extra = nn.Linear(3, 1)  # HERE stale-optimizer
    return net, opt
""",
    "weight_norm_after_the_optimizer": """
def make():
    net = nn.Linear(3, 3)
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    nn.utils.weight_norm(net)  # HERE stale-optimizer
    return net, opt
""",
    "copy_is_trained": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(3))

    def forward(self, x):
        return (self.w * x).sum()

def train(data):
    net = Net()
    opt = torch.optim.SGD(net.parameters(), lr=0.1)  # HERE stale-optimizer
    best = copy.deepcopy(net)
    for x in data:
        opt.zero_grad()
        best(x).backward()
        opt.step()
""",
    "softmax_given_to_the_optimizer": """
def make():
    raw = nn.Parameter(torch.zeros(3))
    weights = torch.softmax(raw, 0)
    return raw, torch.optim.Adam([weights], lr=0.1)  # HERE stale-optimizer
""",
    "tensor_of_a_list_of_parameters": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.zeros(()))
        self.b = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        matrix = torch.tensor([[torch.cos(self.a), -torch.sin(self.a)], [self.b, 1.0]])  # HERE severed-gradient
        return x @ matrix + self.b * 0
""",
    "data_in_a_property": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(3))
        self.lin = nn.Linear(3, 3)

    @property
    def scale(self):
        return self.raw.data.exp()  # HERE severed-gradient

    def forward(self, x):
        return self.lin(x) * self.scale
""",
    "assignment_into_a_leaf": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(3))

    def forward(self, x):
        self.w[0] = 0.0  # HERE inplace-on-leaf
        return x * self.w
""",
    "uniform_on_a_parameter": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.empty(3))
        self.w.uniform_(-0.1, 0.1)  # HERE inplace-on-leaf

    def forward(self, x):
        return x * self.w
""",
    "cached_parametrization_in_fit": """
import torch.nn.utils.parametrize as parametrize

def fit(net, loader, epochs):
    opt = torch.optim.Adam(net.parameters())
    with parametrize.cached():  # HERE stale-cache
        for _ in range(epochs):
            for x, y in loader:
                loss = F.mse_loss(net(x), y)
                opt.zero_grad()
                loss.backward()
                opt.step()
""",
    "dict_of_layers": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.shared = nn.Linear(3, 3)
        self.heads = {name: nn.Linear(3, 1) for name in ("a", "b")}  # HERE unregistered-parameter

    def forward(self, x, name):
        return self.heads[name](self.shared(x))
""",
}

MORE_CLEAN = {
    "trainer_that_detaches_in_a_helper": """
def repackage(h):
    if isinstance(h, torch.Tensor):
        return h.detach()
    return tuple(repackage(v) for v in h)

def train(data):
    rnn = nn.LSTM(4, 4)
    opt = torch.optim.SGD(rnn.parameters(), lr=0.1)
    state = (torch.zeros(1, 1, 4), torch.zeros(1, 1, 4))
    for x in data:
        state = repackage(state)
        y, state = rnn(x, state)
        opt.zero_grad()
        y.mean().backward()
        opt.step()
""",
    "kept_for_inference_only": """
class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(3, 3)
        self.past = None

    @torch.no_grad()
    def generate(self, x):
        y = self.lin(x)
        self.past = y if self.past is None else torch.cat([self.past, y])
        return self.past

    def forward(self, x):
        return self.lin(x)
""",
    "attention_maps_for_inspection": """
class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q = nn.Linear(3, 3)
        self.attn = None

    def forward(self, x):
        self.attn = torch.softmax(self.q(x) @ x.mT, -1)
        return self.attn @ x
""",
    "auxiliary_loss_read_after_forward": """
class Experts(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(3, 4)
        self.experts = nn.ModuleList([nn.Linear(3, 3) for _ in range(4)])
        self.balance = 0.0

    def forward(self, x):
        weights = torch.softmax(self.gate(x), -1)
        self.balance = weights.mean(0).pow(2).sum()
        return sum(weights[..., i : i + 1] * e(x) for i, e in enumerate(self.experts))

    def extra_loss(self):
        return 0.1 * self.balance

def train(loader):
    net = Experts()
    opt = torch.optim.Adam(net.parameters())
    for x, y in loader:
        loss = F.mse_loss(net(x), y) + net.extra_loss()
        opt.zero_grad()
        loss.backward()
        opt.step()
""",
    "losses_list_cleared_by_the_loop": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(3, 3)
        self.extra = []

    def forward(self, x):
        y = self.lin(x)
        self.extra.append(y.norm())
        return y

def train(net: Net, loader):
    opt = torch.optim.Adam(net.parameters())
    for x, y in loader:
        net.extra.clear()
        loss = F.mse_loss(net(x), y) + sum(net.extra)
        opt.zero_grad()
        loss.backward()
        opt.step()
""",
    "frozen_scale": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(3))
        self.raw.requires_grad = False
        self.scale = self.raw.exp()
        self.w = nn.Parameter(torch.ones(3))

    def forward(self, x):
        return x * self.w * self.scale
""",
    "anchor_of_the_start": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(3, 3)
        self.start = {n: p.detach().clone() for n, p in self.lin.named_parameters()}

    def penalty(self):
        return sum((p - self.start[n]).pow(2).sum() for n, p in self.lin.named_parameters())

    def forward(self, x):
        return self.lin(x)
""",
    "weights_tied_by_reference": """
class Model(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.embed = nn.Embedding(n, 8)
        self.out = nn.Linear(8, n, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, x):
        return self.out(self.embed(x))
""",
    "scheduler_and_clipping": """
def train(net, loader):
    opt = torch.optim.AdamW(net.parameters(), lr=1e-3)
    sched = torch.optim.lr_scheduler.StepLR(opt, 10)
    best = float("inf")
    for epoch in range(3):
        running = 0.0
        for x, y in loader:
            loss = F.cross_entropy(net(x), y)
            opt.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            opt.step()
            running += loss.item() * len(x)
        sched.step()
        if running < best:
            best = running
            torch.save(net.state_dict(), "best.pt")
""",
    "accumulation_over_micro_batches": """
def train(net, loader):
    opt = torch.optim.AdamW(net.parameters(), lr=1e-3)
    for i, (x, y) in enumerate(loader):
        loss = F.cross_entropy(net(x), y) / 4
        loss.backward()
        if (i + 1) % 4 == 0:
            opt.step()
            opt.zero_grad()
""",
    "actor_and_critic": """
def update(actor, critic, opt_a, opt_c, batch):
    value = critic(batch.state)
    advantage = batch.reward - value
    loss_c = advantage.pow(2).mean()
    opt_c.zero_grad()
    loss_c.backward()
    opt_c.step()
    loss_a = -(actor(batch.state).log_prob(batch.action) * advantage.detach()).mean()
    opt_a.zero_grad()
    loss_a.backward()
    opt_a.step()
""",
    "two_optimizers_one_model": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(3, 3)
        self.temp = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.body(x) / self.temp.exp()

def train(loader):
    net = Net()
    first = torch.optim.SGD(net.body.parameters(), lr=0.1)
    second = torch.optim.SGD([net.temp], lr=0.01)
    for x, y in loader:
        loss = F.mse_loss(net(x), y)
        first.zero_grad()
        second.zero_grad()
        loss.backward()
        first.step()
        second.step()
""",
    "ema_of_the_weights": """
class Ema:
    def __init__(self, net, decay=0.99):
        self.decay = decay
        self.shadow = {n: p.data.clone() for n, p in net.named_parameters()}

    def update(self, net):
        for n, p in net.named_parameters():
            self.shadow[n].mul_(self.decay).add_(p.data, alpha=1 - self.decay)
""",
    "gumbel_temperature_number": """
class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(4))
        self.temperature = 1.0

    def anneal(self):
        self.temperature *= 0.9

    def forward(self, x):
        gate = F.gumbel_softmax(self.logits, tau=self.temperature)
        hard = int(self.logits.argmax())
        self.last = hard
        return x * gate
""",
    "truncated_backpropagation": """
def train(net: nn.GRUCell, data):
    cell = nn.GRUCell(4, 4)
    opt = torch.optim.SGD(cell.parameters(), lr=0.1)
    h = torch.zeros(1, 4)
    for chunk in data:
        h = h.detach()
        loss = 0.0
        for x in chunk:
            h = cell(x, h)
            loss = loss + h.pow(2).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
""",
    "spectral_power_iteration": """
class Spectral(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 3))
        self.register_buffer("u", torch.randn(3))

    def forward(self, x):
        with torch.no_grad():
            v = F.normalize(self.weight.t() @ self.u, dim=0)
            self.u.copy_(F.normalize(self.weight @ v, dim=0))
        sigma = torch.dot(self.u, self.weight @ v)
        return F.linear(x, self.weight / sigma)
""",
    "property_setter": """
class Kernel(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(()))

    @property
    def lengthscale(self):
        return F.softplus(self.raw)

    @lengthscale.setter
    def lengthscale(self, value):
        with torch.no_grad():
            self.raw.copy_(torch.log(torch.expm1(value)))

    def forward(self, a, b):
        return torch.exp(-((a - b) / self.lengthscale) ** 2)
""",
    "inverse_direction_for_sampling": """
class Affine(nn.Module):
    def __init__(self):
        super().__init__()
        self.log_s = nn.Parameter(torch.zeros(2))
        self.initialised = False

    def forward(self, x):
        if not self.initialised:
            with torch.no_grad():
                self.log_s.copy_(-x.std(0).log())
            self.initialised = True
        return x * self.log_s.exp(), self.log_s.sum()
""",
}

MORE_CLEAN["buffers_by_class"] = """
class Router(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(3, 3)
        self.bias = nn.Buffer(torch.zeros(3))
        self.bias[-1] = -1.0
        self.table = None

    def forward(self, x):
        if self.table is None:
            self.table = torch.cos(self.bias)
        return self.lin(x) + self.bias.detach() * self.table
"""

MORE_CLEAN["encoder_under_no_grad"] = """
class Snake(nn.Module):
    def __init__(self):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(3))

    def forward(self, x):
        return x + torch.sin(self.alpha * x) / self.alpha

class Probe(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(Snake(), nn.Linear(3, 3))
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        with torch.no_grad():
            features = self.encoder(x)
        return self.head(features)
"""
