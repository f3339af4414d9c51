"""What the verbs refuse in JAX: values outside, borders, what is no floating array, shapes, what is no spec."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import isoparam as iso
from isoparam.errors import DomainError, SpecError
from isoparam.jax import contains, forward, inverse, log_abs_det, project
from samples import SAMPLES, SCALARS, Sample

pytestmark = pytest.mark.usefixtures("x64")


@pytest.fixture
def x64() -> Iterator[None]:
    """float64 arrays, inside this test only."""
    with jax.enable_x64(True):
        yield


@cache
def jitted(function: Callable[..., Any], spec: iso.Spec) -> Callable[..., Any]:
    """`function(spec, ...)`, compiled: an eager JAX call compiles every operation by itself, which takes minutes here."""
    return jax.jit(partial(function, spec))


unchecked = partial(inverse, check=False)


OUTSIDE = [(sample, value) for sample in SAMPLES for value in (*sample.outside, *sample.borders)]


@pytest.mark.parametrize(("sample", "value"), OUTSIDE, ids=[f"{sample.name}:{value}" for sample, value in OUTSIDE])
def test_outside_and_border_values_are_refused(sample: Sample, value) -> None:
    value = jnp.asarray(value, "float64")
    assert not contains(sample.spec, value).all()
    with pytest.raises(DomainError) as caught:
        inverse(sample.spec, value)
    assert sample.spec.facts.domain in str(caught.value)
    if not sample.only_checked:
        assert not jnp.isfinite(jitted(unchecked, sample.spec)(value)).all()


BORDERS = [(sample, value) for sample in SCALARS for value in sample.borders]


@pytest.mark.parametrize(("sample", "value"), BORDERS, ids=[f"{sample.name}:{value}" for sample, value in BORDERS])
def test_unchecked_a_border_gives_an_infinity(sample: Sample, value: float) -> None:
    assert jnp.isinf(jitted(unchecked, sample.spec)(jnp.asarray(value, "float64"))).all()


STRICTLY = [(sample, value) for sample in SCALARS for value in sample.outside if np.isfinite(value).all()]


@pytest.mark.parametrize(("sample", "value"), STRICTLY, ids=[f"{sample.name}:{value}" for sample, value in STRICTLY])
def test_under_transforms_an_outside_value_gives_nan(sample: Sample, value: float) -> None:
    values = jnp.asarray([value, value])
    assert jnp.isnan(jitted(inverse, sample.spec)(values)).all()
    assert jnp.isnan(jax.jit(jax.vmap(jax.value_and_grad(lambda v: inverse(sample.spec, v).sum())))(values)[0]).all()


def test_the_first_outside_entry_is_named() -> None:
    value = jnp.full((2, 3), 0.5).at[1, 2].set(1.25)
    with pytest.raises(DomainError, match=r"value 1\.25 at \(1, 2\) is not inside \(0, 1\) of UnitInterval\(\)"):
        inverse(iso.UnitInterval(), value)


NOT_ARRAYS = {
    "a float": (0.5, "raw must be a JAX or numpy array, got float: use jnp.asarray(raw)"),
    "a list": ([0.5], "raw must be a JAX or numpy array, got list"),
    "nothing": (None, "raw must be a JAX or numpy array, got NoneType"),
    "integers": (jnp.arange(3, dtype="int32"), "raw must be floating, got int32; write 1.0 for 1, or raw.astype(float)"),
    "booleans": (jnp.ones(3, bool), "raw must be floating, got bool"),
    "complex numbers": (jnp.ones(3, "complex64"), "raw must be floating, got complex64"),
}


@pytest.mark.parametrize(("raw", "message"), NOT_ARRAYS.values(), ids=NOT_ARRAYS.keys())
@pytest.mark.parametrize("spec", [iso.UnitInterval(), iso.Simplex()], ids=str)
def test_what_is_no_floating_tensor_is_refused(spec: iso.Spec, raw, message: str) -> None:
    for verb in (forward, log_abs_det):
        with pytest.raises(SpecError) as caught:
            verb(spec, raw)
        assert message in str(caught.value)
    for verb in (inverse, project, contains):
        with pytest.raises(SpecError) as caught:
            verb(spec, raw)
        assert message.replace("raw", "value") in str(caught.value)


@pytest.mark.parametrize("verb", [forward, inverse, log_abs_det, project, contains], ids=lambda verb: verb.__name__)
def test_what_has_fewer_than_16_bits_is_refused(verb) -> None:
    with pytest.raises(SpecError, match=r"(raw|value) is float8_e5m2, .* use jnp\.bfloat16\((raw|value)\)"):
        verb(iso.UnitInterval(), jnp.full((2, 2), 0.5, jnp.float8_e5m2))


@pytest.mark.parametrize(
    ("spec", "shape", "message"),
    [
        (iso.GreaterThan([0.0, 1.0]), (3,), "bounds of shape (2,) do not broadcast into a raw of shape (3,)"),
        (iso.Ordered(), (2, 0), "a raw of shape (2, 0) is empty along axis -1"),
        (iso.Simplex(), (), "a raw of shape () has no axis -1"),
        (iso.Ordered(axis=1), (3,), "a raw of shape (3,) has no axis 1"),
    ],
    ids=str,
)
def test_a_wrong_shape_is_refused(spec: iso.Spec, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        forward(spec, jnp.zeros(shape))
    assert message in str(caught.value)


@pytest.mark.parametrize("spec", [iso.Interval, "positive", None, 3.0], ids=repr)
def test_what_is_no_spec_is_refused(spec) -> None:
    for verb in (forward, inverse, log_abs_det, project, contains):
        with pytest.raises(SpecError, match=r"expected a spec such as isoparam\.Interval\(0, 1\)"):
            verb(spec, jnp.zeros(2))


def test_a_subclass_of_a_spec_has_no_rule() -> None:
    @dataclass(frozen=True)
    class Weight(iso.Positive):
        """Stands for a third party's spec."""

    with pytest.raises(SpecError, match="the jax backend has no rule for Weight"):
        forward(Weight(), jnp.zeros(2))
