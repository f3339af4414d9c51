"""Checkpoints of other libraries: which entries of a state make one value, by the names that those libraries give them."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isoparam.errors import CheckpointError
from isoparam.names import hint, select
from isoparam.specs import Tied

Map = Callable[[list[np.ndarray], dict[str, np.ndarray]], np.ndarray]
"""What gives the value: from its entries, and from the buffers of the map by their names within it."""

PARAMETRIZED = re.compile(r"(?P<path>.*\.)?parametrizations\.(?P<name>[^.]+)\.(?:original(?P<part>\d*)|(?P<buffer>\d+\..+))")
BOUND = re.compile(r"(?P<name>(?:.*\.)?raw_[^.]+)_constraint\.(?P<side>lower_bound|upper_bound)")
PREFIXES = ("raw_",)
SUFFIXES = ("_unconstrained",)


@dataclass
class Group:
    """The entries of a state that make one value.

    Attributes:
        keys: of the entries that the value is computed from.
        buffers: {name within the map: key}.
        known: the map, where the names of the entries say which; None where the user has to.
        plain: whether the entry is the value itself unless a map is given.
    """

    keys: list[str] = field(default_factory=list)
    buffers: dict[str, str] = field(default_factory=dict)
    known: Map | None = None
    plain: bool = False


def values_of(state: Mapping[str, np.ndarray], maps: Mapping[str, Map]) -> dict[str, np.ndarray]:
    """{name: value} for a state, every entry of which is used once.

    Raises:
        CheckpointError: for entries that belong together of which some are missing, a value whose map is not known, a map
            that matches nothing, or two values of one name.
    """
    groups = _groups(state)
    chosen = _chosen(groups, maps)
    result: dict[str, np.ndarray] = {}
    for name, group in groups.items():
        parts = [np.asarray(state[key]) for key in group.keys]
        buffers = {inner: np.asarray(state[key]) for inner, key in group.buffers.items()}
        if name in chosen and set(buffers) <= {"lower_bound", "upper_bound"}:
            buffers = {}  # GPyTorch's, of which a map that was given knows by itself
        given = chosen.get(name, group.known)
        if given is None and not group.plain:
            raise CheckpointError(
                f"{name!r} is computed from {', '.join(map(repr, [*group.keys, *group.buffers.values()]))} by a map that the "
                f"checkpoint does not name; give it: maps={{{name!r}: their function or module, or a spec of the same map}}"
            )
        value = parts[0] if given is None else given(parts, buffers)
        result[name] = np.asarray(value).astype(parts[0].dtype, copy=False)
    return result


def _groups(state: Mapping[str, np.ndarray]) -> dict[str, Group]:
    """The values of a state, in the order of their first entries."""
    groups: dict[str, Group] = {}
    owner = {key: _place(key, state) for key in state}
    for key, (name, part, buffer) in owner.items():
        group = groups.setdefault(name, Group())
        if buffer:
            group.buffers[buffer] = key
        else:
            group.keys.append(key)
            group.plain = part == "plain"
    for name, group in groups.items():
        parts = [owner[key][1] for key in group.keys]
        if "plain" in parts and len(group.keys) + len(group.buffers) > 1:
            raise CheckpointError(f"{name!r} would come from several entries: {', '.join(map(repr, group.keys))}; rename one")
        if not group.keys:
            missing = ", ".join(map(repr, group.buffers.values()))
            raise CheckpointError(f"{name!r}: the checkpoint has {missing}, but not the entry that they belong to")
        group.keys = [group.keys[index] for index in np.argsort(parts)]
        group.known = _known(name, sorted(parts), group, state)
    return groups


def _place(key: str, state: Mapping[str, np.ndarray]) -> tuple[str, str, str]:
    """The value that an entry belongs to, which part of it the entry is, and its name as a buffer of the map."""
    if match := PARAMETRIZED.fullmatch(key):
        name = (match["path"] or "") + match["name"]
        return name, f"original{match['part'] or ''}", match["buffer"] or ""
    if (match := BOUND.fullmatch(key)) and match["name"] in state:
        return _stripped(match["name"]), "", match["side"]
    if f"{key}_constraint.lower_bound" in state or f"{key}_constraint.upper_bound" in state:
        return _stripped(key), "raw", ""
    stem, _, ending = key.rpartition("_")
    if ending in ("orig", "u", "v") and {f"{stem}_orig", f"{stem}_u"} <= set(state):
        return (stem, "orig", "") if ending == "orig" else (stem, "", f"_{ending}")
    if ending in ("g", "v") and {f"{stem}_g", f"{stem}_v"} <= set(state):
        return stem, ending, ""
    return key, "plain", ""


def _stripped(key: str) -> str:
    """`kernel.raw_noise` and `kernel.noise_unconstrained` hold `kernel.noise`."""
    path, dot, name = key.rpartition(".")
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return f"{path}{dot}{name}"


def _known(name: str, parts: Sequence[str], group: Group, state: Mapping[str, np.ndarray]) -> Map | None:
    """The map that the names of the entries tell, None where they do not."""
    if (parts == ["original0", "original1"] and not group.buffers) or parts == ["g", "v"]:
        norm, direction = (np.asarray(state[key]) for key in group.keys)
        if not _is_norm(norm.shape, direction.shape):
            return None
        return lambda parts, buffers: weight_norm(*parts)
    if set(group.buffers) in ({"0._u", "0._v"}, {"_u", "_v"}):
        u, v = (group.buffers[entry] for entry in sorted(group.buffers))
        return lambda parts, buffers: spectral_norm(parts[0], np.asarray(state[u]), np.asarray(state[v]))
    if parts == ["raw"] and set(group.buffers) == {"lower_bound", "upper_bound"}:
        return lambda parts, buffers: gpytorch_value(parts[0], buffers["lower_bound"], buffers["upper_bound"])
    return None


def _chosen(groups: dict[str, Group], maps: Mapping[str, Map]) -> dict[str, Map]:
    """The map of each name that the user gave one for; an entry `raw_x` or `x_unconstrained` becomes the value `x` by it."""
    chosen: dict[str, Map] = {}
    for pattern, given in maps.items():
        aliases = {_stripped(name): name for name, group in groups.items() if group.plain and _stripped(name) != name}
        found = select(pattern, [*groups, *(alias for alias in aliases if alias not in groups)])
        if not found:
            raise CheckpointError(f"maps[{pattern!r}] matches nothing in the checkpoint; {hint(pattern, [*groups, *aliases])}")
        for name in found:
            if name in chosen:
                raise CheckpointError(f"{name!r} is matched by two keys of maps; narrow one of them")
            if name not in groups:
                moved = {name if entry == aliases[name] else entry: group for entry, group in groups.items()}
                groups.clear()
                groups.update(moved)
            chosen[name] = given
    return chosen


def weight_norm(norm: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """g v / |v| of torch's weight_norm; the lengths are over the axes that g has not."""
    wide = direction.astype(np.float64)
    axes = tuple(axis for axis in range(wide.ndim) if norm.ndim == 0 or norm.shape[axis] == 1)
    return norm.astype(np.float64) * wide / np.sqrt(np.sum(wide * wide, axis=axes, keepdims=True))


