"""Numbers and texts of numpy and of enumerations become those of Python; anything else stays what it is."""

import doctest
from collections import OrderedDict
from enum import Enum, IntEnum, StrEnum
from types import MappingProxyType

import numpy as np
import pytest

from isoparam import plain as module
from isoparam.plain import plain


class Text(StrEnum):
    A = "a"


class OldText(str, Enum):  # noqa: UP042 - whose str() is its name
    A = "a"


class Number(IntEnum):
    ONE = 1


class Wide(float):
    pass


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64(0.1), 0.1),
        (np.float32(0.25), 0.25),
        (np.longdouble(0.5), 0.5),
        (np.int8(3), 3),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array(2.0), 2.0),
        (np.array([1, 2]), [1, 2]),
        (Text.A, "a"),
        (OldText.A, "a"),
        (Number.ONE, 1),
        (Wide(0.5), 0.5),
        ((np.int64(1), [Text.A]), (1, ["a"])),
        (MappingProxyType({np.str_("x"): np.float32(1.0)}), {"x": 1.0}),
        (OrderedDict(x=np.int64(1)), {"x": 1}),
    ],
    ids=repr,
)
def test_it_becomes_plain(value, expected):
    result = plain(value)
    assert repr(result) == repr(expected)
    assert type(result) is type(expected)


@pytest.mark.parametrize("value", [None, print, {1, 2}, 1j, range(3)], ids=repr)
def test_anything_else_is_as_it_was(value):
    assert plain(value) is value


def test_example():
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
