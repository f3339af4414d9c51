"""What the verbs promise in PyTorch: shapes, dtypes, axes, bounds, limits, inverses and determinants."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import isoparam as iso
from isoparam.errors import DomainError, SpecError
from isoparam.torch import RULES, contains, forward, initial, inverse, log_abs_det, project, raw_shape
from samples import DTYPES, SAMPLES, SCALARS, SHAPED, VECTORS, Sample, volume_of

each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
each_scalar = pytest.mark.parametrize("sample", SCALARS, ids=lambda sample: sample.name)
each_between = pytest.mark.parametrize(
    "sample", [s for s in SCALARS if not np.isnan(s.ends).any()], ids=lambda sample: sample.name
)
each_vector = pytest.mark.parametrize("sample", VECTORS, ids=lambda sample: sample.name)
each_shaped = pytest.mark.parametrize("sample", SHAPED, ids=lambda sample: sample.name)
each_dtype = pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)


def some_raw(sample: Sample, *batch: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Raw numbers of ordinary size: batch axes, then those that the spec needs."""
    shape = (*batch, *sample.core)
    return torch.tensor(np.random.Generator(np.random.Philox(3)).normal(0, 1, shape), dtype=dtype)


def test_every_spec_has_a_torch_rule() -> None:
    assert set(RULES) >= set(iso.catalogue())
    assert {spec for spec in RULES if spec.__module__.startswith("isoparam.specs.")} == set(iso.catalogue())


@each_dtype
@each_sample
@pytest.mark.parametrize("batch", [(), (0,), (3, 2)], ids=str)
def test_shapes_and_dtypes_come_back(sample: Sample, batch: tuple[int, ...], dtype: torch.dtype) -> None:
    raw = some_raw(sample, *batch, dtype=dtype)
    value = forward(sample.spec, raw)
    assert value.shape == sample.spec.value_shape(raw.shape)
    assert raw.shape == raw_shape(sample.spec, value.shape)
    batch = raw.shape if sample.is_scalar else batch
    determinants = [log_abs_det(sample.spec, raw)] if sample.has("log_abs_det") else []
    nearest = [project(sample.spec, value)] if sample.has("project") else []
    assert [determinant.shape for determinant in determinants] == [batch] * len(determinants)
    assert [point.shape for point in nearest] == [value.shape] * len(nearest)
    assert contains(sample.spec, value).shape == batch
    assert contains(sample.spec, value).dtype == torch.bool
    for result in (value, *determinants, *nearest, inverse(sample.spec, value, check=False)):
        assert result.dtype == dtype


@each_sample
def test_a_batch_is_its_rows(sample: Sample) -> None:
    """Row by row the same numbers, up to the last place: torch's vector and scalar code paths differ there."""
    raw = some_raw(sample, 3, 2)
    rows = [[forward(sample.spec, raw[i, j]) for j in range(2)] for i in range(3)]
    torch.testing.assert_close(
        forward(sample.spec, raw), torch.stack([torch.stack(row) for row in rows]), rtol=9e-16, atol=9e-16
    )


@each_vector
@pytest.mark.parametrize("axis", [0, 1, -2])
def test_axis_moves_the_vectors(sample: Sample, axis: int) -> None:
    moved = type(sample.spec)(**{**vars_of(sample.spec), "axis": axis})
    raw = some_raw(sample, 4, 2)
    value = forward(sample.spec, raw)
    there = lambda array: torch.movedim(array, -1, axis)  # noqa: E731
    assert torch.equal(forward(moved, there(raw)), there(value))
    if sample.has("log_abs_det"):
        assert torch.equal(log_abs_det(moved, there(raw)), log_abs_det(sample.spec, raw))
    assert torch.equal(inverse(moved, there(value)), there(inverse(sample.spec, value)))
    if sample.has("project"):
        assert torch.equal(project(moved, there(3 * value)), there(project(sample.spec, 3 * value)))
    assert torch.equal(contains(moved, there(value)), contains(sample.spec, value))


def vars_of(spec: iso.Spec) -> dict:
    return {name: number for name, number in vars(spec).items() if not name.startswith("_")}


