"""The two file formats, read strictly: JSON and safetensors, as bytes that anyone may have written."""

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any

import numpy as np

from isoparam.errors import CheckpointError

DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BOOL": "bool"}
DTYPES |= {f"{sign}{bits}": f"{kind}{bits}" for sign, kind in (("I", "int"), ("U", "uint")) for bits in (8, 16, 32, 64)}
LONGEST_HEADER = 2**24  # bytes; names and shapes of a hundred thousand arrays
LONGEST = 2**48  # axis


def to_json(content: Any) -> bytes:
    """JSON of one line, in the order of the content: read and written again it has the same bytes. Numbers are finite."""
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def from_json(data: bytes, where: str) -> Any:
    """Read JSON as the standard defines it: no nan, no infinity, no key twice.

    Args:
        data: the bytes.
        where: what is read, for the message.

    Raises:
        CheckpointError: for anything else.
    """
    try:
        return json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise CheckpointError(f"{where} is no valid JSON: {error}") from None


def to_safetensors(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays in the safetensors format."""
    from safetensors.numpy import save  # imports of a checkpoint wait until there is one

    return save({name: np.ascontiguousarray(array).reshape(np.shape(array)) for name, array in arrays.items()})


def from_safetensors(data: bytes, where: str) -> dict[str, np.ndarray]:
    """Read the arrays of a safetensors file, whose header is looked at first: every byte belongs to one array.

    Args:
        data: the bytes.
        where: what is read, for the message.

    Raises:
        CheckpointError: for a header that does not describe the bytes after it, or an unknown dtype.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(len(data) - 8, LONGEST_HEADER):
        raise CheckpointError(f"{where} is no safetensors file: {len(data)} bytes, of which the header claims {length}")
    header = from_json(data[8 : 8 + length], f"the header of {where}")
    _check_header(header, len(data) - 8 - length, where)
    try:
        arrays = load(data)
        return {name: np.array(arrays[name]) for name in header}
    except (SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"{where} is no safetensors file: {error}") from None


def _check_header(header: Any, size: int, where: str) -> None:
    """Raise CheckpointError unless the entries cover `size` bytes, one after the other."""
    places = []
    entries = header.items() if isinstance(header, dict) else ()
    for name, entry in entries:
        match entry:
            case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(start), int(stop)]} if len(entry) == 3:
                pass
            case _:
                raise CheckpointError(f"{where}: the entry {name[:80]!r} of the header is not dtype, shape and data_offsets")
        if dtype not in DTYPES or not all(type(side) is int and 0 <= side <= LONGEST for side in shape):
            raise CheckpointError(f"{where}: {name[:80]!r} has dtype {dtype[:20]!r} and shape {shape[:8]}, which cannot be")
        count = 1
        for side in shape:
            count *= side
        if stop - start != count * np.dtype(DTYPES[dtype]).itemsize:
            raise CheckpointError(f"{where}: {name[:80]!r} of shape {shape[:8]} does not take {stop - start} bytes")
        places.append((start, stop))
    places.sort()
    starts, stops = [start for start, _ in places], [stop for _, stop in places]
    if not isinstance(header, dict) or [*starts, size] != [0, *stops]:
        raise CheckpointError(f"{where}: its arrays do not cover its {size} bytes one after the other")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands there twice")
    return result


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text[:40]} is no finite number")
    return number
