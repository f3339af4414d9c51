"""The doctor beside other tools of torch that go about with modules, graphs and threads."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from doctor_cases.torch_case import sgd
from isoparam.torch import doctor


@pytest.fixture
def one_process(tmp_path: Path) -> Iterator[None]:
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


class Net(nn.Module):
    def __init__(self, stale: bool) -> None:
        super().__init__()
        self.lin = nn.Linear(3, 3)
        self.scale = self.lin.weight.exp() if stale else None

    def forward(self, x: Any) -> Any:
        return self.lin(x) if self.scale is None else self.lin(x) @ self.scale


def watched(model: Any, inner: Any = None, count: int = 4, **options: Any) -> doctor.Watch:
    optimizer = sgd(model)
    watching = doctor.watch(model if inner is None else inner, optimizer)
    with warnings.catch_warnings(), watching:
        warnings.simplefilter("ignore")
        for _ in range(count):
            optimizer.zero_grad()
            model(torch.ones(2, 3)).sum().backward(**options)
            optimizer.step()
    return watching


@pytest.mark.usefixtures("one_process")
def test_distributed_data_parallel() -> None:
    found = watched(DistributedDataParallel(Net(stale=False)))
    assert not found.findings, str(found)
    assert not found.notes


@pytest.mark.usefixtures("one_process")
def test_distributed_data_parallel_of_something_stale() -> None:
    found = watched(DistributedDataParallel(Net(stale=True)), retain_graph=True)
    assert ("stale-attribute", "DistributedDataParallel.module.scale") in [(f.kind, f.attr) for f in found]


def test_data_parallel() -> None:
    assert not watched(DataParallel(Net(stale=False))).findings


def test_scripted_modules() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.jit.script(nn.Sequential(nn.Linear(3, 3), nn.Tanh()))
    found = watched(model)
    assert not found.findings, str(found)
    assert not found.notes


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.SGD(p, lr=0.1, foreach=True),
        lambda p: torch.optim.Adam(p, fused=True),
        lambda p: torch.optim.Adagrad(p, fused=True),
        lambda p: torch.optim.NAdam(p, foreach=True),
        lambda p: torch.optim.Rprop(p),
        lambda p: torch.optim.Adafactor(p),
    ],
    ids=["sgd-foreach", "adam-fused", "adagrad-fused", "nadam-foreach", "rprop", "adafactor"],
)
def test_every_way_to_step(make: Any) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    optimizer = make(model.parameters())
    kept = -model[0].weight
    with doctor.watch(model, optimizer) as found:
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.ones(3)).sum().backward()
            optimizer.step()
        assert not found, str(found)
        optimizer.zero_grad()
        kept.sum().backward()
    assert [finding.attr for finding in found] == ["kept (local of test_every_way_to_step)"]


def test_hooks_on_gradients() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
    seen: list[Any] = []
    model[0].register_full_backward_hook(lambda module, given, result: seen.append(result[0].norm().item()))

    def clip(p: Any) -> None:
        p.grad.clamp_(-1, 1)

    for p in model.parameters():
        p.register_post_accumulate_grad_hook(clip)
    found = watched(model)
    assert seen
    assert not found.findings, str(found)


def test_an_optimizer_inside_of_the_backward_pass() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
    parts = {p: torch.optim.SGD([p], lr=0.1) for p in model.parameters()}

    def move(p: Any) -> None:
        parts[p].step()
        parts[p].zero_grad()

    for p in model.parameters():
        p.register_post_accumulate_grad_hook(move)
    with doctor.watch(model, list(parts.values())) as found:
        for _ in range(4):
            model(torch.ones(3)).sum().backward()
    assert not found.findings, str(found)
    assert not found.notes


def test_anomaly_mode() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with torch.autograd.set_detect_anomaly(True):
            assert not watched(Net(stale=False)).findings


def test_steps_inside_of_a_device_context() -> None:
    with torch.device("cpu"):
        model = nn.ModuleDict({"used": nn.Linear(3, 1), "unused": nn.Linear(3, 1)})
        optimizer = sgd(model)
        with doctor.watch(model, optimizer) as found:
            for _ in range(5):
                optimizer.zero_grad()
                model["used"](torch.ones(3)).sum().backward()
                optimizer.step()
    assert not found.findings, str(found)
    assert type(model["unused"].weight) is nn.Parameter
