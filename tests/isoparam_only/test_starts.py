"""What `start=` may say and which numbers may be assigned, without a framework."""

import numpy as np
import pytest

from isoparam.errors import SpecError
from isoparam.starts import STARTS, as_numbers, as_start


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.array([0.5], dtype=np.float16)], ids=["float", "scalar", "array"])
def test_floating_numbers_become_float64(value):
    numbers = as_numbers(value, "tensor")
    assert numbers.dtype == np.float64
    assert numbers.reshape(-1).tolist() == [0.5]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, r"1 is an integer; write 1\.0"),
        (np.int8(-2), r"write -2\.0"),
        (False, "is a boolean"),
        (np.True_, "is a boolean"),
        (np.array([True]), "array of bool is not floating"),
        (np.array([1j]), "array of complex128 is not floating"),
        ([0.5], "expected a float, a floating numpy array or a floating tensor, got list"),
    ],
    ids=["int", "int8", "bool", "numpy bool", "bools", "complex", "list"],
)
def test_nothing_is_cast_silently(value, text):
    with pytest.raises(SpecError, match=text):
        as_numbers(value, "tensor")


def test_starts():
    rng = np.random.default_rng(0)
    assert [as_start(start) for start in (*STARTS, rng)] == [*STARTS, rng]
    assert as_start(0.5).tolist() == 0.5
    with pytest.raises(SpecError, match="start='values' must be 'value', 'raw', 'project', a float"):
        as_start("values")
