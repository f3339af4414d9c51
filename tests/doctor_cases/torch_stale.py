"""Programs that use a value from before the last update."""

import contextlib
import functools
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from doctor_cases.torch_case import Program, bad, sgd, trained


class Raw(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(3))


@bad("stale-attribute", "Kernel.cov", "self.cov = ")
def gram_matrix_in_init() -> Program:
    class Kernel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3))
            self.cov = torch.linalg.cholesky(torch.eye(3) + torch.outer(self.scale, self.scale))

        def forward(self, x: Any) -> Any:
            return self.cov @ x

    return trained(Kernel())


@bad("stale-attribute", "Gate.state.gate")
def inside_a_namespace() -> Program:
    class Gate(Raw):
        def __init__(self) -> None:
            super().__init__()
            self.state = SimpleNamespace(gate=torch.tanh(self.raw))

        def forward(self, x: Any) -> Any:
            return self.state.gate * x

    return trained(Gate())


@bad("stale-attribute", "Held.pair.low")
def inside_a_named_tuple() -> Program:
    class Pair(NamedTuple):
        low: Any
        high: Any

    class Held(Raw):
        def __init__(self) -> None:
            super().__init__()
            self.pair = Pair(self.raw - 1, 2.0)

        def forward(self, x: Any) -> Any:
            return self.pair.low * x

    return trained(Held())


@bad("stale-attribute", "Mixed.config.weights")
def inside_a_dataclass_with_slots() -> Program:
    @dataclass(slots=True)
    class Config:
        weights: Any

    class Mixed(Raw):
        def __init__(self) -> None:
            super().__init__()
            self.config = Config(F.softmax(self.raw, 0))

        def forward(self, x: Any) -> Any:
            return self.config.weights * x

    return trained(Mixed())


@bad("stale-attribute", "Late.w", "self.w = ")
def set_by_a_method_called_before_training() -> Program:
    class Late(Raw):
        def prepare(self) -> None:
            self.w = self.raw.exp()

        def forward(self, x: Any) -> Any:
            return self.w * x

    model = Late()
    model.prepare()
    return trained(model)


@bad("stale-cache", "Training.w")
def set_when_the_mode_changes() -> Program:
    class Training(Raw):
        def train(self, mode: bool = True) -> "Training":
            if mode:
                self.w = -self.raw
            return super().train(mode)

        def forward(self, x: Any) -> Any:
            return self.w * x

    model = Training()
    model.train()
    return trained(model)


@bad("stale-closure", "Layer.scaled.keywords['weight']")
def partial_of_a_function() -> Program:
    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.v = nn.Parameter(torch.ones(3, 3))
            self.scaled = functools.partial(F.linear, weight=self.v / self.v.norm())

        def forward(self, x: Any) -> Any:
            return self.scaled(x)

    return trained(Layer())


@bad("stale-closure", "hook")
def forward_hook_with_a_gain() -> Program:
    class Body(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.raw = nn.Parameter(torch.zeros(3))
            gain = self.raw.exp()
            self.lin = nn.Linear(3, 3)
            self.lin.register_forward_hook(lambda module, given, result: result * gain)

        def forward(self, x: Any) -> Any:
            return self.lin(x)

    return trained(Body())


@bad("stale-closure", "Defaults.act")
def default_argument() -> Program:
    class Defaults(Raw):
        def __init__(self) -> None:
            super().__init__()

            def act(x: Any, scale: Any = F.softplus(self.raw)) -> Any:  # noqa: B008
                return x * scale

            self.act = act

        def forward(self, x: Any) -> Any:
            return self.act(x)

    return trained(Defaults())


@bad("stale-cache", "memory")
def memory_of_a_decorator() -> Program:
    def remembered(function: Any) -> Any:
        memory: dict[int, Any] = {}

        @functools.wraps(function)
        def call(self: Any) -> Any:
            if id(self) not in memory:
                memory[id(self)] = function(self)
            return memory[id(self)]

        return call

    class Model(Raw):
        @remembered
        def scale(self) -> Any:
            return self.raw.exp()

        def forward(self, x: Any) -> Any:
            return self.scale() * x

    return trained(Model())


@bad("stale-cache", "lru_cache")
def bounded_lru_cache_of_a_function() -> Program:
    model = Raw()

    class Using(nn.Module):
        @staticmethod
        @functools.lru_cache(maxsize=2)
        def table(size: int) -> Any:
            return model.raw * size

        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, x: Any) -> Any:
            return self.table(3) * x

    return trained(Using())


@bad("stale-cache", "Shared.tables['w']")
def class_wide_dict() -> Program:
    class Shared(Raw):
        tables: dict[str, Any] = {}  # noqa: RUF012

        def forward(self, x: Any) -> Any:
            if "w" not in self.tables:
                self.tables["w"] = self.raw.sigmoid()
            return self.tables["w"] * x

    return trained(Shared())


@bad("stale-cache", "Lazy._w")
def lazy_property() -> Program:
    class Lazy(Raw):
        _w: Any = None

        @property
        def w(self) -> Any:
            if self._w is None:
                self._w = torch.stack([self.raw, self.raw])
            return self._w

        def forward(self, x: Any) -> Any:
            return (self.w * x).sum(0)

    return trained(Lazy())


