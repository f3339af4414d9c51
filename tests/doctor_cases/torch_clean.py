"""Programs without a mistake that look like one: values renewed in time, and graphs older than another's step."""

import copy
import warnings
from collections import deque
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm

from doctor_cases.torch_case import Program, clean, sgd, trained
from doctor_cases.torch_stale import Raw


class Scaled(Raw):
    def forward(self, x: Any) -> Any:
        return self.raw * x


@clean
def stash_left_by_a_dry_run() -> Program:
    class Stash(Raw):
        def forward(self, x: Any) -> Any:
            self.hidden = torch.tanh(self.raw * x)
            return self.hidden

    model = Stash()
    model(torch.ones(3))
    return trained(model)


@clean
def features_of_a_hook() -> Program:
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
    features: dict[str, Any] = {}
    model[1].register_forward_hook(lambda module, given, result: features.__setitem__("h", result))
    optimizer = sgd(model)

    def step() -> None:
        optimizer.zero_grad()
        (model(torch.ones(3)).sum() + features["h"].pow(2).sum()).backward()
        optimizer.step()

    return model, [optimizer], step


@clean
def weight_norm_of_both_kinds() -> Program:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old = nn.utils.weight_norm(nn.Linear(3, 3))
    return trained(nn.Sequential(old, parametrizations.weight_norm(nn.Linear(3, 3)), spectral_norm(nn.Linear(3, 3))))


@clean
def pruned_twice() -> Program:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    prune.random_unstructured(model[0], "weight", amount=2)
    prune.l1_unstructured(model[0], "weight", amount=1)
    return trained(model)


@clean
def hook_of_the_user_before_the_forward() -> Program:
    model = nn.Linear(3, 3, bias=False)
    model.gain = nn.Parameter(torch.ones(3, 1))
    base = model.weight
    del model._parameters["weight"]
    model.base = base

    def renew(module: Any, given: Any) -> None:
        module.weight = module.base * module.gain

    renew(model, None)
    model.register_forward_pre_hook(renew)
    return trained(model)


@clean
def two_optimizers_at_their_own_pace() -> Program:
    model = nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 1)})
    often, seldom = sgd(model["a"]), torch.optim.Adam(model["b"].parameters())
    count = [0]

    def step() -> None:
        often.zero_grad()
        model["b"](model["a"](torch.ones(3))).sum().backward()
        often.step()
        count[0] += 1
        if count[0] % 3 == 0:
            seldom.step()
            seldom.zero_grad()

    return model, [often, seldom], step


@clean
def one_optimizer_for_both_players() -> Program:
    model = nn.ModuleDict({"make": nn.Linear(3, 3), "judge": nn.Linear(3, 1)})
    optimizer = sgd(model)

    def step() -> None:
        fake = model["make"](torch.ones(2, 3))
        optimizer.zero_grad()
        model["judge"](fake.detach()).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        (-model["judge"](fake)).mean().backward()
        optimizer.step()

    return model, [optimizer], step


@clean
def lbfgs_with_several_evaluations() -> Program:
    model = Scaled()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=5, line_search_fn="strong_wolfe")

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (model(torch.ones(3)) - 2).pow(2).sum() + torch.exp(-model.raw).sum()
        loss.backward()
        return loss

    return model, [optimizer], lambda: optimizer.step(closure)


@clean
def sharpness_aware_step() -> Program:
    model = nn.Linear(3, 1)
    optimizer = sgd(model)

    def step() -> None:
        optimizer.zero_grad()
        model(torch.ones(3)).pow(2).sum().backward()
        with torch.no_grad():
            moves = [0.05 * p.grad for p in model.parameters() if p.grad is not None]
            for p, move in zip(model.parameters(), moves, strict=True):
                p.add_(move)
        optimizer.zero_grad()
        model(torch.ones(3)).pow(2).sum().backward()
        with torch.no_grad():
            for p, move in zip(model.parameters(), moves, strict=True):
                p.sub_(move)
        optimizer.step()

    return model, [optimizer], step


@clean
def moved_by_hand_every_way() -> Program:
    model = Scaled()
    count = [0]

    def step() -> None:
        (g,) = torch.autograd.grad((model(torch.ones(3)) - 1).pow(2).sum(), [model.raw])
        count[0] += 1
        if count[0] % 2:
            model.raw.data = model.raw.data - 0.1 * g
        else:
            with torch.no_grad():
                model.raw.sub_(0.1 * g)

    return model, [], step


@clean
def accumulated_over_micro_batches() -> Program:
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.1), nn.Linear(3, 1))
    optimizer = torch.optim.RMSprop(model.parameters())

    def step() -> None:
        optimizer.zero_grad()
        kept = []
        for _ in range(3):
            loss = model(torch.ones(2, 3)).mean() / 3
            kept.append(loss)
            loss.backward()
        optimizer.step()

    return model, [optimizer], step


@clean
def retained_for_two_losses_of_a_shared_body() -> Program:
    model = nn.ModuleDict({"body": nn.Linear(3, 3), "a": nn.Linear(3, 1), "b": nn.Linear(3, 1)})
    optimizers = [sgd(model["body"]), sgd(model["a"]), sgd(model["b"])]

    def step() -> None:
        h = torch.tanh(model["body"](torch.ones(3)))
        first, second = model["a"](h).sum(), model["b"](h).sum()
        for optimizer in optimizers:
            optimizer.zero_grad()
        first.backward(retain_graph=True)
        second.backward()
        for optimizer in optimizers:
            optimizer.step()

    return model, optimizers, step