@each_sample
def test_values_lie_inside_and_come_from_their_raw(sample: Sample) -> None:
    raw = some_raw(sample, 50)
    value = forward(sample.spec, raw)
    assert contains(sample.spec, value).all()
    again = inverse(sample.spec, value)
    # An error of 3 ULP of the value is an error of 3 ULP / derivative in raw; raw is within (-4, 4) here.
    size = np.abs(value.numpy())
    if sample.volume == "surface" or sample.forward_unit == "norm":  # where entries come of one another
        size = np.max(size, axis=tuple(range(1, size.ndim)), keepdims=True)
    room = 3 * np.spacing(np.maximum(size, sample.added_bounds))
    if sample.is_scalar:
        slope = np.exp(log_abs_det(sample.spec, raw).numpy())
        assert (np.abs(again.numpy() - raw.numpy()) <= room / slope + 1e-15).all()
    elif sample.unique:
        torch.testing.assert_close(again, raw, rtol=1e-13 * sample.condition, atol=1e-13 * sample.condition)
    back = forward(sample.spec, again)
    assert (np.abs(back.numpy() - value.numpy()) <= sample.back / 3 * room).all()


@each_sample
def test_log_abs_det_is_that_of_the_jacobian(sample: Sample) -> None:
    if not sample.has("log_abs_det"):
        with pytest.raises(SpecError, match="has no log_abs_det: "):
            log_abs_det(sample.spec, some_raw(sample, 5))
        return
    raw = some_raw(sample, 5)
    for row, stated in zip(raw, log_abs_det(sample.spec, raw), strict=True):
        jacobian = torch.func.jacrev(sample.flat(forward))(row.reshape(-1))
        np.testing.assert_allclose(volume_of(sample, jacobian.numpy()), stated.sum(), rtol=1e-13, atol=1e-13)


@each_shaped
def test_log_abs_det_of_other_sizes(sample: Sample) -> None:
    for shape in sample.raws if sample.has("log_abs_det") else ():
        resized = replace(sample, raws=(shape, shape))
        generator = np.random.Generator(np.random.Philox(shape[0]))
        raw = initial(sample.spec, sample.spec.value_shape(shape), generator, torch.float64)
        jacobian = torch.func.jacfwd(resized.flat(forward))(raw.reshape(-1))
        stated = log_abs_det(sample.spec, raw)
        np.testing.assert_allclose(volume_of(resized, jacobian.numpy()), stated, rtol=1e-13, atol=1e-13)


def test_a_simplex_of_one_weight_has_no_raw() -> None:
    raw = torch.zeros(2, 0)
    assert torch.equal(forward(iso.Simplex(), raw), torch.ones(2, 1))
    assert inverse(iso.Simplex(), torch.ones(2, 1)).shape == (2, 0)
    assert torch.equal(log_abs_det(iso.Simplex(), raw), torch.zeros(2))


@each_scalar
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_ends_of_raw(sample: Sample, dtype: str) -> None:
    raw = torch.tensor(sample.spread([-np.inf, np.inf, np.nan]), dtype=getattr(torch, dtype), requires_grad=True)
    value = forward(sample.spec, raw)
    ends, end_slopes = (np.array([*pair, np.full(sample.core, np.nan)], dtype) for pair in (sample.ends, sample.end_slopes))
    np.testing.assert_array_equal(value.detach().numpy(), ends)
    (slope,) = torch.autograd.grad(value.sum(), raw)
    linear = (end_slopes[0] == end_slopes[1]) & (end_slopes[0] != 0)  # the slope knows no raw, so nan neither
    end_slopes[2] = np.where(linear, end_slopes[0], np.nan)
    np.testing.assert_array_equal(slope.numpy(), end_slopes)
    with np.errstate(divide="ignore"):
        logs = np.log(np.abs(end_slopes.astype(np.float64))).astype(dtype)
    np.testing.assert_array_equal(log_abs_det(sample.spec, raw.detach()).numpy(), logs)


@each_scalar
def test_zeros_of_both_signs_give_one_value(sample: Sample) -> None:
    value = forward(sample.spec, torch.tensor(sample.spread([0.0, -0.0])))
    assert torch.equal(value[0], value[1])