@bad("stale-cache", "Versioned._w")
def cache_by_version_under_a_fused_optimizer() -> Program:
    class Versioned(Raw):
        def __init__(self) -> None:
            super().__init__()
            self._w = None

        def forward(self, x: Any) -> Any:
            if self._w is None or self._w[0] != self.raw._version:
                self._w = (self.raw._version, self.raw + 1)
            return self._w[1] * x

    model = Versioned()
    return trained(model, torch.optim.Adam(model.parameters(), lr=0.1, fused=True))


@bad("stale-buffer", "Averaged.mean")
def buffer_of_a_submodule() -> Program:
    class Averaged(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lin = nn.Linear(3, 3)
            self.register_buffer("mean", self.lin.weight.mean(0), persistent=False)

        def forward(self, x: Any) -> Any:
            return self.lin(x) - self.mean

    return trained(Averaged())


@bad("stale-attribute", "Bare.w")
def functional_use_past_the_hook() -> Program:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lin = nn.Linear(3, 3, bias=False)
            self.w = self.lin.weight * 2

        def forward(self, x: Any) -> Any:
            return F.linear(x, self.w)

    return trained(Bare())


@bad("stale-loop-invariant", "weights")
def clones_for_functional_call() -> Program:
    model = nn.Linear(3, 3)
    optimizer = sgd(model)

    def step() -> None:
        weights = {name: p.clone() for name, p in model.named_parameters()}
        for _ in range(2):
            optimizer.zero_grad()
            torch.func.functional_call(model, weights, torch.ones(3)).sum().backward()
            optimizer.step()

    return model, [optimizer], step


@bad("stale-loop-invariant", "penalty")
def penalty_before_the_loop() -> Program:
    model = Raw()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    penalty = model.raw.abs().sum() + 1

    def step() -> None:
        optimizer.zero_grad()
        loss = (model.raw * 2).sum() + penalty
        loss.backward(retain_graph=True)
        optimizer.step()

    return model, [optimizer], step


@bad("stale-loop-invariant", "reuse")
def second_update_on_one_rollout() -> Program:
    policy, optimizer = nn.Linear(3, 2), None
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.1)

    def step() -> None:
        reuse = torch.log_softmax(policy(torch.ones(4, 3)), -1)
        for weight in (1.0, 0.5):
            optimizer.zero_grad()
            (-reuse[:, 0] * weight).mean().backward(retain_graph=True)
            optimizer.step()

    return policy, [optimizer], step


@bad("stale-loop-invariant", "score")
def discriminator_scored_before_its_step() -> Program:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.make, self.judge = nn.Linear(3, 3), nn.Linear(3, 1)

    pair = Pair()
    first, second = sgd(pair.make), sgd(pair.judge)

    def step() -> None:
        fake = pair.make(torch.ones(2, 3))
        score = pair.judge(fake)
        second.zero_grad()
        pair.judge(fake.detach()).mean().backward()
        second.step()
        first.zero_grad()
        score.mean().backward()
        first.step()

    return pair, [first, second], step


@bad("stale-loop-invariant", "x")
def moved_by_hand_under_no_grad() -> Program:
    model = Raw()

    def step() -> None:
        x = model.raw + 1.0
        for _ in range(3):
            model.raw.grad = None
            (x - 3).pow(2).sum().backward(retain_graph=True)
            with torch.no_grad():
                model.raw -= 0.1 * model.raw.grad

    return model, [], step


@bad("stale-loop-invariant", "x")
def moved_by_hand_through_data() -> Program:
    model = Raw()

    def step() -> None:
        x = model.raw.sigmoid()
        for _ in range(3):
            model.raw.grad = None
            x.sum().backward(retain_graph=True)
            model.raw.data.sub_(0.1 * model.raw.grad)

    return model, [], step


@bad("stale-loop-invariant", "prior")
def outside_of_an_lbfgs_closure() -> Program:
    model = Raw()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=4)

    def step() -> None:
        prior = (model.raw + 2).pow(2).sum()

        def closure() -> Any:
            optimizer.zero_grad()
            loss = (model.raw - 1).pow(2).sum() + prior
            loss.backward(retain_graph=True)
            return loss

        with contextlib.suppress(RuntimeError):
            optimizer.step(closure)

    return model, [optimizer], step


@bad("stale-cache", "parametrize.cached")
def cached_parametrization_around_two_steps() -> Program:
    class Positive(nn.Module):
        def forward(self, x: Any) -> Any:
            return x + 1

    model = nn.Linear(3, 3)
    parametrize.register_parametrization(model, "weight", Positive())
    optimizer = sgd(model)

    def step() -> None:
        with parametrize.cached():
            for _ in range(2):
                optimizer.zero_grad()
                model(torch.ones(3)).sum().backward()
                optimizer.step()

    return model, [optimizer], step


@bad("stale-attribute", "Plain.scale")
def model_that_is_no_module() -> Program:
    class Plain:
        def __init__(self) -> None:
            self.raw = torch.zeros(3, requires_grad=True)
            self.scale = self.raw.exp()

    model = Plain()
    optimizer = torch.optim.SGD([model.raw], lr=0.1)

    def step() -> None:
        optimizer.zero_grad()
        (model.scale * 2).sum().backward()
        optimizer.step()

    return model, [optimizer], step
