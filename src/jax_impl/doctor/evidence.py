"""Whether one array was computed from another: what the numbers say. Structure has the first word, numbers the second."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

MOST = 100_000  # entries that are compared; a larger array is told by its first ones
RELATIVE, ABSOLUTE = 2e-5, 1e-7

Map = Callable[[np.ndarray], Any]

_ENTRYWISE: tuple[tuple[str, Map], ...] = (
    ("sigmoid({})", lambda x: 1 / (1 + np.exp(-x))),
    ("softplus({})", lambda x: np.logaddexp(0, x)),
    ("exp({})", np.exp),
    ("tanh({})", np.tanh),
    ("{} ** 2", np.square),
    ("log({})", np.log),
    ("log1p({})", np.log1p),
    ("expm1({})", np.expm1),
    ("abs({})", np.abs),
    ("sqrt({})", np.sqrt),
    ("exp({} / 2)", lambda x: np.exp(x / 2)),
    ("exp(2 * {})", lambda x: np.exp(2 * x)),
    ("exp(-{})", lambda x: np.exp(-x)),
    ("1 / {}", lambda x: 1 / x),
    ("relu({})", lambda x: np.maximum(x, 0)),
    ("elu({}) + 1", lambda x: np.where(x > 0, x + 1, np.exp(x))),
    ("sin({})", np.sin),
    ("cos({})", np.cos),
    ("arctan({})", np.arctan),
    ("1 - sigmoid({})", lambda x: 1 / (1 + np.exp(x))),
    ("1 + softplus({})", lambda x: 1 + np.logaddexp(0, x)),
    ("2 * sigmoid({})", lambda x: 2 / (1 + np.exp(-x))),
    ("clip({}, 0, 1)", lambda x: np.clip(x, 0, 1)),
)
_WHOLE: tuple[tuple[str, Map], ...] = (
    (
        "softmax({})",
        lambda x: np.exp(x - x.max(-1, keepdims=True)) / np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True),
    ),
    ("softmax({}, axis=0)", lambda x: np.exp(x - x.max(0)) / np.exp(x - x.max(0)).sum(0)),
    ("{} / norm({})", lambda x: x / np.linalg.norm(x)),
    ("{} / norm({}, axis=-1)", lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True)),
    ("{} / norm({}, axis=0)", lambda x: x / np.linalg.norm(x, axis=0)),
    ("{} / sum({})", lambda x: x / x.sum(-1, keepdims=True)),
    ("cumsum({})", lambda x: np.cumsum(x, -1)),
    ("cumsum(exp({}))", lambda x: np.cumsum(np.exp(x), -1)),
    ("cumsum(softplus({}))", lambda x: np.cumsum(np.logaddexp(0, x), -1)),
    ("mean({})", lambda x: x.mean()),
    ("sum({})", lambda x: x.sum()),
    ("norm({})", lambda x: np.linalg.norm(x)),
    ("{} - mean({})", lambda x: x - x.mean(-1, keepdims=True)),
)
_MATRIX: tuple[tuple[str, Map], ...] = (
    ("{} @ {}.T", lambda x: x @ x.T),
    ("{}.T @ {}", lambda x: x.T @ x),
    ("({} + {}.T) / 2", lambda x: (x + x.T) / 2),
    ("{} + {}.T", lambda x: x + x.T),
    ("{} - {}.T", lambda x: x - x.T),
    ("tril({})", np.tril),
    ("triu({})", np.triu),
    ("tril({}) @ tril({}).T", lambda x: np.tril(x) @ np.tril(x).T),
    ("qr({})", lambda x: np.linalg.qr(x)[0]),
    ("inv({})", np.linalg.inv),
    ("cholesky({})", np.linalg.cholesky),
)


def derivation(value: Any, source: Any) -> str:
    """How `value` comes out of `source`, "sigmoid({})" with the name to fill in; "" if the numbers do not say so.

    Nothing is said where a coincidence is likely: values that are all 0 or 1, or equal to their source.
    """
    made, raw = _numbers(value), _numbers(source)
    if made is None or raw is None or made.size == 0 or raw.size == 0 or _is_plain(made):
        return ""
    if made.shape == raw.shape and np.array_equal(made, raw):
        return ""
    for name, map_ in _candidates(raw):
        with np.errstate(all="ignore"):
            try:
                image = np.asarray(map_(raw))
            except (np.linalg.LinAlgError, ValueError):
                continue
        if image.shape == made.shape and np.isfinite(image).all() and np.allclose(image, made, rtol=RELATIVE, atol=ABSOLUTE):
            return name
    return ""


def says_much(value: Any, source: Any) -> bool:
    """Whether an agreement of the two cannot be chance: three different numbers or more on both sides."""
    made, raw = _numbers(value), _numbers(source)
    return made is not None and raw is not None and min(len(np.unique(made)), len(np.unique(raw))) >= 3


def _candidates(raw: np.ndarray) -> Iterable[tuple[str, Map]]:
    yield from _ENTRYWISE
    if raw.ndim >= 1:
        yield from _WHOLE
    if raw.ndim == 2:
        if raw.shape[0] == raw.shape[1]:
            yield from _MATRIX
        else:
            yield from _MATRIX[:2]
            yield _MATRIX[8]


def _numbers(value: Any) -> np.ndarray | None:
    try:
        array = np.asarray(value)
    except Exception:  # a tracer, a deleted buffer: no numbers
        return None
    if array.dtype.kind == "c" or array.size > MOST:
        return None
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError):
        return None


def _is_plain(value: np.ndarray) -> bool:
    """Only zeros and ones, which many initializers give."""
    return bool(np.isin(value, (-1.0, 0.0, 1.0)).all())
