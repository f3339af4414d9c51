"""Orthogonal matrices and rotations."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from isoparam.errors import SpecError
from isoparam.specs.base import Border, Facts, MatrixSpec, check_link, square_side, triangle_side
from isoparam.specs.bounds import FrozenArray, Shape

MAPS = ("cayley", "exp", "householder")
SOURCE = (
    "Cayley: Helfrich, Willmott and Ye (2018), arXiv:1707.09520; exp and moving the base: Lezcano-Casado (2019), "
    "arXiv:1909.09501; products of reflections in compact form: Joffrain et al. (2006), ACM TOMS 32(2)"
)
LIMITS = (
    "norm of A: cayley treats 1.3e8 (float32) or 7e13 (float64) as infinite, and 2.6e5 or 7e13 beyond 16 rows; exp scales A "
    "down to norm 65536; up to 16 rows float32 is computed in float64 and float64 to more digits than it has, beyond that "
    "errors grow with the norm"
)
VOLUME = "the surface of the set in the space of matrices, relative to that at raw = 0"


@dataclass(frozen=True)
class Rotation(MatrixSpec):
    """What all maps from skew matrices have: a map, a base, and matrices that are multiplied by it."""

    map: str = "cayley"
    base: Any = None

    def __post_init__(self) -> None:
        check_link(type(self).__name__, self.map, MAPS, "map")
        if self.base is not None:
            object.__setattr__(self, "base", FrozenArray(_polished(type(self).__name__, self.base)))
        _ = self._whole  # kept from here on: torch.compile cannot enter the lock of a cached_property

    @property
    def unique(self) -> bool:
        return self.map != "exp"  # whole turns of an angle come back to the same value

    @abstractmethod
    def sizes(self, value_shape: Shape) -> tuple[int, int]:
        """(n, k): the value is, or for `rows=k` its transpose is, the first k columns of an n by n orthogonal matrix."""

    @property
    def wide(self) -> bool:
        """Whether the value has orthonormal rows instead of columns."""
        return False

    @property
    def padded(self) -> bool:
        """Whether raw holds the whole lower triangle of A although only some columns of the value are kept."""
        return False

    def at(self, value: Any) -> Self:
        """The same spec with raw = 0 at another value, any of the set: how to start there, or where no raw leads.

        Args:
            value: an orthogonal matrix (or one with orthonormal columns or rows) as a numpy array.

        Raises:
            SpecError: for a value that is not orthogonal.
        """
        return replace(self, base=value)

    def starting_at(self, value: np.ndarray) -> "Rotation":
        """The spec with raw = 0 at the value, unless it has a base already."""
        return self if self.base is not None else self.at(value)

    def border(self, value: np.ndarray) -> Border:
        """There is none: the set is closed, and has no boundary."""
        return Border(np.empty(0))

    def whole_base(self, rows: int) -> np.ndarray | None:
        """The base as a square matrix, completed by further columns; None for the identity."""
        if self._whole is not None and len(self._whole) != rows:
            raise SpecError(
                f"{self}: the base has {len(self._whole)} rows, the value has {rows}; give spec.at(value) of its size"
            )
        return self._whole

    def unreachable(self, value: np.ndarray) -> str:
        """Why no finite raw leads to a value of the set, and what to write instead."""
        name = type(self).__name__
        for matrix in np.asarray(value, np.float64).reshape(-1, *np.shape(value)[-2:]):
            tall = matrix.T if self.wide else matrix
            start = self.whole_base(len(tall))
            moved = tall if start is None else start.T @ tall
            if moved.shape[0] == moved.shape[1] and np.linalg.det(moved) < 0:
                why = f"its determinant is {np.linalg.det(tall):+.0f}, and that of the base is the other one"
            else:
                upper = np.eye(moved.shape[1]) + moved[: moved.shape[1]]
                if np.linalg.svd(upper, compute_uv=False)[-1] > 1e-3:
                    continue
                why = "it turns a direction of the base by 180 degrees, where raw is infinite"
            return (
                f"value lies in {self.facts.domain}, but no raw of {name}(map={self.map!r}) leads there: {why}; "
                "write spec.at(value), the same spec with raw = 0 there"
            )
        return super().unreachable(value)

    def _cure(self, wrong: np.ndarray) -> str:
        tall = wrong.T if self.wide else wrong
        missed = np.abs(tall.T @ tall - np.eye(tall.shape[1])).max()
        product = "Q Q^T - I" if self.wide else "Q^T Q - I"
        determinant = f", its determinant is {np.linalg.det(tall):.4g}" if tall.shape[0] == tall.shape[1] else ""
        return f"max |{product}| is {missed:.3g}{determinant}: start from project(spec, value)"

    @cached_property
    def _whole(self) -> np.ndarray | None:
        if self.base is None:
            return None
        tall = self.base.data.T if self.wide else self.base.data
        if tall.shape[0] == tall.shape[1]:
            return tall
        return np.concatenate([tall, np.linalg.svd(tall)[0][:, tall.shape[1] :]], axis=1)


@dataclass(frozen=True)
class Orthogonal(Rotation):
    """Square matrices with orthonormal columns: Q^T Q = I.

        A = T - T^T, T strictly lower triangular with the entries of raw
        map="cayley"        value = base (I - A/2)^-1 (I + A/2)
        map="exp"           value = base exp(A)
        map="householder"   value = base H_1 ... H_(n-1) D, H_k = I - 2 u u^T/u^T u, u = (0, .., 0, 1, column k of T/2)

    raw = 0 is the base. All values have its determinant: the sign is data, never a trained number, so that weight decay
    shrinks a value to the base and not to the zero matrix. cayley and householder reach almost all of these matrices, but
    none that turns a direction by exactly 180 degrees from the base; exp reaches every one of them.

    Args:
        map: "cayley" (default, the fastest), "exp" or "householder".
        base: the orthogonal matrix at raw = 0, by default the identity; `spec.at(value)` gives the same spec with another.

    Shapes: raw has n (n - 1)/2 entries where the value is n by n, row by row: (1,0), (2,0), (2,1), ... (householder: of T).

    Raises:
        SpecError: for an unknown map, a base that is not orthogonal, a value that is not square, or a raw of no triangle.

    A start at any orthogonal matrix q, a numpy array of either determinant:
    `attach(layer, "weight", iso.Orthogonal().at(q), start=q)`; of a fresh weight, q is `project(spec, weight)`. In a long
    training, move the base along and begin again at raw = 0, where the map bends least:
    `spec = spec.at(value); raw = zeros_like(raw)`.

    Limits: norm of A: cayley treats 1.3e8 (float32) or 7e13 (float64) as infinite, and 2.6e5 or 7e13 beyond 16 rows; exp
        scales A down to norm 65536.

    Source: Helfrich, Willmott and Ye (2018), arXiv:1707.09520 (Cayley); Lezcano-Casado (2019), arXiv:1909.09501 (exp,
        moving the base); Joffrain et al. (2006), ACM TOMS 32(2) (reflections).

    Example:
        >>> import isoparam as iso
        >>> iso.Orthogonal().raw_shape((4, 4))
        (6,)
        >>> iso.Orthogonal().at([[0.0, 1.0], [1.0, 0.0]]).base
        [[0., 1.],
         [1., 0.]]
    """

    facts: ClassVar[Facts] = Facts(
        domain="{Q : Q^T Q = I}",
        raw_size="n (n - 1)/2 for an n by n value",
        formula="base (I - A/2)^-1 (I + A/2), base exp(A), or base times n - 1 reflections; A = T - T^T from raw",
        log_abs_det="cayley: -(n - 1) log det(I - A/2); householder: -sum of m log(1 + |column|^2/4), m long",
        volume=VOLUME,
        projection="the orthogonal polar factor U V^T of U S V^T",
        limits=LIMITS,
        source=SOURCE,
    )

    @property
    def absent(self) -> Mapping[str, str]:
        return NO_VOLUME if self.map == "exp" else {}

    def sizes(self, value_shape: Shape) -> tuple[int, int]:
        n = square_side(self, value_shape)
        return n, n

    def _raw_shape(self, value_shape: Shape) -> Shape:
        n = square_side(self, value_shape)
        self.whole_base(n)
        return (*value_shape[:-2], n * (n - 1) // 2)

    def _value_shape(self, raw_shape: Shape) -> Shape:
        n = triangle_side(self, raw_shape[-1], diagonal=False)
        self.whole_base(n)
        return (*raw_shape[:-1], n, n)


@dataclass(frozen=True)
class SpecialOrthogonal(Rotation):
    """Rotations: square matrices with Q^T Q = I and determinant 1.

    The maps are those of `Orthogonal`, and so are sizes, limits and log-determinants; the base must be a rotation, a value
    of determinant -1 is not contained, and `project` gives the nearest rotation.

    Args:
        map: "cayley" (default, the fastest), "exp" or "householder".
        base: the rotation at raw = 0, by default the identity; `spec.at(value)` gives the same spec with another.

    Shapes: raw has n (n - 1)/2 entries where the value is n by n, row by row: (1,0), (2,0), (2,1), ... .

    Raises:
        SpecError: for an unknown map, a base that is no rotation, a value that is not square, or a raw of no triangle.

    Limits: as `Orthogonal`.

    Source: as `Orthogonal`; nearest rotation: Kabsch (1976), Acta Crystallographica A32.

    Example:
        >>> import isoparam as iso
        >>> iso.SpecialOrthogonal(map="exp").raw_shape((3, 3))
        (3,)
    """

    facts: ClassVar[Facts] = replace(
        Orthogonal.facts,
        domain="{Q : Q^T Q = I, det Q = 1}",
        projection="U diag(1, .., 1, det(U V^T)) V^T of U S V^T with falling S",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.base is not None and np.linalg.det(self.base.data) < 0:
            raise SpecError("SpecialOrthogonal: the base has determinant -1; for either sign write Orthogonal")

    @property
    def absent(self) -> Mapping[str, str]:
        return NO_VOLUME if self.map == "exp" else {}

    def sizes(self, value_shape: Shape) -> tuple[int, int]:
        n = square_side(self, value_shape)
        return n, n

    def _raw_shape(self, value_shape: Shape) -> Shape:
        n = square_side(self, value_shape)
        self.whole_base(n)
        return (*value_shape[:-2], n * (n - 1) // 2)

    def _value_shape(self, raw_shape: Shape) -> Shape:
        n = triangle_side(self, raw_shape[-1], diagonal=False)
        self.whole_base(n)
        return (*raw_shape[:-1], n, n)


NO_VOLUME = {"log_abs_det": "that of the exponential is not given; map='cayley' and map='householder' have a log-determinant"}


def _polished(owner: str, base: Any) -> np.ndarray:
    """A base that is orthogonal to float64, from one that is so to a few digits; SpecError with what it misses."""
    data = base.data if isinstance(base, FrozenArray) else base
    try:
        given = np.asarray(data, np.float64)
    except (TypeError, ValueError, RuntimeError):
        raise SpecError(
            f"{owner}: base={base!r} must be a numpy array of numbers; of a tensor give .numpy(force=True)"
        ) from None
    if given.ndim != 2 or 0 in given.shape or not np.isfinite(given).all():
        raise SpecError(f"{owner}: base must be one matrix of finite numbers, got shape {given.shape}")
    tall = given if given.shape[0] >= given.shape[1] else given.T
    one = np.eye(tall.shape[1])
    missed = np.abs(tall.T @ tall - one).max()
    if missed > 1e-3:
        raise SpecError(
            f"{owner}: base is not orthogonal, max |Q^T Q - I| is {missed:.3g}; give the base project(spec, matrix) instead"
        )
    for _ in range(4):  # Newton: the error is squared each time
        tall = tall + tall @ (one - tall.T @ tall) / 2
    return tall if given.shape[0] >= given.shape[1] else tall.T
