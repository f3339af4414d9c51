"""Programs that look like those of lint_bad and are right: nothing may be said of them."""

CLEAN = {
    "renewed_in_forward": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(3))
        self.scale = self.raw.exp()

    def forward(self, x):
        self.scale = self.raw.exp()
        return x * self.scale
""",
    "helper_called_by_forward_too": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(3))
        self.refresh()

    def refresh(self):
        self.scale = self.raw.exp()

    def forward(self, x):
        self.refresh()
        return x * self.scale
""",
    "refresh_called_by_the_loop": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(3))
        self.refresh()

    def refresh(self):
        self.scale = self.raw.exp()

    def forward(self, x):
        return x * self.scale

def train(net: Net, data):
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    for x in data:
        net.refresh()
        opt.zero_grad()
        net(x).sum().backward()
        opt.step()
""",
    "shapes_and_sizes": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(4, 3))
        self.rows, self.cols = self.w.shape
        self.count = self.w.numel()
        self.where = self.w.device
        self.zero = torch.zeros_like(self.w)
        self.fan = 1 / math.sqrt(self.w.size(1))
        self.extra = self.w.new_ones(3)

    def forward(self, x):
        return x @ self.w * self.fan + self.zero
""",
    "init_scheme_with_data": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(3, 3)
        self.gate = nn.Linear(3, 3)
        self.lin.weight.data.mul_(0.1)
        self.gate.weight.data.copy_(self.lin.weight.data)
        nn.init.xavier_uniform_(self.lin.weight)
        with torch.no_grad():
            self.gate.bias.fill_(1.0)
            self.start = self.lin.weight.clone()

    def forward(self, x):
        return self.lin(x) * torch.sigmoid(self.gate(x))
""",
    "target_network": """
class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.online = nn.Linear(3, 3)
        self.target = copy.deepcopy(self.online)
        for p in self.target.parameters():
            p.requires_grad_(False)

    @torch.no_grad()
    def update(self, tau=0.01):
        for p, q in zip(self.online.parameters(), self.target.parameters()):
            q.mul_(1 - tau).add_(tau * p)

    def forward(self, x):
        with torch.no_grad():
            goal = self.target(x)
        return F.mse_loss(self.online(x), goal)
""",
    "codebook_by_moving_average": """
class Quantizer(nn.Module):
    def __init__(self):
        super().__init__()
        self.codes = nn.Parameter(torch.randn(8, 3))

    def forward(self, z):
        with torch.no_grad():
            index = torch.cdist(z, self.codes).argmin(1)
        picked = self.codes[index]
        loss = F.mse_loss(picked, z.detach()) + F.mse_loss(z, picked.detach())
        return z + (picked - z).detach(), loss
""",
    "cache_cleared_after_each_step": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(3))
        self._cache = None

    def value(self):
        if self._cache is None:
            self._cache = self.raw.exp()
        return self._cache

    def invalidate(self):
        self._cache = None

    def forward(self, x):
        return x * self.value() + self.value()

def train(net: Net, data):
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    for x in data:
        opt.zero_grad()
        net(x).sum().backward()
        opt.step()
        net.invalidate()
""",
    "cache_in_eval_alone": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(3))
        self._cache = None

    def value(self):
        if self.training:
            return self.raw.exp()
        if self._cache is None:
            self._cache = self.raw.exp()
        return self._cache

    def train(self, mode=True):
        self._cache = None
        return super().train(mode)

    def forward(self, x):
        return x * self.value()
""",
    "cache_keyed_by_version": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(3))
        self._memo = {}

    def value(self):
        key = self.raw._version
        if key not in self._memo:
            self._memo = {key: self.raw.exp()}
        return self._memo[key]

    def forward(self, x):
        return x * self.value()
""",
    "cache_of_constants": """
class Positions(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.lin = nn.Linear(d, d)
        self._table = None

    def table(self, n):
        if self._table is None or self._table.shape[0] < n:
            at = torch.arange(n)[:, None] * torch.exp(-torch.arange(8))
            self._table = torch.cat([at.sin(), at.cos()], -1)
        return self._table[:n]

    def forward(self, x):
        return self.lin(x + self.table(x.shape[1]))
""",
    "mask_cache_of_attention": """
class Attention(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.qkv = nn.Linear(d, 3 * d)
        self.mask = None

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        if self.mask is None or self.mask.size(0) != x.size(1):
            self.mask = torch.triu(torch.full((x.size(1), x.size(1)), float("-inf"), device=x.device), 1)
        return torch.softmax(q @ k.transpose(1, 2) + self.mask, -1) @ v
""",
    "lru_cache_of_constants": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(3))

    @staticmethod
    @functools.lru_cache
    def window(n):
        return torch.hann_window(n)

    def forward(self, x):
        return x * self.w * self.window(3)
