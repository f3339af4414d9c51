"""Programs with a stale graph, for the lint alone: source by name, the line marked by `# HERE`, the kind behind it."""

TORCH = """
import copy
import functools
import math
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.distributions import Normal
"""

BAD = {
    "constructor_calls_a_free_function": """
def squash(t):
    return torch.tanh(t) * 2

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(4))
        self.gain = squash(self.theta)  # HERE stale-attribute

    def forward(self, x):
        return x * self.gain
""",
    "local_then_attribute": """
class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        weight = nn.Parameter(torch.randn(n))
        self.weight = weight
        normed = weight / weight.norm()  # HERE stale-attribute
        self.unit = normed

    def forward(self, x):
        return x @ self.unit
""",
    "dict_of_derived": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.ParameterDict({"a": nn.Parameter(torch.zeros(2)), "b": nn.Parameter(torch.ones(2))})
        self.scales = {k: v.exp() for k, v in self.raw.items()}  # HERE stale-attribute

    def forward(self, x):
        return x * self.scales["a"] + self.scales["b"]
""",
    "register_parameter_by_name": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_parameter("rho", nn.Parameter(torch.full((2,), -3.0)))
        self.sigma = torch.log1p(torch.exp(self.rho))  # HERE stale-attribute

    def forward(self, x):
        return x + self.sigma * torch.randn_like(x)
""",
    "base_class_derives": """
class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.log_std = nn.Parameter(torch.zeros(2))
        self.prepare()

    def prepare(self):
        pass

class Child(Base):
    def prepare(self):
        self.std = self.log_std.exp()  # HERE stale-attribute

    def forward(self, x):
        return x / self.std
""",
    "submodule_weight_normalised_once": """
class Head(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.proj = nn.Linear(dim, dim)
        self.unit_weight = F.normalize(self.proj.weight, dim=1)  # HERE stale-attribute

    def forward(self, x):
        return F.linear(x, self.unit_weight, self.proj.bias)
""",
    "class_prototypes_from_embedding": """
class Classifier(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.embed = nn.Embedding(classes, 8)
        self.prototypes = self.embed(torch.arange(classes)).tanh()  # HERE stale-attribute

    def forward(self, x):
        return x @ self.prototypes.t()
""",
    "partial_keeps_the_value": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(1))
        slope = F.softplus(self.raw)  # HERE stale-closure
        self.act = functools.partial(torch.mul, slope)

    def forward(self, x):
        return self.act(x)
""",
    "inner_def_keeps_the_value": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(3))
        shift = self.raw.cumsum(0)  # HERE stale-closure

        def shifted(x):
            return x + shift

        self.shifted = shifted

    def forward(self, x):
        return self.shifted(x)
""",
    "prior_of_a_vae": """
class VAE(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.enc = nn.Linear(d, d)
        self.prior_log_scale = nn.Parameter(torch.zeros(d))
        self.prior = Normal(torch.zeros(d), self.prior_log_scale.exp())  # HERE stale-attribute

    def forward(self, x):
        z = self.enc(x)
        return z, self.prior.log_prob(z).sum()
""",
    "weighted_cross_entropy": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(5))
        self.net = nn.Linear(4, 5)
        self.loss = nn.CrossEntropyLoss(weight=torch.softmax(self.logits, 0))  # HERE stale-buffer

    def forward(self, x, y):
        return self.loss(self.net(x), y)
""",
    "buffer_persistent_false": """
class Blur(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.log_width = nn.Parameter(torch.zeros(()))
        grid = torch.arange(size) - size // 2
        kernel = torch.exp(-(grid ** 2) / torch.exp(self.log_width))
        self.register_buffer("kernel", kernel / kernel.sum(), persistent=False)  # HERE? stale-buffer

    def forward(self, x):
        return F.conv1d(x, self.kernel[None, None])
""",
    "early_return_cache": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.eye(3))
        self._cov = None

    def cov(self):
        if self._cov is not None:
            return self._cov
        self._cov = self.factor @ self.factor.t()  # HERE stale-cache
        return self._cov

    def forward(self, x):
        return x @ self.cov()
""",
    "hasattr_cache": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(3))

    def forward(self, x):
        if not hasattr(self, "weights"):
            self.weights = torch.softmax(self.raw, 0)  # HERE stale-cache
        return x * self.weights
