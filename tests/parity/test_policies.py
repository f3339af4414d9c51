"""Groups, decay, freezing, clipping, averages, accumulation and loss scaling: in both backends what torch's own tools do."""

import numpy as np
import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import isoparam as iso
from isoparam.errors import SpecError
from isoparam.optimizers import OPTIMIZERS
from parity.genuine import Loop
from parity.training import mixed, relative

BACKENDS = ("torch", "jax")
STEPS = 40
CLOSE = 1e-12


def train(backend, optimizer, problem=None, steps=STEPS, **settings):
    return iso.train(problem or mixed(), backend, optimizer, steps=steps, **settings)


def assert_close(run, loop, limit=CLOSE):
    for name, raw in loop.numpy().items():
        assert relative(run.raw[name], raw) < limit, name


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("schedule", [None, iso.CosineAnnealingLR(T_max=30)], ids=["constant", "cosine"])
@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "NAdam", "ASGD", "RMSprop"])
def test_parameter_groups_of_torch(kind, schedule, backend):
    spec = getattr(iso, kind)(lr=0.01, weight_decay=0.1)
    groups = {"small": {"lr": 0.002, "weight_decay": 0.0}, "[wl]e*s": {"lr": 0.05}}
    loop = Loop(mixed())
    given = [
        {"params": loop.leaves("scale", "offset")},
        {"params": loop.leaves("small"), **groups["small"]},
        {"params": loop.leaves("weights", "levels"), **groups["[wl]e*s"]},
    ]
    optimizer = getattr(torch.optim, kind)(given, lr=0.01, weight_decay=0.1)
    scheduler = schedule and torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=30)
    for k in range(STEPS):
        optimizer.zero_grad()
        loop.loss(k).backward()
        optimizer.step()
        if scheduler:
            scheduler.step()
    run = train(backend, spec, groups=groups, schedule=schedule)
    assert_close(run, loop)
    assert relative(train(backend, spec, schedule=schedule).raw["small"], run.raw["small"]) > 1e-3


