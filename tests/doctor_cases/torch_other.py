"""Programs with other mistakes: states carried on, graphs that grow, ways that are cut, optimizers of something else."""

import copy
from typing import Any

import torch
from torch import nn

from doctor_cases.torch_case import Program, bad, sgd, trained
from doctor_cases.torch_stale import Raw


@bad("carried-state", "hidden")
def hidden_state_in_the_loop() -> Program:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.out = nn.LSTM(3, 4), nn.Linear(4, 1)

    model = Recurrent()
    optimizer = sgd(model)

    def step() -> None:
        hidden = (torch.zeros(1, 1, 4), torch.zeros(1, 1, 4))
        for _ in range(3):
            seen, hidden = model.cell(torch.ones(2, 1, 3), hidden)
            optimizer.zero_grad()
            model.out(seen).mean().backward()
            optimizer.step()

    return model, [optimizer], step


@bad("carried-state", "Memory.bank", "self.bank[")
def memory_bank_that_is_written_with_its_graph() -> Program:
    class Memory(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lin = nn.Linear(3, 3)
            self.bank = {"key": torch.zeros(3)}

        def forward(self, x: Any) -> Any:
            new = torch.tanh(self.lin(x)) + 0.5 * self.bank["key"].exp()
            self.bank["key"] = new
            return new

    return trained(Memory())


@bad("carried-state", "previous")
def target_of_the_step_before() -> Program:
    model = nn.Linear(3, 1)
    optimizer = sgd(model)
    state: dict[str, Any] = {"previous": torch.zeros(1)}

    def step() -> None:
        value = model(torch.ones(3))
        optimizer.zero_grad()
        (value - state["previous"]).pow(2).mean().backward()
        optimizer.step()
        state["previous"] = value

    return model, [optimizer], step


@bad("graph-growth", "losses")
def list_of_losses() -> Program:
    model = Raw()
    optimizer = sgd(model)
    losses: list[Any] = []

    def step() -> None:
        optimizer.zero_grad()
        loss = (model.raw - 1).pow(2).sum()
        loss.backward()
        optimizer.step()
        losses.append(loss)

    return model, [optimizer], step


@bad("graph-growth", "Meter.total")
def meter_that_keeps_graphs() -> Program:
    class Meter:
        def __init__(self) -> None:
            self.total: Any = 0.0

        def update(self, value: Any) -> None:
            self.total = self.total + value

    model, meter = Raw(), Meter()
    optimizer = sgd(model)

    def step() -> None:
        optimizer.zero_grad()
        loss = (model.raw - 1).pow(2).sum()
        loss.backward()
        optimizer.step()
        meter.update(loss)

    return model, [optimizer], step


@bad("graph-growth", "Stats.seen")
def outputs_kept_by_the_module() -> Program:
    class Stats(Raw):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[Any] = []

        def forward(self, x: Any) -> Any:
            result = self.raw * x
            self.seen.append(result)
            return result

    return trained(Stats())


@bad("severed-gradient", "Numpy.forward")
def through_numpy() -> Program:
    class Numpy(Raw):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(3))

        def forward(self, x: Any) -> Any:
            return torch.from_numpy(self.raw.detach().numpy() + 1) * self.w * x

    return trained(Numpy())


@bad("severed-gradient", "Encoder.forward")
def encoder_output_detached() -> Program:
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enc, self.head = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x: Any) -> Any:
            h = torch.relu(self.enc(x)).detach()
            return self.head(h)

    return trained(Encoder())


@bad("severed-gradient", "Wrapped.forward")
def parameter_made_anew_in_forward() -> Program:
    class Wrapped(Raw):
        def __init__(self) -> None:
            super().__init__()
            self.b = nn.Parameter(torch.zeros(3))

        def forward(self, x: Any) -> Any:
            w = nn.Parameter(torch.exp(self.raw))
            return w * x + self.b

    return trained(Wrapped())


@bad("severed-gradient", "Inference.forward")
def helper_without_gradients() -> Program:
    class Inference(Raw):
        def __init__(self) -> None:
            super().__init__()
            self.b = nn.Parameter(torch.zeros(3))

        def scale(self) -> Any:
            with torch.no_grad():
                return torch.exp(self.raw)

        def forward(self, x: Any) -> Any:
            return self.scale() * x + self.b

    return trained(Inference())


