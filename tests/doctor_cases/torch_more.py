"""Further programs with a mistake, written after the doctor had found the others."""

import functools
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from doctor_cases.torch_case import Program, bad, sgd, trained
from doctor_cases.torch_clean import Scaled
from doctor_cases.torch_stale import Raw

TABLES: dict[str, Any] = {}


@bad("stale-attribute", "Outer.block.w")
def given_to_a_submodule() -> Program:
    class Block(nn.Module):
        def __init__(self, w: Any) -> None:
            super().__init__()
            self.w = w

        def forward(self, x: Any) -> Any:
            return self.w * x

    class Outer(Raw):
        def __init__(self) -> None:
            super().__init__()
            self.block = Block(self.raw.exp())

        def forward(self, x: Any) -> Any:
            return self.block(x)

    return trained(Outer())


@bad("stale-global", "TABLES['w']")
def table_of_the_file() -> Program:
    TABLES.clear()

    class Model(Raw):
        def forward(self, x: Any) -> Any:
            if "w" not in TABLES:
                TABLES["w"] = self.raw.exp()
            return TABLES["w"] * x

    return trained(Model())


@bad("carried-state", "Recurrent.hidden")
def pair_of_states_in_an_attribute() -> Program:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.LSTMCell(3, 4)
            self.hidden: Any = None

        def forward(self, x: Any) -> Any:
            self.hidden = self.cell(x[None], self.hidden)
            return self.hidden[0]

    return trained(Recurrent())


@bad("carried-state", "total")
def losses_added_up_over_the_steps() -> Program:
    model = Scaled()
    optimizer = sgd(model)
    kept = SimpleNamespace(total=0.0)

    def step() -> None:
        kept.total = kept.total + (model(torch.ones(3)) - 1).pow(2).sum()
        optimizer.zero_grad()
        kept.total.backward()
        optimizer.step()

    return model, [optimizer], step


@bad("carried-state", "memory")
def replay_of_states_with_their_graphs() -> Program:
    model = nn.Linear(3, 3)
    optimizer = sgd(model)
    memory: list[Any] = [torch.ones(3)]

    def step() -> None:
        state = torch.tanh(model(memory[-1]))
        memory.append(state)
        optimizer.zero_grad()
        state.sum().backward(retain_graph=True)
        optimizer.step()

    return model, [optimizer], step


