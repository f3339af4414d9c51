"""The ULP distance on the ordered line of each dtype, and the relative difference over a stated scale."""

import numpy as np
import pytest

from isoparam.errors import SpecError
from isoparam.parity import max_relative, max_ulp, relative_difference, ulp_distance

DTYPES = (np.float16, np.float32, np.float64)
tiny = np.nextafter(np.float64(0), 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("start", [1.0, -3.5, 1e-7, 0.0])
def test_counts_the_neighbours_that_nextafter_walks(dtype, start):
    start = dtype(start)
    point = start
    for count in range(1, 6):
        point = np.nextafter(point, dtype(np.inf))
        assert ulp_distance(start, point) == count
        assert ulp_distance(point, start) == count


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_line_goes_through_a_single_zero(dtype):
    smallest = np.finfo(dtype).smallest_subnormal
    assert ulp_distance(-smallest, smallest) == 2
    assert ulp_distance(dtype(-0.0), dtype(0.0)) == 0
    assert ulp_distance(dtype(-0.0), smallest) == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_two_nans_agree_and_nothing_is_near_nan_or_infinity(dtype):
    a = np.array([np.nan, np.nan, np.inf, np.inf, np.inf, -np.inf], dtype)
    b = np.array([np.nan, 1.0, np.inf, -np.inf, np.finfo(dtype).max, np.nan], dtype)
    assert ulp_distance(a, b).tolist() == [0, np.inf, 0, np.inf, np.inf, np.inf]
    assert relative_difference(a, b).tolist() == [0, np.inf, 0, np.inf, np.inf, np.inf]


def test_the_ends_of_the_line_do_not_overflow():
    big = np.finfo(np.float64).max
    assert ulp_distance(-big, big) == pytest.approx(2.0 * (0x7FF0000000000000 - 1))


def test_agrees_with_numpy_on_random_numbers():
    a = np.random.default_rng(0).standard_normal(1000)
    b = a + np.random.default_rng(1).integers(-50, 50, 1000) * np.spacing(np.abs(a)) / 4
    positive = np.abs(a), np.abs(b)
    expected = np.abs(positive[0].view(np.int64) - positive[1].view(np.int64))
    np.testing.assert_array_equal(ulp_distance(*positive), expected)


def test_bfloat16_in_float32_arrays_counts_its_own_last_places():
    assert ulp_distance(np.float32([1.0, 2.0]), np.float32([1.0078125, 2.0]), dtype="bfloat16").tolist() == [1.0, 0.0]
    assert ulp_distance(np.float32(np.nan), np.float32(np.nan), dtype="bfloat16") == 0


def test_bfloat16_arrays_of_ml_dtypes():
    bfloat16 = pytest.importorskip("ml_dtypes", reason="ml_dtypes comes with jax").bfloat16
    a, b = np.array([1.0, -2.0, np.nan], bfloat16), np.array([1.015625, -2.0, np.nan], bfloat16)
    assert ulp_distance(a, b).tolist() == [2.0, 0.0, 0.0]
    assert max_ulp(a, b).index == (0,)


def test_float32_numbers_in_float64_arrays_count_float32_places():
    a = np.float64([1.0, 0.1])
    assert ulp_distance(
        np.float32(a).astype(np.float64), np.float32([1 + 2**-23, 0.1]).astype(np.float64), dtype="float32"
    ).tolist() == [1, 0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_entries_below_the_floor_count_in_its_last_place(dtype):
    eps = np.finfo(dtype).eps
    a, b = np.array([eps, -eps / 4, 4.0, 0.0], dtype), np.array([-eps, eps / 4, 4.0 + 4 * eps, 0.0], dtype)
    assert ulp_distance(a, b, 1.0).tolist() == [2, 1, 1, 0]
    assert ulp_distance(a, b, np.array([3.0, 3.0, 3.0, 3.0])).tolist() == [1, 1, 1, 0]
    assert ulp_distance(a, b).tolist()[2:] == [1, 0]


def test_a_floor_hides_neither_nan_nor_infinity():
    assert ulp_distance(np.array([np.nan, np.inf]), np.array([0.0, 0.0]), 1.0).tolist() == [np.inf, np.inf]


def test_numbers_that_are_not_of_the_dtype_are_refused():
    with pytest.raises(SpecError, match="not bfloat16: round it"):
        ulp_distance(np.float32(1.001), np.float32(1.0), dtype="bfloat16")
    with pytest.raises(SpecError, match="not float32: round it"):
        ulp_distance(np.float64(0.1), np.float64(0.1), dtype="float32")


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros(2), np.zeros(3), r"same shape, got \(2,\) and \(3,\)"),
        (np.zeros(2), np.zeros(2, np.float32), "same dtype, got float64 and float32"),
        (np.zeros(2, int), np.zeros(2, int), "no last place is known for dtype 'int64'"),
    ],
    ids=["shapes", "dtypes", "integers"],
)
def test_bad_pairs_are_named(a, b, message):
    with pytest.raises(SpecError, match=message):
        ulp_distance(a, b)


def test_the_floor_is_the_smallest_scale():
    assert relative_difference(1e-9, 0.0) == 1.0
    assert relative_difference(1e-9, 0.0, floor=1.0) == 1e-9
    assert relative_difference([4.0, 0.0], [2.0, 0.0]).tolist() == [0.5, 0.0]
    assert relative_difference([1.0, 1.0], [1.5, 1.5], floor=np.array([0.0, 5.0])).tolist() == [1 / 3, 0.1]


def test_differences_that_overflow_or_underflow_stay_right():
    assert relative_difference(1e308, -1e308) == 2.0
    assert relative_difference(tiny, 0.0) == 1.0


def test_the_worst_entry_is_named():
    a = np.arange(6.0).reshape(2, 3)
    b = a.copy()
    b[1, 2] += 1.0
    worst = max_relative(a, b)
    assert (worst.distance, worst.index, worst.a, worst.b) == (1 / 6, (1, 2), 5.0, 6.0)
    assert max_ulp(a, b).index == (1, 2)


def test_single_numbers_and_empty_arrays_have_no_index():
    assert max_relative(2.0, 1.0).index == ()
    assert max_ulp(np.zeros((0, 3)), np.zeros((0, 3))).distance == 0.0