@clean
def gradient_penalty_with_double_backward() -> Program:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = torch.optim.Adam(model.parameters(), foreach=True)

    def step() -> None:
        x = torch.ones(2, 3, requires_grad=True)
        (g,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
        optimizer.zero_grad()
        (g.norm(dim=1) - 1).pow(2).mean().backward()
        optimizer.step()

    return model, [optimizer], step


@clean
def hessian_product_of_the_parameters() -> Program:
    model = Scaled()
    optimizer = sgd(model)

    def step() -> None:
        optimizer.zero_grad()
        loss = torch.exp(model(torch.ones(3))).sum()
        grads = torch.autograd.grad(loss, list(model.parameters()), create_graph=True)
        (loss + sum(g.pow(2).sum() for g in grads)).backward()
        optimizer.step()

    return model, [optimizer], step


@clean
def fast_weights_kept_for_a_look() -> Program:
    class Meta(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lin = nn.Linear(3, 1)
            self.adapted: list[Any] = []

        def forward(self, x: Any) -> Any:
            weights = list(self.lin.parameters())
            for _ in range(2):
                inner = F.linear(x, *weights).pow(2).sum()
                grads = torch.autograd.grad(inner, weights, create_graph=True)
                weights = [w - 0.1 * g for w, g in zip(weights, grads, strict=True)]
            self.adapted = weights
            return F.linear(x, *weights)

    return trained(Meta())


@clean
def first_order_copies_that_learn() -> Program:
    model = nn.Linear(3, 1)
    outer = torch.optim.Adam(model.parameters())

    def step() -> None:
        learner = copy.deepcopy(model)
        inner = sgd(learner)
        for _ in range(2):
            inner.zero_grad()
            learner(torch.ones(3)).pow(2).sum().backward()
            inner.step()
        outer.zero_grad()
        for p, q in zip(model.parameters(), learner.parameters(), strict=True):
            p.grad = p.detach() - q.detach()
        outer.step()

    return model, [outer], step


@clean
def hypernetwork_over_named_weights() -> Program:
    class Hyper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.code = nn.Parameter(torch.ones(2))
            self.maker = nn.Linear(2, 9)
            self.weights: dict[str, Any] = {}

        def forward(self, x: Any) -> Any:
            self.weights["main"] = self.maker(self.code).view(3, 3)
            return F.linear(x, self.weights["main"])

    model = Hyper()
    model(torch.ones(3))
    return trained(model)


@clean
def tied_by_reference_in_a_list() -> Program:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enc = nn.Linear(3, 3, bias=False)
            self.shared = [self.enc.weight]

        def forward(self, x: Any) -> Any:
            return F.linear(torch.tanh(self.enc(x)), self.shared[0].t())

    return trained(Tied())


@clean
def optimizer_of_everything_with_an_unused_head() -> Program:
    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.used, self.unused = nn.Linear(3, 3), nn.Linear(3, 1), nn.Linear(3, 2)

        def forward(self, x: Any) -> Any:
            return self.used(self.body(x))

    return trained(Heads())


@clean
def second_output_that_no_loss_uses() -> Program:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.main, self.extra = nn.Linear(3, 3), nn.Linear(3, 1), nn.Linear(3, 2)

        def forward(self, x: Any) -> Any:
            h = self.body(x)
            self.looked_at = self.extra(h)
            return self.main(h)

    return trained(Two())


@clean
def layers_dropped_in_turn() -> Program:
    class Dropping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(3, 3) for _ in range(3))
            self.turn = 0

        def forward(self, x: Any) -> Any:
            self.turn += 1
            for index, layer in enumerate(self.layers):
                x = layer(x) if (index + self.turn) % 3 else x
            return x

    return trained(Dropping())


@clean
def bank_of_results_in_a_window() -> Program:
    model = Scaled()
    optimizer = sgd(model)
    last: deque[Any] = deque(maxlen=3)

    def step() -> None:
        loss = (model(torch.ones(3)) - 1).pow(2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        last.append(loss)

    return model, [optimizer], step


@clean
def log_probabilities_of_episodes() -> Program:
    policy = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(policy.parameters())
    saved: list[Any] = []
    lengths = iter(range(2, 1000))

    def step() -> None:
        for _ in range(next(lengths)):
            saved.append(torch.log_softmax(policy(torch.ones(3)), -1)[0])
        optimizer.zero_grad()
        (-torch.stack(saved).sum()).backward()
        optimizer.step()
        saved.clear()

    return policy, [optimizer], step


@clean
def cache_emptied_after_each_step() -> Program:
    class Caching(Raw):
        def __init__(self) -> None:
            super().__init__()
            self.cache: dict[int, Any] = {}

        def forward(self, x: Any) -> Any:
            if 3 not in self.cache:
                self.cache[3] = torch.exp(self.raw)
            return self.cache[3] * x

    model = Caching()
    optimizer = sgd(model)
    optimizer.register_step_post_hook(lambda *_: model.cache.clear())
    return trained(model, optimizer)


@clean
def parametrization_cached_for_one_step() -> Program:
    model = parametrizations.orthogonal(nn.Linear(3, 3))
    optimizer = sgd(model)

    def step() -> None:
        optimizer.zero_grad()
        with parametrize.cached():
            (model(torch.ones(3)) + model(torch.zeros(3))).sum().backward()
        optimizer.step()

    return model, [optimizer], step