@bad("graph-growth", "stats")
def running_mean_in_a_dict() -> Program:
    model = Scaled()
    optimizer = sgd(model)
    stats: dict[str, Any] = {"mean": torch.zeros(())}

    def step() -> None:
        loss = (model(torch.ones(3)) - 1).pow(2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        stats["mean"] = 0.9 * stats["mean"] + 0.1 * loss

    return model, [optimizer], step


@bad("graph-growth", "Model.average")
def averages_of_the_parameters_with_their_graphs() -> Program:
    class Model(Raw):
        def __init__(self) -> None:
            super().__init__()
            self.average = [torch.zeros(3)]

        def forward(self, x: Any) -> Any:
            self.average = [0.9 * a + 0.1 * p for a, p in zip(self.average, self.parameters(), strict=True)]
            return self.raw * x

    return trained(Model())


@bad("severed-gradient", "Gate.forward")
def compared_with_a_threshold() -> Program:
    class Gate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lin, self.threshold = nn.Linear(3, 3), nn.Parameter(torch.zeros(3))

        def forward(self, x: Any) -> Any:
            h = self.lin(x)
            return h * (h > self.threshold).float()

    return trained(Gate())


@bad("severed-gradient", "Copied.forward")
def copied_by_torch_tensor() -> Program:
    class Copied(Raw):
        def __init__(self) -> None:
            super().__init__()
            self.lin = nn.Linear(3, 3)

        def forward(self, x: Any) -> Any:
            return self.lin(x) + torch.tensor(self.raw.tolist())

    return trained(Copied())


@bad("severed-gradient", "forward")
def functional_call_on_the_state_dict() -> Program:
    model = nn.Linear(3, 3)
    scale = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([*model.parameters(), scale], lr=0.1)

    def step() -> None:
        optimizer.zero_grad()
        (scale * torch.func.functional_call(model, model.state_dict(), torch.ones(3))).sum().backward()
        optimizer.step()

    return model, [optimizer], step


@bad("severed-gradient", "Linear.forward")
def weights_through_data() -> Program:
    class Linear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.v, self.b = nn.Parameter(torch.ones(3, 3)), nn.Parameter(torch.zeros(3))

        def forward(self, x: Any) -> Any:
            return F.linear(x, self.v.data / self.v.data.norm(), self.b)

    return trained(Linear())


@bad("severed-gradient", "forward")
def loss_without_gradients() -> Program:
    model = Scaled()
    optimizer = sgd(model)

    def step() -> None:
        optimizer.zero_grad()
        with torch.no_grad():
            loss = (model(torch.ones(3)) - 1).pow(2).sum()
        loss.requires_grad_()
        loss.backward()
        optimizer.step()

    return model, [optimizer], step


@bad("stale-optimizer", "original")
def norm_attached_after_the_optimizer() -> Program:
    model = nn.Linear(3, 3, bias=False)
    optimizer = sgd(model)
    parametrizations.weight_norm(model)
    return trained(model, optimizer)


@bad("stale-optimizer", "Scaled.raw")
def optimizer_of_the_state_dict() -> Program:
    model = Scaled()
    return trained(model, torch.optim.SGD(model.state_dict().values(), lr=0.1))


@bad("stale-optimizer", "Scaled.raw")
def optimizer_of_detached_copies() -> Program:
    model = Scaled()
    copies = [p.detach().clone().requires_grad_() for p in model.parameters()]
    return trained(model, torch.optim.Adam(copies, lr=0.1))


@bad("unregistered-parameter", "Scaling.w")
def multiplied_leaf() -> Program:
    class Scaling(Raw):
        def __init__(self) -> None:
            super().__init__()
            self.w = torch.ones(3, requires_grad=True).double() * 0.1

        def forward(self, x: Any) -> Any:
            return self.raw * x + self.w

    return trained(Scaling())


@bad("unregistered-parameter", "Named.ws['a']")
def parameters_in_a_plain_dict() -> Program:
    class Named(Raw):
        def __init__(self) -> None:
            super().__init__()
            self.ws = {"a": nn.Parameter(torch.ones(3))}

        def forward(self, x: Any) -> Any:
            return self.raw * x + self.ws["a"]

    return trained(Named())


@bad("inplace-on-leaf", "Rows.w")
def row_written_in_the_forward() -> Program:
    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(3))

        def forward(self, x: Any) -> Any:
            self.w[0] = 0.0
            return self.w * x

    return trained(Rows())


@bad("stale-loop-invariant", "criterion")
def criterion_with_a_target_of_the_model() -> Program:
    model = nn.Linear(3, 3)
    optimizer = sgd(model)
    criterion = functools.partial(F.mse_loss, target=model.weight.sum(0) * 2)

    def step() -> None:
        optimizer.zero_grad()
        criterion(model(torch.ones(3))).backward(retain_graph=True)
        optimizer.step()

    return model, [optimizer], step


@bad("stale-attribute", "Compiled.w")
def under_torch_compile() -> Program:
    class Compiled(Raw):
        def __init__(self) -> None:
            super().__init__()
            self.w = self.raw + 1

        def forward(self, x: Any) -> Any:
            return self.w * x

    model = Compiled()
    optimizer = sgd(model)

    def step() -> None:
        for _ in range(2):
            optimizer.zero_grad()
            model(torch.ones(3)).sum().backward(create_graph=True)
            optimizer.step()

    return model, [optimizer], step


@bad("severed-gradient", "Rounded.forward")
def rounded_without_a_slope() -> Program:
    class Rounded(Raw):
        def __init__(self) -> None:
            super().__init__()
            self.b = nn.Parameter(torch.ones(3))

        def forward(self, x: Any) -> Any:
            return torch.round(self.raw * 10) / 10 * x + self.b

    return trained(Rounded())


@bad("severed-gradient", "Custom.forward")
def function_that_returns_no_gradient() -> Program:
    class Scale(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, scale: Any) -> Any:
            ctx.save_for_backward(scale)
            return x * scale

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * ctx.saved_tensors[0], None

    class Custom(Raw):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3))

        def forward(self, x: Any) -> Any:
            return Scale.apply(self.raw * x, self.scale)

    return trained(Custom())


@bad("stale-optimizer", "Thawed.body")
def thawed_without_the_optimizer() -> Program:
    class Thawed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Linear(3, 3).requires_grad_(False), nn.Linear(3, 1)
            self.calls = 0

        def forward(self, x: Any) -> Any:
            self.calls += 1
            if self.calls == 3:
                self.body.requires_grad_(True)
            return self.head(self.body(x))

    model = Thawed()
    return trained(model, torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1))