""",
    "hidden_state_detached_in_the_loop": """
def train(data):
    rnn = nn.LSTM(4, 4)
    head = nn.Linear(4, 1)
    opt = torch.optim.SGD([*rnn.parameters(), *head.parameters()], lr=0.1)
    state = (torch.zeros(1, 1, 4), torch.zeros(1, 1, 4))
    for x in data:
        state = tuple(s.detach() for s in state)
        y, state = rnn(x, state)
        loss = head(y).pow(2).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
""",
    "hidden_state_within_one_sequence": """
def train(sequences):
    cell = nn.GRUCell(4, 4)
    opt = torch.optim.SGD(cell.parameters(), lr=0.1)
    for sequence in sequences:
        h = torch.zeros(1, 4)
        loss = 0
        for x in sequence:
            h = cell(x, h)
            loss = loss + h.pow(2).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
""",
    "spiking_state_reset_per_batch": """
class Spiking(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.mem = None

    def reset(self):
        self.mem = None

    def forward(self, x):
        now = self.fc(x)
        self.mem = now if self.mem is None else 0.9 * self.mem + now
        return self.mem

def train(loader):
    net = Spiking()
    opt = torch.optim.Adam(net.parameters())
    for x, y in loader:
        net.reset()
        for _ in range(5):
            out = net(x)
        loss = F.mse_loss(out, y)
        opt.zero_grad()
        loss.backward()
        opt.step()
""",
    "state_detached_by_the_trainer": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.RNNCell(3, 3)
        self.h = torch.zeros(1, 3)

    def forward(self, x):
        self.h = self.cell(x, self.h)
        return self.h

def train(data):
    net = Net()
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    for x in data:
        loss = net(x).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        net.h = net.h.detach()
""",
    "running_statistics": """
class Norm(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(d))
        self.register_buffer("mean", torch.zeros(d))
        self.register_buffer("steps", torch.tensor(0))

    def forward(self, x):
        if self.training:
            with torch.no_grad():
                self.mean.mul_(0.9).add_(0.1 * x.mean(0))
            self.steps += 1
        return (x - self.mean) * self.gain
""",
    "losses_as_numbers": """
def fit(net, loader):
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    history, total = [], 0.0
    for x, y in loader:
        opt.zero_grad()
        loss = F.mse_loss(net(x), y)
        loss.backward()
        opt.step()
        history.append(loss.item())
        total += float(loss.detach())
    return history, total
""",
    "losses_stacked_then_one_backward": """
def fit(net, batches):
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    for tasks in batches:
        losses = []
        for x, y in tasks:
            losses.append(F.mse_loss(net(x), y))
        opt.zero_grad()
        torch.stack(losses).mean().backward()
        opt.step()
""",
    "two_losses_of_one_forward": """
def fit(net, data):
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    for x in data:
        y = net(x)
        opt.zero_grad()
        y.mean().backward(retain_graph=True)
        y.pow(2).mean().backward()
        opt.step()
""",
    "features_of_a_frozen_encoder": """
def fit(steps):
    encoder = nn.Linear(3, 8).requires_grad_(False)
    head = nn.Linear(8, 1)
    opt = torch.optim.Adam(head.parameters())
    features = encoder(torch.randn(10, 3))
    for _ in range(steps):
        opt.zero_grad()
        head(features).mean().backward()
        opt.step()
""",
    "features_under_no_grad": """
def fit(steps):
    encoder, head = nn.Linear(3, 8), nn.Linear(8, 1)
    opt = torch.optim.Adam(head.parameters())
    with torch.no_grad():
        features = encoder(torch.randn(10, 3))
    for _ in range(steps):
        opt.zero_grad()
        head(features).mean().backward()
        opt.step()
""",
    "gan_with_detached_fake": """
def step(gen, disc, opt_g, opt_d, real, noise):
    fake = gen(noise)
    opt_d.zero_grad()
    (disc(fake.detach()).mean() - disc(real).mean()).backward()
    opt_d.step()
    opt_g.zero_grad()
    (-disc(fake).mean()).backward()
    opt_g.step()
""",
    "gan_with_optimizers_made_here": """
def train(data):
    gen, disc = nn.Linear(2, 3), nn.Linear(3, 1)
    opt_g = torch.optim.Adam(gen.parameters())
    opt_d = torch.optim.Adam(disc.parameters())
    for real in data:
        fake = gen(torch.randn(4, 2))
        opt_d.zero_grad()
        (disc(fake.detach()).mean() - disc(real).mean()).backward()
        opt_d.step()
        opt_g.zero_grad()
        (-disc(fake).mean()).backward()
        opt_g.step()
""",
    "clipping_as_it_should_be": """
def train(net, data):
    opt = torch.optim.RMSprop(net.parameters(), lr=1e-4)
    for x in data:
        opt.zero_grad()
        net(x).mean().backward()
        opt.step()
        for p in net.parameters():
            p.data.clamp_(-0.01, 0.01)
        with torch.no_grad():
            for p in net.parameters():
                p.mul_(0.999)
""",
    "manual_descent": """
def train(data):
    w = torch.zeros(3, requires_grad=True)
    for x in data:
        loss = (w * x).pow(2).sum()
        loss.backward()
        with torch.no_grad():
            w -= 0.1 * w.grad
            w.grad.zero_()
    return w
""",
    "head_replaced_before_the_optimizer": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 10)

    def forward(self, x):
        return self.head(self.body(x))

