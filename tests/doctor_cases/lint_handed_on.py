"""Right programs whose values are renewed by methods that are handed on, drawn without a graph, or kept for one mode."""

HANDED_ON = {
    "hook-of-the-class": """
class Filter(nn.Module):
    def __init__(self):
        super().__init__()
        self.width_raw = nn.Parameter(torch.zeros(()))
        self.taps = None
        self.register_forward_pre_hook(type(self).prepare)

    def prepare(self, args=None):
        self.taps = F.softplus(self.width_raw) * torch.arange(3.0)

    def forward(self, x):
        return x * self.taps


model = Filter()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(5):
    optimizer.zero_grad()
    model(torch.ones(3)).sum().backward()
    optimizer.step()
""",
    "cleared-by-the-optimizer": """
class Filter(nn.Module):
    def __init__(self):
        super().__init__()
        self.width_raw = nn.Parameter(torch.zeros(()))
        self._taps = None

    def forget(self, *_):
        self._taps = None

    def forward(self, x):
        if self._taps is None:
            self._taps = F.softplus(self.width_raw) * torch.arange(3.0)
        return x * self._taps


def train():
    model = Filter()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.register_step_post_hook(model.forget)
    for _ in range(5):
        optimizer.zero_grad()
        model(torch.ones(3)).sum().backward()
        optimizer.step()
""",
    "drawn-without-a-graph": """
class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(4))

    def moves(self):
        return torch.distributions.Categorical(logits=self.logits)


def train(model, optimizer, reward):
    move = model.moves().sample((16,))
    for _ in range(3):
        loss = -(model.moves().log_prob(move) * reward(move)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


policy = Policy()
train(policy, torch.optim.Adam(policy.parameters()), lambda move: move.float())
""",
    "merged-for-evaluation": """
class Adapter(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.merged = None

    def train(self, mode=True):
        super().train(mode)
        with torch.no_grad():
            self.merged = None if mode else torch.diag(self.scale)
        return self

    def forward(self, x):
        return x * self.scale if self.merged is None else x @ self.merged


def step(model, optimizer):
    model.train()
    optimizer.zero_grad()
    model(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    model.eval()


adapter = Adapter()
step(adapter, torch.optim.SGD(adapter.parameters(), lr=0.1))
""",
}