@each_scalar
def test_saturated_values_are_the_border_and_refused(sample: Sample) -> None:
    """Where a value has rounded to its border, `contains` says so and `inverse` does not invent a raw."""
    value = forward(sample.spec, torch.tensor(sample.spread([-1e4, 1e4])))
    saturated = torch.tensor(value.numpy() == np.array(sample.ends))
    assert torch.equal(contains(sample.spec, value), ~saturated)
    for v, refused in zip(value, saturated, strict=True):
        if refused.any():
            with pytest.raises(DomainError):
                inverse(sample.spec, v)


@pytest.mark.parametrize("dtype", DTYPES)
def test_array_bounds_are_taken_entry_by_entry(dtype: str) -> None:
    low, high = np.array([[0.0], [-3.0]]), np.array([1.0, 2.5, 1e6])
    spec = iso.Interval(low, high)
    raw = torch.tensor(np.random.Generator(np.random.Philox(4)).normal(0, 2, (4, 2, 3)), dtype=getattr(torch, dtype))
    value = forward(spec, raw)
    determinant = log_abs_det(spec, raw)
    assert contains(spec, value).all()
    room = 4 * torch.finfo(raw.dtype).eps
    for i, j in np.ndindex(2, 3):
        alone = iso.Interval(low[i, 0], high[j])
        torch.testing.assert_close(value[:, i, j], forward(alone, raw[:, i, j]), rtol=room, atol=0)
        torch.testing.assert_close(determinant[:, i, j], log_abs_det(alone, raw[:, i, j]), rtol=room, atol=room)
        torch.testing.assert_close(project(spec, 5 * raw)[:, i, j], project(alone, 5 * raw[:, i, j]), rtol=0, atol=0)


@pytest.mark.parametrize("make", [iso.GreaterThan, iso.LessThan], ids=lambda make: make.__name__)
def test_array_bounds_of_half_lines(make) -> None:
    bounds = [0.0, 1.0, -2.0]
    raw = some_raw(SAMPLES[0], 4, 3)
    together = forward(make(bounds), raw)
    alone = torch.stack([forward(make(bound), raw[:, k]) for k, bound in enumerate(bounds)], dim=-1)
    torch.testing.assert_close(together, alone, rtol=5e-16, atol=5e-16)


def test_bounds_are_those_of_the_dtype_not_of_float32() -> None:
    far = torch.tensor([-1e3, 1e3], dtype=torch.float64)
    assert forward(iso.Interval(0.1, 0.9), far).tolist() == [0.1, 0.9]
    with pytest.raises(SpecError, match="overflows in float32"):
        forward(iso.Interval(0, 1e300), torch.zeros(1))
    with pytest.raises(SpecError, match="number in float32; use a wider dtype"):
        forward(iso.Interval(1, 1 + 1e-12), torch.zeros(1))


@each_between
def test_projection_moves_outside_points_to_the_border(sample: Sample) -> None:
    low, high = np.sort(np.array(sample.ends), axis=0)
    point = torch.tensor(sample.spread([-1e300, -1.0, 0.05, 0.5, 2.0, 1e300, np.nan]))
    np.testing.assert_array_equal(project(sample.spec, point).numpy(), np.clip(point.numpy(), low, high))


@pytest.mark.parametrize(
    ("point", "nearest"),
    [
        ([0.2, 0.3, 0.5], [0.2, 0.3, 0.5]),
        ([1.0, 1.0, 1.0, 1.0], [0.25, 0.25, 0.25, 0.25]),
        ([3.0, 0.0, 0.0], [1.0, 0.0, 0.0]),
        ([0.5, 0.5, -7.0], [0.5, 0.5, 0.0]),
        ([-4.0], [1.0]),
        ([1e30, 1e30], [0.5, 0.5]),
    ],
    ids=str,
)
def test_projection_on_the_simplex(point: list[float], nearest: list[float]) -> None:
    assert project(iso.Simplex(), torch.tensor(point, dtype=torch.float64)).tolist() == nearest