@pytest.mark.parametrize("backend", BACKENDS)
def test_groups_keep_buffers_of_their_own(backend):
    """One group with momentum and one without: torch keeps a buffer for the former alone."""
    loop = Loop(mixed())
    free = [name for name in loop.raw if name != "scale"]
    optimizer = torch.optim.SGD([{"params": loop.leaves(*free)}, {"params": loop.leaves("scale"), "momentum": 0.9}], lr=0.01)
    for k in range(STEPS):
        optimizer.zero_grad()
        loop.loss(k).backward()
        optimizer.step()
    run = train(backend, iso.SGD(lr=0.01), groups={"scale": {"momentum": 0.9}})
    assert_close(run, loop)
    assert sorted(run.optimizer_state.entries["scale"]) == ["momentum_buffer", "step"]
    assert sorted(run.optimizer_state.entries["small"]) == ["step"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("decoupled", [False, True], ids=["penalty", "decoupled"])
@pytest.mark.parametrize("maximize", [False, True], ids=["down", "up"])
def test_decay_of_the_value(maximize, decoupled, backend):
    """weight_decay * |value|^2 / 2 in place of that of raw; nothing at all for what is exempt."""
    settings = {"lr": 0.001, "maximize": maximize}
    decays = {"scale": "value", "weights": "value", "offset": "value", "small": "none"}
    loop = Loop(mixed())
    optimizer = torch.optim.Adam(loop.raw.values(), **settings)
    for k in range(STEPS):
        optimizer.zero_grad()
        values = loop.values()
        half = sum((values[name] ** 2).sum() for name in ("scale", "weights", "offset")) / 2
        penalty = half + (loop.raw["levels"] ** 2).sum() / 2
        pulled = torch.autograd.grad(0.3 * penalty, loop.raw.values(), allow_unused=True)
        loop.loss(k).backward()
        with torch.no_grad():
            for raw, pull in zip(loop.raw.values(), pulled, strict=True):
                if pull is not None and decoupled:
                    raw -= settings["lr"] * pull
                elif pull is not None:
                    raw.grad += -pull if maximize else pull
        optimizer.step()
    spec = (iso.AdamW if decoupled else iso.Adam)(**settings, weight_decay=0.3)
    run = train(backend, spec, decay=decays)
    assert_close(run, loop)
    assert relative(train(backend, spec).raw["scale"], run.raw["scale"]) > 1e-4


@pytest.mark.parametrize("backend", BACKENDS)
def test_decay_for_all(backend):
    spec = iso.SGD(lr=0.01, weight_decay=0.3)
    plain = train(backend, iso.SGD(lr=0.01))
    none, raw, value = (train(backend, spec, decay=what) for what in ("none", "raw", "value"))
    for name, array in plain.raw.items():
        assert none.raw[name].tobytes() == array.tobytes()
        assert relative(raw.raw[name], array) > 1e-4
    assert value.values["scale"] < plain.values["scale"]
    projected = [train(backend, spec, decay=what, method="projected") for what in ("raw", "value")]
    assert projected[0].raw["scale"] == projected[1].raw["scale"]  # there raw is the value


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("clip", [iso.ClipByNorm(0.3), iso.ClipByNorm(0.3, float("inf")), iso.ClipByNorm(0.5, 1.0),
                                  iso.ClipByValue(0.05)], ids=["2", "inf", "1", "value"])  # fmt: skip
def test_clipping_of_torch(clip, backend):
    loop = Loop(mixed())
    optimizer, norms = torch.optim.SGD(loop.raw.values(), lr=0.1, momentum=0.9), []
    for k in range(STEPS):
        optimizer.zero_grad()
        loop.loss(k).backward()
        norms.append(float(torch.nn.utils.get_total_norm([raw.grad for raw in loop.raw.values()])))
        if isinstance(clip, iso.ClipByValue):
            torch.nn.utils.clip_grad_value_(loop.raw.values(), clip.clip_value)
        else:
            torch.nn.utils.clip_grad_norm_(loop.raw.values(), clip.max_norm, clip.norm_type)
        optimizer.step()
    run = train(backend, iso.SGD(lr=0.1, momentum=0.9), clip=clip)
    assert_close(run, loop)
    assert relative(run.history["grad_norm"], norms) < CLOSE  # recorded before it is clipped


class Holder(torch.nn.Module):
    """Leaves as parameters, for AveragedModel."""

    def __init__(self, raw):
        super().__init__()
        for name, leaf in raw.items():
            self.register_parameter(name, torch.nn.Parameter(leaf.detach().clone()))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "average", [iso.EMA(decay=0.9), iso.EMA(decay=0.99, start=7), iso.SWA(), iso.SWA(start=11, every=4)], ids=repr
)
def test_averages_of_torch(average, backend):
    loop = Loop(mixed())
    optimizer = torch.optim.Adam(loop.raw.values(), lr=0.05)
    formula = {} if average.decay is None else {"multi_avg_fn": get_ema_multi_avg_fn(average.decay)}
    model = AveragedModel(Holder(loop.raw), **formula)
    for k in range(STEPS):
        optimizer.zero_grad()
        loop.loss(k).backward()
        optimizer.step()
        if k >= average.start and (k - average.start) % average.every == 0:
            model.update_parameters(Holder(loop.raw))
    run = train(backend, iso.Adam(lr=0.05), average=average)
    assert_close(run, loop)
    values = loop.values(dict(model.module.named_parameters()))
    for name, value in values.items():
        assert relative(run.average[name], value.detach().numpy()) < CLOSE, name
    assert relative(run.average["scale"], run.values["scale"]) > 1e-3
    assert train(backend, iso.Adam(), steps=3, average=iso.SWA(start=5)).average is None


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_projected_average_is_in_its_set(backend):
    problem = iso.Problem(
        name="circle", constraints={"u": iso.UnitVector()}, init={"u": np.array([0.6, 0.8])},
        loss=lambda values, batch: (values["u"] ** 4).sum(),
    )  # fmt: skip
    run = train(backend, iso.SGD(lr=0.3), problem, steps=9, method="projected", average=iso.SWA())
    assert np.linalg.norm(run.average["u"]) == pytest.approx(1, abs=1e-15)
    assert relative(run.average["u"], run.values["u"]) > 1e-3


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("parts", [3, 4])
def test_accumulation_of_torch(parts, backend):
    loop = Loop(mixed())
    optimizer, losses = torch.optim.Adam(loop.raw.values(), lr=0.05), []
    for k in range(STEPS):
        optimizer.zero_grad()
        losses.append(0.0)
        for j in range(parts):
            loss = loop.loss(parts * k + j) / parts
            loss.backward()
            losses[-1] += float(loss.detach())
        optimizer.step()
    run = train(backend, iso.Adam(lr=0.05), accumulate=parts)
    assert_close(run, loop)
    assert relative(run.history["loss"], losses) < CLOSE


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("schedule", [
    iso.ReduceLROnPlateau(factor=0.5, patience=2, cooldown=3), iso.ReduceLROnPlateau(patience=0, min_lr=0.003),
    iso.ReduceLROnPlateau(factor=0.7, patience=1, threshold=0.01, threshold_mode="abs"),
], ids=["cooldown", "floor", "abs"])  # fmt: skip
def test_a_rate_that_follows_the_loss(schedule, backend):
    loop = Loop(mixed())
    groups = [{"params": loop.leaves("scale", "offset", "weights", "levels")}, {"params": loop.leaves("small"), "lr": 0.02}]
    optimizer = torch.optim.Adam(groups, lr=0.05)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **vars(schedule))
    for k in range(STEPS):
        optimizer.zero_grad()
        loss = loop.loss(k)
        loss.backward()
        optimizer.step()
        scheduler.step(loss.detach())
    assert optimizer.param_groups[0]["lr"] < 0.05
    run = train(backend, iso.Adam(lr=0.05), schedule=schedule, groups={"small": {"lr": 0.02}})
    assert_close(run, loop)


