"""Further programs without a mistake, written after the doctor had passed the others."""

import copy
from typing import Any

import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from doctor_cases.torch_case import Program, clean, sgd, trained
from doctor_cases.torch_clean import Scaled
from doctor_cases.torch_stale import Raw


@clean
def entropy_temperature_of_soft_actor_critic() -> Program:
    model = nn.ModuleDict({"actor": nn.Linear(3, 2), "critic": nn.Linear(5, 1), "target": nn.Linear(5, 1)})
    log_alpha = torch.zeros(1, requires_grad=True)
    actor, critic = torch.optim.Adam(model["actor"].parameters()), torch.optim.Adam(model["critic"].parameters())
    temperature = torch.optim.Adam([log_alpha])

    def step() -> None:
        x = torch.ones(4, 3)
        alpha = log_alpha.exp()
        with torch.no_grad():
            goal = model["target"](torch.cat([x, model["actor"](x)], 1))
        critic.zero_grad()
        F.mse_loss(model["critic"](torch.cat([x, x[:, :2]], 1)), goal).backward()
        critic.step()
        for p in model["critic"].parameters():
            p.requires_grad_(False)
        action = model["actor"](x)
        actor.zero_grad()
        (alpha.detach() * action - model["critic"](torch.cat([x, action], 1))).mean().backward()
        actor.step()
        for p in model["critic"].parameters():
            p.requires_grad_(True)
        temperature.zero_grad()
        (-(alpha * (action.detach() + 1)).mean()).backward()
        temperature.step()
        with torch.no_grad():
            for p, q in zip(model["target"].parameters(), model["critic"].parameters(), strict=True):
                p.lerp_(q, 0.01)

    return model, [actor, critic, temperature], step


@clean
def clipped_policy_over_several_epochs() -> Program:
    policy = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(policy.parameters())

    def step() -> None:
        x = torch.ones(4, 3)
        before = torch.log_softmax(policy(x), -1)[:, 0].detach()
        for _ in range(3):
            ratio = (torch.log_softmax(policy(x), -1)[:, 0] - before).exp()
            optimizer.zero_grad()
            (-torch.min(ratio, ratio.clamp(0.8, 1.2))).mean().backward()
            optimizer.step()

    return policy, [optimizer], step


@clean
def clipped_critic_of_a_wasserstein_gan() -> Program:
    model = nn.ModuleDict({"make": nn.Linear(3, 3), "judge": nn.Linear(3, 1)})
    first, second = torch.optim.RMSprop(model["make"].parameters()), torch.optim.RMSprop(model["judge"].parameters())

    def step() -> None:
        fake = model["make"](torch.ones(2, 3))
        for _ in range(2):
            second.zero_grad()
            (model["judge"](fake.detach()) - model["judge"](torch.zeros(2, 3))).mean().backward()
            second.step()
            for p in model["judge"].parameters():
                p.data.clamp_(-0.01, 0.01)
        first.zero_grad()
        (-model["judge"](fake)).mean().backward()
        first.step()

    return model, [first, second], step


@clean
def evaluated_with_averaged_weights() -> Program:
    model = nn.Linear(3, 1)
    optimizer = sgd(model)
    shadow = [p.detach().clone() for p in model.parameters()]

    def step() -> None:
        optimizer.zero_grad()
        model(torch.ones(3)).sum().backward()
        optimizer.step()
        kept = [p.detach().clone() for p in model.parameters()]
        with torch.no_grad():
            for s, p in zip(shadow, model.parameters(), strict=True):
                s.lerp_(p, 0.1)
                p.copy_(s)
            model(torch.ones(3))
            for k, p in zip(kept, model.parameters(), strict=True):
                p.copy_(k)

    return model, [optimizer], step


@clean
def gradients_kept_as_zeros() -> Program:
    model = nn.ModuleDict({"a": nn.Linear(3, 1), "b": nn.Linear(3, 1)})
    optimizer = sgd(model)
    turn = [0]

    def step() -> None:
        turn[0] += 1
        optimizer.zero_grad(set_to_none=False)
        model["a" if turn[0] % 2 else "b"](torch.ones(3)).sum().backward()
        optimizer.step()

    return model, [optimizer], step


@clean
def closure_of_a_plain_optimizer() -> Program:
    model = Scaled()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (model(torch.ones(3)) - 1).pow(2).sum()
        loss.backward()
        return loss

    return model, [optimizer], lambda: optimizer.step(closure)


@clean
def per_sample_gradients() -> Program:
    model = nn.Linear(3, 1)
    optimizer = sgd(model)

    def one(params: Any, x: Any) -> Any:
        return functional_call(model, params, x).pow(2).sum()

    def step() -> None:
        params = {name: p.detach() for name, p in model.named_parameters()}
        grads = vmap(grad(one), in_dims=(None, 0))(params, torch.ones(4, 3))
        optimizer.zero_grad()
        for name, p in model.named_parameters():
            p.grad = grads[name].mean(0)
        optimizer.step()

    return model, [optimizer], step


@clean
def jacobian_inside_of_the_loss() -> Program:
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    optimizer = sgd(model)

    def step() -> None:
        jacobian = torch.autograd.functional.jacobian(model, torch.ones(3), create_graph=True)
        other = torch.func.jacrev(model)(torch.ones(3))
        optimizer.zero_grad()
        (jacobian.pow(2).sum() + other.pow(2).sum()).backward()
        optimizer.step()

    return model, [optimizer], step