@pytest.mark.parametrize(
    ("point", "nearest"),
    [
        ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]),
        ([3.0, 1.0], [2.0, 2.0]),
        ([3.0, 2.0, 1.0], [2.0, 2.0, 2.0]),
        ([1.0, 5.0, 3.0, 4.0], [1.0, 4.0, 4.0, 4.0]),
        ([7.0], [7.0]),
    ],
    ids=str,
)
def test_projection_on_the_ordered_vectors(point: list[float], nearest: list[float]) -> None:
    assert project(iso.Ordered(), torch.tensor(point, dtype=torch.float64)).tolist() == nearest


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ([1.0, 800.0, 2.0], [1.0, np.inf, np.inf]),
        ([1.0, np.inf, 2.0], [1.0, np.inf, np.inf]),
        ([0.0, np.nan], [np.nan, np.nan]),
        ([-np.inf, 0.0, 0.0], [-np.inf, -np.inf, -np.inf]),
        ([1.0, -np.inf, 0.0], [1.0, 1.0, 2.0]),
    ],
    ids=str,
)
def test_an_infinite_gap_spoils_only_what_follows_and_nan_all(raw: list[float], value: list[float]) -> None:
    spec = iso.Ordered(link="exp")
    np.testing.assert_array_equal(forward(spec, torch.tensor(raw, dtype=torch.float64)).numpy(), value)


def test_initial_is_zero_or_drawn_from_numpy() -> None:
    assert torch.equal(initial(iso.Simplex(), (2, 4)), torch.zeros(2, 3))
    drawn = initial(iso.Positive(), (3,), np.random.Generator(np.random.Philox(1)), torch.float64)
    assert drawn.tolist() == np.random.Generator(np.random.Philox(1)).standard_normal(3).tolist()
    tree = initial(
        {"a": iso.Real(), "b": iso.Ordered()}, {"a": (), "b": (2,)}, np.random.Generator(np.random.Philox(1)), torch.float64
    )
    assert [tree["a"].item(), *tree["b"].tolist()] == np.random.Generator(np.random.Philox(1)).standard_normal(3).tolist()
    with pytest.raises(SpecError, match="must have the same keys"):
        initial({"a": iso.Real()}, {"b": ()})


@each_scalar
def test_bfloat16_is_rounded_once(sample: Sample) -> None:
    """All finite bfloat16 inputs: the float64 value, rounded to bfloat16, wherever that is a normal number.

    Measured: no mismatch but those below, though float32 lies in between. test_oracle holds the float64 value to 50 digits.
    """
    raw = torch.arange(65536, dtype=torch.int32).to(torch.uint16).view(torch.bfloat16)
    raw = raw[torch.isfinite(raw) & (raw.abs() <= sample.reach)]
    raw = raw if sample.core == () else raw[:, None].expand(-1, *sample.core)
    right = forward(sample.spec, raw.double()).to(torch.bfloat16)
    got = forward(sample.spec, raw)
    normal = right.abs() >= torch.finfo(torch.bfloat16).tiny
    mismatches = (got != right) & normal
    # float32 holds other numbers 0.1, 0.9 and 0.3 than float64: some values lie so near a middle that this decides.
    # Below -3 two values lie so near a middle that float32 rounds them to it.
    allowed = {"interval-decimal": 1, "affine": 10, "box-array": 2}.get(sample.name, 0)
    assert int(mismatches.sum()) <= allowed, (
        f"{int(mismatches.sum())} of {raw.numel()}, first at {raw[mismatches][:1].tolist()}"
    )
    assert (got[~normal].abs() <= torch.finfo(torch.bfloat16).tiny).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
@pytest.mark.parametrize("weights", [2, 5, 1000])
def test_a_simplex_is_inside_in_the_dtype_it_was_rounded_to(weights: int, dtype: torch.dtype) -> None:
    raw = torch.tensor(np.random.Generator(np.random.Philox(4)).normal(0, 1, (20, weights - 1))).to(dtype)
    value = forward(iso.Simplex(), raw)
    assert contains(iso.Simplex(), value).all()
    assert inverse(iso.Simplex(), value).dtype == dtype
    assert not contains(iso.Simplex(), value * 1.25).any()
