"""How the doctor in PyTorch behaves: what it leaves behind, what it says, and what it explains after an exception."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import isoparam as iso
from doctor_cases.torch_case import sgd
from isoparam.torch import doctor


class Stale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(3))
        self.x = torch.sigmoid(self.raw)

    def forward(self) -> Any:
        return (self.x - 0.9).pow(2).sum()


class Silent(Stale):
    def __init__(self) -> None:
        super().__init__()
        self.x = self.raw + 1


class Fresh(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(3))

    def forward(self) -> Any:
        return (torch.sigmoid(self.raw) - 0.9).pow(2).sum()


class Lazy(Fresh):
    x: Any = None

    def forward(self) -> Any:
        if self.x is None:
            self.x = 2 - self.raw
        return (self.x - 0.9).pow(2).sum()


def steps(model: Any, optimizer: torch.optim.Optimizer, count: int = 3) -> None:
    for _ in range(count):
        optimizer.zero_grad()
        model().backward()
        optimizer.step()


def engine() -> Any:
    return torch.autograd._engine_run_backward


def test_scan_runs_nothing_and_names_everything() -> None:
    model = Stale()
    found = doctor.scan(model)
    (finding,) = found.findings
    assert (finding.rule, finding.kind, finding.attr, finding.params) == ("SG101", "stale-attribute", "Stale.x", ("raw",))
    assert finding.file == __file__
    assert "self.x = torch.sigmoid(self.raw)" in Path(__file__).read_text().splitlines()[finding.line - 1]
    assert finding.fix == "@property\ndef x(self):\n    return torch.sigmoid(self.raw)"
    assert "second time" in finding.outcome
    assert model.raw.grad is None


def test_the_outcome_tells_silence_from_an_error() -> None:
    assert "in silence" in doctor.scan(Silent()).findings[0].outcome


def test_watch_names_the_way_from_the_loss() -> None:
    model = Lazy()
    with doctor.watch(model) as found:
        steps(model, sgd(model))
    (finding,) = found.findings
    assert finding.kind == "stale-cache"
    assert finding.path == ("SumBackward0", "PowBackward0", "SubBackward0", "RsubBackward1")


def test_findings_are_there_inside_of_the_block_and_after_it() -> None:
    model = Lazy()
    with doctor.watch(model) as found:
        assert not found
        steps(model, sgd(model), 2)
        assert found
        assert len(found) == 1
        early = found.diagnosis
    assert found.diagnosis == early
    assert json.loads(found.to_json())["findings"][0]["kind"] == "stale-cache"
    assert "Lazy.x" in str(found)
    assert "<code>Lazy.x</code>" in found.to_html()


def test_the_parameter_drifts_away_from_what_is_used() -> None:
    model = Lazy()
    with doctor.watch(model) as found:
        steps(model, sgd(model), 4)
    history = found.findings[0].history
    assert history is not None
    assert (history.entry, history.steps, history.used) == ("mean of raw", (1, 2, 3), (2.0, 2.0, 2.0))
    assert len(set(history.fresh)) == 3


def test_an_exception_passes_on_with_a_note() -> None:
    model = Stale()
    with pytest.raises(RuntimeError, match="second time") as caught, doctor.watch(model) as found:
        steps(model, sgd(model))
    assert found.findings[0].attr == "Stale.x"
    (note,) = caught.value.__notes__
    assert "SG101 stale-attribute: Stale.x" in note


def test_other_exceptions_pass_on_untouched() -> None:
    with pytest.raises(KeyError) as caught, doctor.watch(Fresh()):
        raise KeyError("mine")
    assert not getattr(caught.value, "__notes__", [])


def test_everything_is_put_back() -> None:
    before = engine()
    model = Fresh()
    optimizer = sgd(model)
    with doctor.watch(model, optimizer), doctor.watch(model, optimizer):
        assert engine() is not before
        steps(model, optimizer)
    assert engine() is before
    assert type(model.raw) is nn.Parameter
    from torch.optim import optimizer as _  # noqa: F401  the module
    from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

    assert not _global_optimizer_post_hooks
    assert not _global_optimizer_pre_hooks


def test_watches_end_in_any_order() -> None:
    before = engine()
    first, second = doctor.watch(Fresh()), doctor.watch(Fresh())
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert engine() is not before
    second.__exit__(None, None, None)
    assert engine() is before


def test_nothing_is_left_after_the_given_steps() -> None:
    before = engine()
    model = Fresh()
    optimizer = sgd(model)
    with doctor.watch(model, optimizer, steps=2):
        steps(model, optimizer, 1)
        assert engine() is not before
        steps(model, optimizer, 1)
        assert engine() is before
        steps(model, optimizer, 1)


@pytest.mark.parametrize("wrong", [0, -1, 1.5])
def test_steps_that_cannot_be_are_refused(wrong: Any) -> None:
    with pytest.raises(iso.errors.SpecError, match="steps"):
        doctor.watch(Fresh(), steps=wrong)


def test_the_training_is_the_same_to_the_last_bit() -> None:
    def trained(watched: bool) -> torch.Tensor:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 1))
        unused = nn.Parameter(torch.ones(3))
        optimizer = torch.optim.Adam([*model.parameters(), unused])

        def run() -> None:
            for _ in range(6):
                optimizer.zero_grad()
                (model(torch.ones(2, 3)).sum() + unused.data.sum()).backward()
                optimizer.step()

        if watched:
            with doctor.watch(model, optimizer):
                run()
        else:
            run()
        return torch.cat([p.detach().reshape(-1) for p in model.parameters()])

    assert torch.equal(trained(watched=False), trained(watched=True))


def test_sparse_looks_still_find_what_stays_stale() -> None:
    model = Fresh()
    optimizer = sgd(model)
    with doctor.watch(model, optimizer) as found:
        steps(model, optimizer, 12)
        kept = model.raw * 1
        for _ in range(24):
            optimizer.zero_grad()
            (model() + kept.sum()).backward(retain_graph=True)
            optimizer.step()
    assert {finding.kind for finding in found} == {"stale-loop-invariant", "retain-graph-mask"}


def test_graphs_made_in_other_threads_are_not_taken_for_old() -> None:
    model = Fresh()
    optimizer = sgd(model)
    with doctor.watch(model, optimizer) as found:
        for _ in range(4):
            results: list[Any] = []
            worker = threading.Thread(target=lambda results=results: results.append(model()))
            worker.start()
            worker.join()
            optimizer.zero_grad()
            results[0].backward()
            optimizer.step()
    assert not found, str(found)


def test_a_callback_of_train() -> None:
    memory: dict[str, Any] = {}

    def loss(values: Any, batch: Any) -> Any:
        if "x" not in memory:
            memory["x"] = 1.0 * values["x"]
        return (values["x"] - 0.5).pow(2) + 0 * memory["x"]

    problem = iso.Problem(name="cached", constraints={"x": iso.Interval(0, 1)}, init={"x": 0.9}, loss=loss)
    with doctor.watch() as found, pytest.raises((RuntimeError, iso.errors.IsoparamError)):
        iso.train(problem, "torch", iso.SGD(lr=0.1), steps=40, callbacks=(found,))
    assert found


def test_a_callback_lets_a_good_run_end() -> None:
    with doctor.watch() as found:
        run = iso.train(iso.problems.get("scalar"), "torch", steps=100, callbacks=(found,))
    assert not found, str(found)
    assert len(run.history["loss"]) == 100


def test_compiled_modules_are_noted() -> None:
    model = torch.compile(nn.Linear(3, 3), backend="eager")
    assert "compiled" in doctor.scan(model).notes[0]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with doctor.watch(model, optimizer) as found:
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.ones(3)).sum().backward()
            optimizer.step()
    assert not found, str(found)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch's, of its own look
def test_a_stale_input_of_a_compiled_module_is_found() -> None:
    model = torch.compile(nn.Linear(3, 3), backend="aot_eager")
    scale = model.weight * 2
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with doctor.watch(model, optimizer) as found:
        for _ in range(2):
            optimizer.zero_grad()
            model(scale).sum().backward(retain_graph=True)
            optimizer.step()
    assert "scale (local of" in found.findings[0].attr


def raised(program: Any) -> BaseException:
    with pytest.raises((RuntimeError, ValueError, TypeError)) as caught:
        program()
    return caught.value


def test_explains_a_second_backward() -> None:
    model = Stale()
    found = doctor.explain(raised(lambda: steps(model, sgd(model))))
    assert [(finding.kind, finding.attr, finding.params) for finding in found] == [("stale-attribute", "Stale.x", ("raw",))]


def test_explains_a_state_that_is_carried() -> None:
    cell = nn.GRUCell(3, 3)

    def program() -> None:
        h = torch.zeros(1, 3)
        for _ in range(2):
            h = cell(torch.ones(1, 3), h)
            h.sum().backward()

    (finding,) = doctor.explain(raised(program), cell)
    assert (finding.kind, finding.attr) == ("carried-state", "h (local of program)")
    assert finding.fix.startswith("h = h.detach()")


def test_explains_a_change_in_place() -> None:
    model = Fresh()
    optimizer = sgd(model)

    def program() -> None:
        s = F.softplus(model.raw)
        for _ in range(2):
            s.sum().backward(retain_graph=True)
            optimizer.step()

    (finding,) = doctor.explain(raised(program), model)
    assert (finding.kind, finding.attr, finding.params) == ("stale-loop-invariant", "s (local of program)", ("raw",))


def test_explains_a_loss_without_a_graph() -> None:
    model = Fresh()
    (finding,) = doctor.explain(raised(lambda: model.raw.detach().sum().backward()), model)
    assert (finding.kind, finding.params) == ("severed-gradient", ("raw",))


def test_explains_a_leaf_changed_in_place() -> None:
    model = Fresh()

    def program() -> None:
        model.raw.clamp_(0, 1)

    (finding,) = doctor.explain(raised(program), model)
    assert (finding.kind, finding.attr, finding.params) == ("inplace-on-leaf", "Fresh.raw", ("raw",))
    assert finding.fix.endswith("model.raw.clamp_(0, 1)")


def test_explains_an_optimizer_of_a_computed_value() -> None:
    model = Stale()
    (finding,) = doctor.explain(raised(lambda: torch.optim.SGD([model.x], lr=0.1)), model)
    assert (finding.kind, finding.attr, finding.params) == ("stale-optimizer", "Stale.x", ("raw",))


def test_explains_a_copy_that_fails() -> None:
    import copy

    model = Stale()
    (finding,) = doctor.explain(raised(lambda: copy.deepcopy(model)), model)
    assert (finding.kind, finding.attr) == ("stale-attribute", "Stale.x")


def test_says_so_where_it_has_nothing_to_explain() -> None:
    found = doctor.explain(KeyError("x"))
    assert not found
    assert "none of the errors" in found.notes[0]


def test_explaining_adds_a_note() -> None:
    model = Stale()
    with pytest.raises(RuntimeError, match="second time") as caught, doctor.explaining(model) as found:
        steps(model, sgd(model))
    assert "Stale.x" in caught.value.__notes__[0]
    assert found.findings[0].kind == "stale-attribute"


def test_without_a_model_parameters_are_called_by_the_module_that_holds_them() -> None:
    model = Silent()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with doctor.watch(None, optimizer) as found:
        steps(model, optimizer)
    assert {finding.params for finding in found.findings} == {("Silent.raw",)}