def spectral_norm(weight: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """W / (u W v) of torch's spectral_norm, the axis that u belongs to being the one for which u and v fit best."""
    wide, u, v = (entry.astype(np.float64) for entry in (weight, u, v))
    folded = [np.moveaxis(wide, axis, 0).reshape(size, -1) for axis, size in enumerate(wide.shape)]
    fitting = [matrix for matrix in folded if matrix.shape == (len(u), len(v))]
    if not fitting:
        raise CheckpointError(f"spectral norm: vectors of {len(u)} and {len(v)} fit no axis of a weight of shape {wide.shape}")
    best = max(fitting, key=lambda matrix: float(np.dot(v, u @ matrix) / np.linalg.norm(u @ matrix)))
    return wide / (u @ best @ v)


def gpytorch_value(raw: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """What the constraint of GPyTorch with these bounds and its usual function makes of raw."""
    x, low, high = (entry.astype(np.float64) for entry in (raw, low, high))
    if np.isfinite(low).all() and np.isfinite(high).all():
        return low + (high - low) / (1 + np.exp(-x))
    if np.isfinite(low).all():
        return low + _softplus(x)
    if np.isfinite(high).all():
        return high - _softplus(-x)
    raise CheckpointError("a constraint of GPyTorch has neither bound finite everywhere; give the map: maps={name: function}")


def _softplus(x: np.ndarray) -> np.ndarray:
    """As torch computes it: the identity above 20."""
    return np.where(x > 20, x, np.log1p(np.exp(np.minimum(x, 20))))


def _is_norm(norm: tuple[int, ...], direction: tuple[int, ...]) -> bool:
    """Whether an array of this shape may hold the lengths of rows of the other."""
    long = [size for size in norm if size != 1]
    fits = len(norm) == len(direction) and all(own in (1, size) for own, size in zip(norm, direction, strict=False))
    return norm == () or (fits and len(long) <= 1)


def check_names(given: Mapping[str, object], slots: Mapping[str, tuple[int, bool]], module: str) -> None:
    """Raise CheckpointError unless each name is one of `slots`, and each slot that is required has one of its names here.

    Args:
        given: what is to be loaded, by name.
        slots: {name: (which slot, whether it is required)}; a shared parameter is one slot with several names. Those that
            are not required are the buffers: all of them or none.
        module: for the message.
    """
    for name in given:
        if name not in slots:
            raise CheckpointError(f"{name!r} is nothing to load in {module}; {hint(name, list(slots))}")
    filled = {slots[name][0] for name in given}
    buffers = any(not slots[name][1] for name in given)
    lacking = {
        slot: name for name, (slot, required) in list(slots.items())[::-1] if slot not in filled and (required or buffers)
    }
    if lacking:
        raise CheckpointError(
            f"{module} has no value for {', '.join(map(repr, list(lacking.values())[::-1]))}; give all of them"
        )


def untied(values: Mapping[str, Any], tied: Mapping[str, tuple[str, Tied]]) -> dict[str, Any]:
    """The values without those of tied names, {name: (name of the other, spec)}, which have to equal the others.

    Raises:
        CheckpointError: for a tied value that differs from the other one.
    """
    for name in values.keys() & tied.keys():
        other, spec = tied[name]
        if other in values:
            wanted = np.swapaxes(values[other], -1, -2) if spec.transpose else values[other]
            if not np.array_equal(values[name], wanted):
                raise CheckpointError(f"{name!r} is tied to {other!r}, but the two have different values")
    return {name: value for name, value in values.items() if name not in tied}
