"""Programs without a mistake, second part: teachers and targets, tools of torch and of isoparam, and unusual owners."""

import copy
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel
from torch.utils.checkpoint import checkpoint

import isoparam as iso
from doctor_cases.torch_case import Program, clean, sgd, trained
from doctor_cases.torch_clean import Scaled
from doctor_cases.torch_stale import Raw
from isoparam.torch import Constrained, attach


@clean
def averaged_model() -> Program:
    model = Scaled()
    average, optimizer = AveragedModel(model), sgd(model)

    def step() -> None:
        optimizer.zero_grad()
        (model(torch.ones(3)) - 1).pow(2).sum().backward()
        optimizer.step()
        average.update_parameters(model)

    return model, [optimizer], step


@clean
def teacher_that_follows_slowly() -> Program:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.student = nn.Linear(3, 2)
            self.teacher = copy.deepcopy(self.student).requires_grad_(False)

        def forward(self, x: Any) -> Any:
            with torch.no_grad():
                target = self.teacher(x)
                for p, q in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
                    p.lerp_(q, 0.1)
            return self.student(x) - target

    return trained(Pair())


@clean
def target_network_of_q_learning() -> Program:
    online = nn.Linear(3, 2)
    target, optimizer = copy.deepcopy(online), sgd(online)

    def step() -> None:
        with torch.no_grad():
            goal = 1 + 0.9 * target(torch.ones(3)).max()
        optimizer.zero_grad()
        F.smooth_l1_loss(online(torch.ones(3))[0], goal).backward()
        optimizer.step()
        target.load_state_dict(online.state_dict())

    return online, [optimizer], step


@clean
def critic_and_actor_that_share_nothing() -> Program:
    model = nn.ModuleDict({"actor": nn.Linear(3, 2), "critic": nn.Linear(5, 1)})
    actor, critic = torch.optim.Adam(model["actor"].parameters()), torch.optim.Adam(model["critic"].parameters())

    def step() -> None:
        x = torch.ones(4, 3)
        action = model["actor"](x)
        critic.zero_grad()
        model["critic"](torch.cat([x, action.detach()], 1)).pow(2).mean().backward()
        critic.step()
        actor.zero_grad()
        (-model["critic"](torch.cat([x, action], 1)).mean()).backward()
        actor.step()

    return model, [actor, critic], step


@clean
def codebook_moved_by_averages() -> Program:
    class Quantized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enc, self.codes = nn.Linear(3, 3), nn.Parameter(torch.randn(4, 3))

        def forward(self, x: Any) -> Any:
            z = self.enc(x)
            code = self.codes[torch.cdist(z[None], self.codes).argmin()].detach()
            with torch.no_grad():
                self.codes.mul_(0.99).add_(0.01 * z)
            return z + (code - z).detach()

    return trained(Quantized())


@clean
def constrained_attributes() -> Program:
    class Model(nn.Module):
        x = Constrained(iso.Interval(0, 2))

        def __init__(self) -> None:
            super().__init__()
            self.x = torch.ones(3)

        def forward(self, x: Any) -> Any:
            return self.x * x

    return trained(Model())


@clean
def attached_constraint() -> Program:
    model = nn.Linear(3, 3)
    model.weight.data.abs_()
    attach(model, "weight", iso.Positive())
    return trained(model)


@clean
def recurrent_with_flat_weights() -> Program:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.GRU(3, 4, num_layers=2, batch_first=True)
            self.state: Any = None

        def forward(self, x: Any) -> Any:
            seen, state = self.rnn(x.view(1, 1, 3), None if self.state is None else self.state.detach())
            self.state = state
            return seen

    return trained(Recurrent())


@clean
def lazy_modules() -> Program:
    model = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(1))
    model(torch.ones(3))
    return trained(model)


@clean
def checkpointed_layers() -> Program:
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x: Any) -> Any:
            h = checkpoint(self.a, x.requires_grad_(), use_reentrant=True)
            return checkpoint(self.b, h, use_reentrant=False)

    return trained(Deep())


@clean
def autocast_anew_at_each_step() -> Program:
    model = nn.Linear(3, 3)
    optimizer = sgd(model)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = (model(torch.ones(2, 3)) + model(torch.zeros(2, 3))).float().pow(2).mean()
        loss.backward()
        optimizer.step()

    return model, [optimizer], step


@clean
def schedule_that_starts_at_zero() -> Program:
    model = Scaled()
    optimizer = sgd(model)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: k / 10)

    def step() -> None:
        optimizer.zero_grad()
        (model(torch.ones(3)) - 1).pow(2).sum().backward()
        optimizer.step()
        schedule.step()

    return model, [optimizer], step


