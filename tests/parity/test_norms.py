"""The recorded gradient norm at any scale, losses of a narrower dtype, and where warnings point: the same in both backends."""

import jax.numpy as jnp
import numpy as np
import pytest

import isoparam as iso
from isoparam.backends import BACKENDS
from isoparam.errors import NonFiniteError, SaturationWarning, SpecError


def tilted(scale, count):
    """A loss whose gradient is `scale` in each of `count` entries."""
    return iso.Problem(
        name="tilted", constraints={}, init={"x": np.zeros(count)}, loss=lambda values, batch: (scale * values["x"]).sum()
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("count", [4, 100], ids=["kept whole", "by the step"])
@pytest.mark.parametrize(
    ("dtype", "scale"),
    [("float64", s) for s in (0.0, 1e-300, 1e-160, 1.0, 1e160, 1e300)] + [("float32", s) for s in (1e-35, 1e-20, 1e20, 1e35)],
)
def test_norms_are_right_where_squares_are_not(backend, count, dtype, scale):
    run = iso.train(tilted(scale, count), backend=backend, optimizer=iso.SGD(lr=1e-300), steps=2, dtype=dtype)
    assert run.history["grad_norm"] == pytest.approx(scale * np.sqrt(count), rel=1e-14 if dtype == "float64" else 1e-6, abs=0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("count", [4, 100])
@pytest.mark.parametrize("scale", [np.inf, np.nan], ids=str)
def test_norms_that_are_not_finite_stay_so(backend, count, scale):
    with pytest.raises(NonFiniteError, match="step 0"):
        iso.train(tilted(scale, count), backend=backend, optimizer=iso.SGD(), steps=2)


def test_a_loss_narrower_than_the_run_is_refused():
    narrow = {"torch": lambda values, batch: values["x"].float() ** 2, "jax": lambda v, b: v["x"].astype(jnp.float32) ** 2}
    problem = iso.Problem(name="narrow", constraints={}, init={"x": 1.0}, loss=narrow)
    for backend in BACKENDS:
        with pytest.raises(SpecError, match="the loss is float32 in a float64 run"):
            iso.train(problem, backend=backend, optimizer=iso.SGD(), steps=1)
        for dtype in ("float32", "bfloat16"):
            iso.train(problem, backend=backend, optimizer=iso.SGD(), steps=1, dtype=dtype)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("tol_grad", [None, 0.0], ids=["last step", "early stop"])
def test_the_saturation_warning_points_at_the_line_that_trains(backend, tol_grad):
    falling = iso.Problem(
        name="f", constraints={"x": iso.Interval(0, 1)}, init={"x": 0.5}, loss=lambda values, batch: values["x"] * 1.0
    )
    with pytest.warns(SaturationWarning) as caught:
        iso.train(falling, backend=backend, optimizer=iso.Adam(lr=200.0), steps=40, tol_grad=tol_grad)
    assert [warning.filename for warning in caught] == [__file__]


def test_a_problem_is_shown_in_one_line():
    shown = repr(tilted(1.0, 100))
    assert shown == "Problem('tilted', {x[100]: Real()}, backends=('torch', 'jax'))"
    init = {f"p{i}": 1.0 for i in range(100)}
    many = iso.Problem(name="m", constraints={}, init=init, data={"a": np.ones(5)}, loss=lambda values, batch: 0.0)
    assert repr(many).endswith("... 100 in all}, rows=5, backends=('torch', 'jax'))")
    assert len(repr(many)) < 300