""",
    "try_except_cache": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(3))

    def weights(self):
        try:
            return self._weights
        except AttributeError:
            self._weights = torch.softmax(self.raw, 0)  # HERE stale-cache
            return self._weights

    def forward(self, x):
        return x * self.weights()
""",
    "cache_by_length": """
class Rotary(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.inv_freq = nn.Parameter(torch.ones(dim))
        self.seen = 0
        self.cos = None

    def forward(self, x):
        n = x.shape[1]
        if self.cos is None or n != self.seen:
            self.seen = n
            self.cos = torch.outer(torch.arange(n), self.inv_freq).cos()  # HERE stale-cache
        return x * self.cos
""",
    "flag_never_raised_again": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(3))
        self.ready = False

    def forward(self, x):
        if not self.ready:
            self.w = self.raw.exp()  # HERE stale-cache
            self.ready = True
        return x * self.w
""",
    "global_dict_cache": """
_TABLES = {}

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(3))

    def forward(self, x):
        n = x.shape[0]
        if n not in _TABLES:
            _TABLES[n] = self.raw.sigmoid().repeat(n, 1)  # HERE stale-cache
        return x * _TABLES[n]
""",
    "dict_get_cache": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(3))
        self.memo = {}

    def forward(self, x):
        w = self.memo.get("w")
        if w is None:
            w = torch.sigmoid(self.raw)
            self.memo["w"] = w  # HERE stale-cache
        return x * w
""",
    "lru_cache_free_function": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(3))

@functools.lru_cache  # HERE stale-cache
def table(net):
    return torch.cumsum(net.raw, 0)

def train(steps):
    net = Net()
    opt = torch.optim.Adam(net.parameters())
    for _ in range(steps):
        opt.zero_grad()
        loss = table(net).pow(2).sum()
        loss.backward()
        opt.step()
""",
    "hidden_state_in_the_loop": """
def train(model: nn.LSTM, data):
    rnn = nn.RNNCell(4, 4)
    head = nn.Linear(4, 1)
    opt = torch.optim.SGD([*rnn.parameters(), *head.parameters()], lr=0.1)
    h = torch.zeros(1, 4)
    for x in data:
        h = rnn(x, h)  # HERE carried-state
        loss = head(h).pow(2).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
""",
    "previous_output_in_the_loss": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(2, 2)
        self.last = None

    def forward(self, x):
        y = self.lin(x)
        smooth = 0 if self.last is None else (y - self.last).pow(2).mean()
        self.last = y  # HERE carried-state
        return y, smooth
""",
    "momentum_buffer_with_graph": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(2, 2)
        self.register_buffer("mean", torch.zeros(2))

    def forward(self, x):
        y = self.lin(x)
        self.mean = 0.9 * self.mean + 0.1 * y.mean(0)  # HERE carried-state
        return y - self.mean
""",
    "features_before_the_loop": """
def fit(steps):
    net = nn.Sequential(nn.Linear(3, 8), nn.ReLU())
    head = nn.Linear(8, 1)
    opt = torch.optim.Adam(list(net.parameters()) + list(head.parameters()), lr=1e-3)
    features = net(torch.randn(10, 3))  # HERE stale-loop-invariant
    for _ in range(steps):
        opt.zero_grad()
        loss = head(features).mean()
        loss.backward()
        opt.step()
""",
    "penalty_before_the_epochs": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(3))

    def forward(self, x):
        return self.w * x

def main(loader):
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    penalty = sum(p.pow(2).sum() for p in net.parameters())  # HERE stale-loop-invariant
    for epoch in range(10):
        for x, y in loader:
            optimizer.zero_grad()
            loss = F.mse_loss(net(x), y) + 0.1 * penalty
            loss.backward()
            optimizer.step()
""",
    "losses_collected_alive": """
def fit(net, loader):
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    history = []
    for x, y in loader:
        opt.zero_grad()
        loss = F.mse_loss(net(x), y)
        loss.backward()
        opt.step()
        history.append(loss)  # HERE graph-growth
    return history
""",
    "running_average_of_the_loss": """
def fit(net, loader):
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    average = 0.0
    for x, y in loader:
        opt.zero_grad()
        loss = F.mse_loss(net(x), y)
        loss.backward()
        opt.step()
        average = 0.99 * average + 0.01 * loss  # HERE graph-growth
    print(average)
""",
    "detached_in_the_middle": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.temp = nn.Parameter(torch.ones(()))
        self.lin = nn.Linear(3, 3)

    def forward(self, x):
        t = self.temp.detach().exp()  # HERE severed-gradient
        return self.lin(x) / t