@clean
def scaled_gradients() -> Program:
    model = nn.Linear(3, 1)
    optimizer = sgd(model)
    scaler = torch.amp.GradScaler("cpu", enabled=True)

    def step() -> None:
        optimizer.zero_grad()
        scaler.scale(model(torch.ones(3)).pow(2).sum()).backward()
        scaler.step(optimizer)
        scaler.update()

    return model, [optimizer], step


@clean
def master_weights() -> Program:
    model = nn.Linear(3, 1).to(torch.bfloat16)
    masters = [p.detach().float().requires_grad_() for p in model.parameters()]
    optimizer = torch.optim.SGD(masters, lr=0.1)

    def step() -> None:
        model.zero_grad()
        model(torch.ones(3, dtype=torch.bfloat16)).pow(2).sum().backward()
        for p, master in zip(model.parameters(), masters, strict=True):
            master.grad = p.grad.float() if p.grad is not None else None
        optimizer.step()
        with torch.no_grad():
            for p, master in zip(model.parameters(), masters, strict=True):
                p.copy_(master)

    return model, [optimizer], step


@clean
def head_and_a_weight_of_the_losses() -> Program:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
    uncertainty = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.Adam([*model[1].parameters(), uncertainty], lr=0.1)

    def step() -> None:
        optimizer.zero_grad()
        (model(torch.ones(3)).pow(2).sum() * torch.exp(-uncertainty) + uncertainty).sum().backward()
        optimizer.step()

    return model, [optimizer], step


@clean
def adversarial_input() -> Program:
    model = nn.Linear(3, 1)
    optimizer = sgd(model)

    def step() -> None:
        delta = torch.zeros(3, requires_grad=True)
        for _ in range(2):
            (g,) = torch.autograd.grad(model(torch.ones(3) + delta).sum(), delta)
            delta.data.add_(0.1 * g.sign())
        optimizer.zero_grad()
        model(torch.ones(3) + delta.detach()).pow(2).sum().backward()
        optimizer.step()

    return model, [optimizer], step


@clean
def frozen_features_kept() -> Program:
    class Probe(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(3, 3).requires_grad_(False)
            self.features = self.body(torch.ones(3))
            self.head = nn.Linear(3, 1)

        def forward(self, x: Any) -> Any:
            return self.head(self.features * x)

    return trained(Probe())


@clean
def teacher_hidden_in_a_tuple() -> Program:
    class Distilled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.student = nn.Linear(3, 2)
            self.teacher = (nn.Linear(3, 2),)

        def forward(self, x: Any) -> Any:
            return self.student(x) - self.teacher[0](x).detach()

    return trained(Distilled())


@clean
def numbers_for_the_log() -> Program:
    class Logged(Raw):
        def __init__(self) -> None:
            super().__init__()
            self.rows: list[Any] = []

        def forward(self, x: Any) -> Any:
            w = self.raw.exp()
            self.rows.append((w.mean().item(), self.raw.detach().clone(), w.tolist()))
            return w * x

    return trained(Logged())


@clean
def view_before_the_loop() -> Program:
    model = nn.Linear(3, 3, bias=False)
    optimizer = torch.optim.Adam(model.parameters())

    def step() -> None:
        flat = model.weight.view(-1)
        for _ in range(3):
            optimizer.zero_grad()
            (flat - 1).pow(2).sum().backward()
            optimizer.step()

    return model, [optimizer], step


@clean
def loss_of_the_step_before_for_comparison() -> Program:
    model = Scaled()
    optimizer = sgd(model)
    kept: dict[str, Any] = {}

    def step() -> None:
        optimizer.zero_grad()
        loss = (model(torch.ones(3)) - 1).pow(2).sum()
        loss.backward()
        optimizer.step()
        kept["before"], kept["now"] = kept.get("now"), loss

    return model, [optimizer], step


@clean
def parameters_of_another_model_in_a_list() -> Program:
    other = nn.Linear(3, 3)

    class Reading(Raw):
        def __init__(self) -> None:
            super().__init__()
            self.theirs = list(other.parameters())

        def forward(self, x: Any) -> Any:
            return self.raw * x + 0 * sum(p.detach().sum() for p in self.theirs)

    model = Reading()
    model.keep = (other,)
    return trained(model)


@clean
def functional_call_with_fresh_values() -> Program:
    model = nn.Linear(3, 3)
    raw = {name: nn.Parameter(p.detach().clone()) for name, p in model.named_parameters()}
    optimizer = torch.optim.SGD(raw.values(), lr=0.1)

    def step() -> None:
        optimizer.zero_grad()
        values = {name: torch.tanh(p) for name, p in raw.items()}
        torch.func.functional_call(model, values, torch.ones(3)).sum().backward()
        optimizer.step()

    return model, [optimizer], step