@clean
def learned_first_state() -> Program:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.start, self.cell = nn.Parameter(torch.zeros(1, 4)), nn.GRUCell(3, 4)

        def forward(self, x: Any) -> Any:
            state = self.start.expand(2, -1)
            for _ in range(3):
                state = self.cell(x.expand(2, -1), state)
            return state

    return trained(Recurrent())


@clean
def truncated_in_time() -> Program:
    cell = nn.GRUCell(3, 4)
    optimizer = sgd(cell)

    def step() -> None:
        state = torch.zeros(1, 4)
        for _ in range(2):
            losses = []
            for _ in range(3):
                state = cell(torch.ones(1, 3), state)
                losses.append(state.sum())
            optimizer.zero_grad()
            torch.stack(losses).sum().backward()
            optimizer.step()
            state = state.detach()

    return cell, [optimizer], step


@clean
def last_loss_kept_by_the_trainer() -> Program:
    class Trainer:
        def __init__(self) -> None:
            self.model = Scaled()
            self.optimizer = sgd(self.model)
            self.loss: Any = None
            self.history: list[float] = []

        def step(self) -> None:
            self.optimizer.zero_grad()
            self.loss = (self.model(torch.ones(3)) - 1).pow(2).sum()
            self.loss.backward()
            self.optimizer.step()
            self.history.append(float(self.loss.detach()))

    trainer = Trainer()
    return trainer.model, [trainer.optimizer], trainer.step


@clean
def straight_through_rounding() -> Program:
    class Rounded(Raw):
        def forward(self, x: Any) -> Any:
            soft = torch.sigmoid(self.raw)
            return (soft + (soft.round() - soft).detach()) * x

    return trained(Rounded())


@clean
def cache_dropped_by_train() -> Program:
    class Switching(Raw):
        cached: Any = None

        def train(self, mode: bool = True) -> "Switching":
            self.cached = None
            return super().train(mode)

        def forward(self, x: Any) -> Any:
            if self.training:
                return self.raw.exp() * x
            if self.cached is None:
                self.cached = self.raw.exp()
            return self.cached * x

    model = Switching()
    optimizer = sgd(model)

    def step() -> None:
        model.train()
        optimizer.zero_grad()
        model(torch.ones(3)).sum().backward()
        optimizer.step()
        model.eval()
        model(torch.ones(3))

    return model, [optimizer], step


@clean
def contrastive_pair_with_a_momentum_encoder() -> Program:
    class Momentum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query = nn.Linear(3, 4)
            self.key = copy.deepcopy(self.query)
            self.register_buffer("queue", torch.randn(5, 4))

        def forward(self, x: Any) -> Any:
            with torch.no_grad():
                for p, q in zip(self.key.parameters(), self.query.parameters(), strict=True):
                    p.data = p.data * 0.9 + q.data * 0.1
                k = self.key(x)
                self.queue = torch.cat([self.queue[1:], k[None]])
            return self.query(x) @ torch.cat([k[None], self.queue.clone()]).T

    return trained(Momentum())


@clean
def hypergradient_of_a_learning_rate() -> Program:
    model = Scaled()
    log_rate = nn.Parameter(torch.tensor(-2.0))
    outer = torch.optim.Adam([*model.parameters(), log_rate])

    def step() -> None:
        w = model.raw
        for _ in range(2):
            (g,) = torch.autograd.grad((w - 1).pow(2).sum(), w, create_graph=True)
            w = w - log_rate.exp() * g
        outer.zero_grad()
        (w - 2).pow(2).sum().backward()
        outer.step()

    return model, [outer], step


@clean
def trained_under_other_names() -> Program:
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD([{"params": [model.weight], "lr": 0.1}, {"params": [model.bias], "lr": 0.0}])

    def step() -> None:
        model.zero_grad()
        torch.autograd.backward([model(torch.ones(3)).sum(), model(torch.zeros(3)).sum()])
        optimizer.step()

    return model, [optimizer], step


@clean
def tables_prepared_at_each_call() -> Program:
    class Tables(Raw):
        def __init__(self) -> None:
            super().__init__()
            self._prepare()

        def _prepare(self) -> None:
            self.logits = torch.log_softmax(self.raw, 0)

        def forward(self, x: Any) -> Any:
            self._prepare()
            return self.logits * x

    return trained(Tables())


@clean
def refreshed_by_the_loop() -> Program:
    class Refreshed(Raw):
        def __init__(self) -> None:
            super().__init__()
            self.refresh()

        def refresh(self) -> None:
            self.w = self.raw.exp()

        def forward(self, x: Any) -> Any:
            return self.w * x

    model = Refreshed()
    optimizer = sgd(model)

    def step() -> None:
        optimizer.zero_grad()
        model(torch.ones(3)).sum().backward()
        optimizer.step()
        model.refresh()

    return model, [optimizer], step


@clean
def refreshed_by_hooks() -> Program:
    class Hooked(Raw):
        def __init__(self) -> None:
            super().__init__()
            self.make()
            self.register_forward_pre_hook(lambda module, given: module.make())

        def make(self) -> None:
            self.w = self.raw.exp()

        def forward(self, x: Any) -> Any:
            return self.w * x

    class Stepped(Raw):
        def __init__(self) -> None:
            super().__init__()
            self.w = self.raw.exp()

        def renew(self, *_: Any) -> None:
            self.w = self.raw.exp()

        def forward(self, x: Any) -> Any:
            return self.w * x

    model = nn.Sequential(Hooked(), Stepped())
    optimizer = sgd(model)
    optimizer.register_step_post_hook(model[1].renew)
    return trained(model, optimizer)