""",
    "float_of_a_parameter": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.alpha = nn.Parameter(torch.tensor(0.3))
        self.lin = nn.Linear(3, 3)

    def forward(self, x):
        return F.leaky_relu(self.lin(x), negative_slope=float(self.alpha))  # HERE severed-gradient
""",
    "through_numpy": """
import numpy as np

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.coef = nn.Parameter(torch.zeros(3))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        basis = torch.from_numpy(np.polyval(self.coef.detach().numpy(), x.numpy()))  # HERE? severed-gradient
        return basis + self.bias
""",
    "helper_under_no_grad": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(3))
        self.bias = nn.Parameter(torch.zeros(3))

    def scale(self):
        with torch.no_grad():
            return F.softplus(self.raw)  # HERE severed-gradient

    def forward(self, x):
        return x * self.scale() + self.bias
""",
    "list_of_parameters": """
class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(3))
        self.coefs = [nn.Parameter(torch.zeros(3)) for _ in range(n)]  # HERE unregistered-parameter

    def forward(self, x):
        return sum(c * x for c in self.coefs) + self.w
""",
    "list_of_layers": """
class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.layers = []  # HERE? unregistered-parameter
        for _ in range(n):
            self.layers.append(nn.Linear(3, 3))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x
""",
    "parameter_cuda": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(2, 2)
        self.scale = nn.Parameter(torch.ones(2)).cuda()  # HERE unregistered-parameter

    def forward(self, x):
        return self.lin(x) * self.scale
""",
    "plain_leaf": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(2, 2)
        self.scale = torch.ones(2, requires_grad=True)  # HERE unregistered-parameter

    def forward(self, x):
        return self.lin(x) * self.scale
""",
    "head_replaced": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 4)
        self.head = nn.Linear(4, 10)

    def forward(self, x):
        return self.head(self.body(x))

def make(classes):
    net = Net()
    opt = torch.optim.AdamW(net.parameters(), lr=1e-3)
    net.head = nn.Linear(4, classes)  # HERE stale-optimizer
    return net, opt
""",
    "optimizer_of_another_copy": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(3))

    def forward(self, x):
        return (self.w * x).sum()

def train(data):
    net = Net()
    opt = torch.optim.SGD(Net().parameters(), lr=0.1)  # HERE stale-optimizer
    for x in data:
        opt.zero_grad()
        net(x).backward()
        opt.step()
""",
    "in_place_multiplication": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(3))

    def forward(self, x):
        self.w *= 0.99  # HERE inplace-on-leaf
        return x * self.w
""",
    "weight_clipping_after_the_step": """
def train(net, data):
    opt = torch.optim.RMSprop(net.parameters(), lr=1e-4)
    for x in data:
        opt.zero_grad()
        net(x).mean().backward()
        opt.step()
        for p in net.parameters():
            p.clamp_(-0.01, 0.01)  # HERE inplace-on-leaf
""",
    "retain_graph_in_a_trainer": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(2))
        self.mix = torch.softmax(self.raw, 0)  # HERE stale-attribute

    def forward(self, a, b):
        return self.mix[0] * a + self.mix[1] * b

def train(loader):
    net = Net()
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    for a, b, y in loader:
        opt.zero_grad()
        loss = F.mse_loss(net(a, b), y)
        loss.backward(retain_graph=True)
        opt.step()
""",
    "autocast_around_epochs": """
def train(net, loader):
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    with torch.amp.autocast("cuda", dtype=torch.float16):  # HERE stale-cache
        for epoch in range(3):
            for x, y in loader:
                opt.zero_grad()
                F.mse_loss(net(x), y).backward()
                opt.step()
""",
    "transposed_weight": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(3, 4))
        self.flipped = self.w.transpose(0, 1)  # HERE fragile-view

    def forward(self, x):
        return x @ self.flipped
""",
}