@bad("severed-gradient", "Float.forward")
def temperature_as_a_float() -> Program:
    class Float(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.temperature = nn.Parameter(torch.tensor(2.0))
            self.lin = nn.Linear(3, 3)

        def forward(self, x: Any) -> Any:
            return self.lin(x) / self.temperature.item()

    return trained(Float())


@bad("stale-optimizer", "Raw.raw")
def loaded_by_assignment_after_the_optimizer() -> Program:
    model = Raw()
    optimizer = sgd(model)
    model.load_state_dict({"raw": torch.ones(3)}, assign=True)
    model.raw.requires_grad_()

    def step() -> None:
        optimizer.zero_grad()
        model.raw.pow(2).sum().backward()
        optimizer.step()

    return model, [optimizer], step


@bad("stale-optimizer", "Head.out")
def new_head_after_the_optimizer() -> Program:
    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(3, 5)

        def forward(self, x: Any) -> Any:
            return self.out(x)

    model = Head()
    optimizer = sgd(model)
    model.out = nn.Linear(3, 2)
    return trained(model, optimizer)


@bad("stale-optimizer", "raw")
def optimizer_of_the_copied_model() -> Program:
    class Model(Raw):
        def forward(self, x: Any) -> Any:
            return self.raw * x

    first = Model()
    optimizer = sgd(first)
    return trained(copy.deepcopy(first), optimizer)


@bad("stale-optimizer", "Lazy.extra")
def parameter_added_by_the_first_forward() -> Program:
    class Lazy(Raw):
        def forward(self, x: Any) -> Any:
            if "extra" not in self._parameters:
                self.extra = nn.Parameter(torch.zeros(3))
            return self.raw * x + self.extra

    return trained(Lazy())


@bad("unregistered-parameter", "Listed.ws[0]")
def parameters_in_a_plain_list() -> Program:
    class Listed(Raw):
        def __init__(self) -> None:
            super().__init__()
            self.ws = [nn.Parameter(torch.ones(3)) for _ in range(2)]

        def forward(self, x: Any) -> Any:
            return self.raw * x + self.ws[0] * self.ws[1]

    return trained(Listed())


@bad("unregistered-parameter", "Hidden.layers[0].weight")
def layers_in_a_plain_list() -> Program:
    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = [nn.Linear(3, 3)]
            self.last = nn.Linear(3, 3)

        def forward(self, x: Any) -> Any:
            for layer in self.layers:
                x = layer(x)
            return self.last(x)

    return trained(Hidden())


@bad("unregistered-parameter", "Moved.w")
def parameter_moved_while_it_is_made() -> Program:
    class Moved(Raw):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(3)) * 0.1

        def forward(self, x: Any) -> Any:
            return self.raw * x + self.w

    return trained(Moved())


@bad("unregistered-parameter", "Leaf.w")
def tensor_that_requires_grad() -> Program:
    class Leaf(Raw):
        def __init__(self) -> None:
            super().__init__()
            self.w = torch.ones(3, requires_grad=True)

        def forward(self, x: Any) -> Any:
            return self.raw * x + self.w

    return trained(Leaf())


@bad("fragile-view", "Rows.first")
def row_of_a_weight() -> Program:
    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(2, 3))
            self.first, self.second = self.w.unbind(0)

        def forward(self, x: Any) -> Any:
            return self.first * x

    return trained(Rows())


@bad("inplace-on-leaf", "Clipped.w")
def clipped_in_the_forward() -> Program:
    class Clipped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(3))

        def forward(self, x: Any) -> Any:
            self.w.mul_(0.9)
            return self.w * x

    return trained(Clipped())


@bad("retain-graph-mask", "Frozen.w")
def retained_under_a_fused_optimizer() -> Program:
    class Frozen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.v = nn.Parameter(torch.ones(3))
            self.w = self.v.log1p()

        def forward(self, x: Any) -> Any:
            return self.w * x

    model = Frozen()
    return trained(model, torch.optim.AdamW(model.parameters(), lr=0.1, fused=True), retain_graph=True)