@pytest.mark.parametrize("scale", [65536.0, 3000.0, 1e6])
def test_the_scale_of_torch(scale):
    """The same steps skipped, and the same scale after them, as by a genuine GradScaler."""
    loop = Loop(mixed(), dtype="float32")
    optimizer = torch.optim.Adam(loop.raw.values(), lr=0.05)
    scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=6)
    for k in range(STEPS):
        optimizer.zero_grad()
        scaler.scale(loop.loss(k, torch.float16)).backward()
        scaler.step(optimizer)
        scaler.update()
    spec = iso.GradScaler(init_scale=scale, growth_interval=6)
    settings = {"dtype": "float32", "compute_dtype": "float16", "grad_scaler": spec}
    runs = {backend: train(backend, iso.Adam(lr=0.05), **settings) for backend in BACKENDS}
    for run in runs.values():
        assert run.checkpoint.state["follow/scaler"][0] == scaler.get_scale()
        assert 0 < run.skipped < STEPS / 2
    assert runs["torch"].skipped == runs["jax"].skipped
    # XLA keeps more than 11 bits between operations that it fuses.
    for run, limit in ((runs["torch"], 1e-6), (runs["jax"], 5e-3)):
        assert_close(run, loop, limit)


def test_a_narrow_loss_without_a_scaler():
    run = train("torch", iso.Adam(lr=0.05), dtype="float32", compute_dtype="bfloat16")
    wide = train("torch", iso.Adam(lr=0.05), dtype="float32")
    assert run.raw["scale"].dtype == np.float32
    assert 1e-6 < relative(run.raw["levels"], wide.raw["levels"]) < 0.1