def make(classes):
    net = Net()
    net.head = nn.Linear(4, classes)
    opt = torch.optim.AdamW(net.parameters(), lr=1e-3)
    return net, opt
""",
    "head_replaced_and_added": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 10)

    def forward(self, x):
        return self.head(self.body(x))

def make(classes):
    net = Net()
    opt = torch.optim.AdamW(net.parameters(), lr=1e-3)
    net.head = nn.Linear(4, classes)
    opt.add_param_group({"params": net.head.parameters()})
    return net, opt
""",
    "parameters_in_a_list_and_registered": """
class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.coefs = []
        for i in range(n):
            p = nn.Parameter(torch.zeros(3))
            self.register_parameter(f"coef_{i}", p)
            self.coefs.append(p)
        self.blocks = nn.ModuleList([nn.Linear(3, 3) for _ in range(n)])
        self.order = [self.blocks[0], self.blocks[1]]

    def forward(self, x):
        return sum(c * b(x) for c, b in zip(self.coefs, self.blocks))
""",
    "lambda_over_the_parameter": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(3))
        self.act = lambda x: F.softplus(self.raw) * x

    def forward(self, x):
        return self.act(x)
""",
    "distribution_of_parameters_themselves": """
class Flow(nn.Module):
    def __init__(self):
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(2))
        self.log_scale = nn.Parameter(torch.zeros(2))
        self.register_buffer("zero", torch.zeros(2))
        self.base = Normal(torch.zeros(2), torch.ones(2))

    def forward(self, x):
        z = (x - self.loc) * torch.exp(-self.log_scale)
        return self.base.log_prob(z).sum(-1) - self.log_scale.sum()
""",
    "straight_through_and_logging": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.threshold = nn.Parameter(torch.tensor(0.5))
        self.log = {}

    def forward(self, x):
        soft = torch.sigmoid(x - self.threshold)
        hard = (soft > 0.5).float()
        self.log["threshold"] = self.threshold.item()
        self.log["mean"] = soft.detach().mean()
        return hard + soft - soft.detach()
""",
    "closure_of_lbfgs": """
def fit(net, x, y):
    opt = torch.optim.LBFGS(net.parameters())

    def closure():
        opt.zero_grad()
        loss = F.mse_loss(net(x), y)
        loss.backward()
        return loss

    for _ in range(5):
        opt.step(closure)
""",
    "autocast_per_step": """
def train(net, loader):
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.cuda.amp.GradScaler()
    for x, y in loader:
        opt.zero_grad()
        with torch.autocast("cuda"):
            loss = F.mse_loss(net(x), y)
        scaler.scale(loss).backward()
        scaler.step(opt)
        scaler.update()
""",
    "autocast_without_a_cache": """
def train(net, loader):
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    with torch.autocast("cuda", cache_enabled=False):
        for x, y in loader:
            opt.zero_grad()
            F.mse_loss(net(x), y).backward()
            opt.step()
""",
    "hook_renews": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(3))
        self.scale = self.raw.exp()
        self.register_forward_pre_hook(lambda module, args: module.renew())

    def renew(self):
        self.scale = self.raw.exp()

    def forward(self, x):
        return x * self.scale
""",
    "deepcopy_and_own_optimizer": """
def meta(net, tasks):
    outer = torch.optim.SGD(net.parameters(), lr=0.1)
    for x, y in tasks:
        fast = copy.deepcopy(net)
        inner = torch.optim.SGD(fast.parameters(), lr=0.01)
        loss = F.mse_loss(fast(x), y)
        inner.zero_grad()
        loss.backward()
        inner.step()
        outer.zero_grad()
        F.mse_loss(net(x), y).backward()
        outer.step()
""",
    "optional_parameter": """
class Norm(nn.Module):
    def __init__(self, d, affine=True, learnable=False):
        super().__init__()
        if affine:
            self.weight = nn.Parameter(torch.ones(d))
        else:
            self.register_parameter("weight", None)
        beta = torch.log(torch.ones(d))
        if learnable:
            self.beta = nn.Parameter(beta)
        else:
            self.register_buffer("beta", beta)

    def forward(self, x):
        return x if self.weight is None else x * self.weight + self.beta
""",
}