REFUSED = {
    "two groups": ({"groups": {"w*": {"lr": 1.0}, "weights": {"lr": 2.0}}}, "'weights' is in two groups"),
    "no setting": ({"groups": {"weights": {"rate": 1.0}}}, "no setting 'rate' of a group"),
    "climbing": ({"groups": {"weights": {"maximize": True}}}, "no setting 'maximize' of a group"),
    "bad value": ({"groups": {"weights": {"lr": -1.0}}}, r"groups\['weights'\]: Adam: lr=-1.0"),
    "no dict": ({"groups": [{"lr": 1.0}]}, "must be a dict of dicts"),
    "no match": ({"groups": {"wieghts": {"lr": 1.0}}}, "did you mean 'weights'"),
    "no policy": ({"decay": "all"}, "must be 'raw', 'value' or 'none'"),
    "no decay": ({"decay": "value"}, "has no weight decay"),
    "no decay there": ({"decay": {"scale": "none"}}, "has no weight decay"),
    "clip": ({"clip": 1.0}, r"clip=1.0 must be isoparam.ClipByNorm"),
    "average": ({"average": 0.9}, r"average=0.9 must be isoparam.EMA"),
    "scaler": ({"grad_scaler": 2.0}, r"grad_scaler=2.0 must be isoparam.GradScaler"),
    "scaler alone": ({"grad_scaler": iso.GradScaler()}, "give compute_dtype='float16' too"),
    "accumulate": ({"accumulate": 0}, "accumulate=0 must be a whole number"),
    "narrow": ({"compute_dtype": "float64"}, "choose 'float16' or 'bfloat16'"),
    "narrow run": ({"compute_dtype": "float16", "dtype": "bfloat16"}, "choose 'float16' or 'bfloat16'"),
    "frozen text": ({"frozen": "weights"}, "must be a tuple of names or globs"),
    "frozen name": ({"frozen": ("wieghts",)}, "did you mean 'weights'"),
    "all frozen": ({"frozen": ("*",)}, "leaves nothing to train"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_meant_is_refused(name):
    settings, message = REFUSED[name]
    with pytest.raises(SpecError, match=message):
        train("torch", iso.Adam(), steps=1, **settings)


def test_what_lbfgs_cannot_have():
    for settings in ({"groups": {"scale": {"lr": 0.1}}}, {"clip": iso.ClipByNorm(1.0)}):
        with pytest.raises(SpecError, match="with LBFGS"):
            train("torch", iso.LBFGS(), steps=1, **settings)
    with pytest.raises(SpecError, match="has no batch_size"):
        train("torch", iso.Adam(), mixed(batch_size=None), steps=1, accumulate=2)


ARGUMENTS = {
    "max_norm=-1": lambda: iso.ClipByNorm(-1.0),
    "norm_type=0.5": lambda: iso.ClipByNorm(1.0, 0.5),
    "clip_value=-1": lambda: iso.ClipByValue(-1.0),
    "decay=1.5": lambda: iso.EMA(decay=1.5),
    "every=0": lambda: iso.SWA(every=0),
    "start=-1": lambda: iso.SWA(start=-1),
    "growth_factor=1.0": lambda: iso.GradScaler(growth_factor=1.0),
    "backoff_factor=1.0": lambda: iso.GradScaler(backoff_factor=1.0),
    "init_scale=0": lambda: iso.GradScaler(init_scale=0.0),
}


@pytest.mark.parametrize("message", ARGUMENTS)
def test_arguments_outside_their_range(message):
    with pytest.raises(SpecError, match=message):
        ARGUMENTS[message]()


@pytest.mark.parametrize("kind", OPTIMIZERS, ids=lambda kind: kind.__name__)
def test_all_of_it_goes_with_a_run(kind, tmp_path):
    """Every optimizer with groups, decay, freezing, clipping, an average, accumulation and a schedule that follows the loss."""
    decays = "weight_decay" in kind.__dataclass_fields__
    optimizer = kind(**{"lr": 0.01} | ({"weight_decay": 0.1} if decays else {}))
    settings = {"average": iso.EMA(decay=0.8, start=3), "accumulate": 2, "frozen": ("scale",), "seed": 3}
    settings |= {"decay": {"small": "value", "weights": "none"}} if decays else {}
    settings |= {"schedule": iso.ReduceLROnPlateau(factor=0.5, patience=1)}
    if kind is not iso.LBFGS:
        settings |= {"groups": {"offset": {"lr": 0.003}}, "clip": iso.ClipByNorm(0.5)}
    problem = mixed() if kind is not iso.Muon else planes()
    if kind is iso.Muon:
        settings |= {"accumulate": 1, "decay": {"small": "value", "free": "none"}, "groups": {"free": {"lr": 0.003}}}
    rng = np.random.default_rng(len(kind.__name__))
    whole = {backend: train(backend, optimizer, problem, **settings) for backend in BACKENDS}
    for first, second in (BACKENDS, BACKENDS[::-1]):
        k = int(rng.integers(1, STEPS))
        train(first, optimizer, problem, steps=k, **settings).save(tmp_path / first)
        again, other = (iso.resume(tmp_path / first, backend, STEPS - k, problem) for backend in (first, second))
        for name, raw in whole[first].raw.items():
            assert again.raw[name].tobytes() == raw.tobytes(), name
            assert again.average[name].tobytes() == whole[first].average[name].tobytes(), name
            limit = 1e-4 if kind is iso.Muon else 1e-10  # Muon computes in bfloat16
            assert relative(other.raw[name], raw) < limit, name
            assert relative(other.average[name], whole[first].average[name]) < limit, name
        assert again.history["loss"].tobytes() == whole[first].history["loss"].tobytes()


def planes():
    """Matrices alone, which Muon trains too."""
    return iso.Problem(
        name="planes", constraints={"scale": iso.Positive(), "small": iso.Positive()},
        init={"free": np.array([[0.5, -1.0], [2.0, 0.1]]), "scale": np.full((2, 2), 0.7), "small": np.full((2, 2), 0.4)},
        loss=lambda values, batch: ((values["free"] * values["scale"] - values["small"] - 1.0) ** 2).sum(),
    )  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_scale_goes_with_a_run(backend, tmp_path):
    settings = {"dtype": "float32", "compute_dtype": "float16", "grad_scaler": iso.GradScaler(growth_interval=7)}
    whole = train(backend, iso.Adam(lr=0.05), **settings)
    train(backend, iso.Adam(lr=0.05), steps=17, **settings).save(tmp_path)
    run = iso.resume(tmp_path, backend, STEPS - 17, mixed())
    assert run.raw["levels"].tobytes() == whole.raw["levels"].tobytes()
    assert run.skipped == whole.skipped
    assert run.checkpoint.state["follow/scaler"].tobytes() == whole.checkpoint.state["follow/scaler"].tobytes()


def test_compare_follows_the_same_arguments():
    settings = {"groups": {"small": {"lr": 0.002}}, "frozen": ("scale",), "clip": iso.ClipByNorm(0.5), "accumulate": 2}
    optimizer, schedule = iso.AdamW(lr=0.01, weight_decay=0.1), iso.ReduceLROnPlateau(patience=1)
    report = iso.parity.compare(mixed(), 20, optimizer=optimizer, schedule=schedule, **settings)
    assert report.ok, report.first_divergence
    assert "ReduceLROnPlateau(" in report.optimizer
    assert "accumulate=2" in report.optimizer
    with pytest.raises(SpecError, match="unknown argument 'freeze'; did you mean 'frozen'"):
        iso.parity.compare(mixed(), 20, freeze=("scale",))
