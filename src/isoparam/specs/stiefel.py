"""Matrices with orthonormal columns or rows: the first columns of a rotation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from isoparam.errors import SpecError
from isoparam.specs.base import Facts, check_link, triangle_side
from isoparam.specs.bounds import Shape
from isoparam.specs.rotations import LIMITS, SOURCE, Rotation

FREE = ("minimal", "full")


@dataclass(frozen=True, kw_only=True)
class Stiefel(Rotation):
    """Matrices with k orthonormal columns, or k orthonormal rows.

        value = base (first k columns of Q),   Q the orthogonal n by n matrix that `Orthogonal` makes of A
        free="minimal"   A has zeros in its lower right n - k by n - k block, and raw holds the rest
        free="full"      raw holds all of A: more raw numbers than the set has dimensions, so a value has many raws

    raw = 0 is the base. For k < n every value is reachable but for those that turn a direction of the base by exactly 180
    degrees; for k = n see `Orthogonal`.

    Args:
        columns: k, the number of orthonormal columns of a tall value; or
        rows: k, the number of orthonormal rows of a wide value. Give one of the two.
        map: "cayley" (default), "exp" (with free="full" only) or "householder" (minimal only: k reflections).
        base: the value at raw = 0, by default the first columns (rows) of the identity; `spec.at(value)` gives another.
        free: "minimal" (default) or "full".

    Shapes: raw has n k - k (k + 1)/2 entries where the value is n by k (or k by n): the entries (i, j) with j < min(i, k)
        of A, row by row. With free="full" n (n - 1)/2.

    Raises:
        SpecError: for an unknown map, columns and rows both or neither given, a base that is not orthonormal, a value of
            another shape, or a raw of no n.

    Limits: as `Orthogonal`.

    Source: as `Orthogonal`; minimal Cayley: Gallivan and Absil (2010), "Note on the convex hull of the Stiefel manifold".

    Example:
        >>> import isoparam as iso
        >>> iso.Stiefel(columns=2).raw_shape((5, 2)), iso.Stiefel(rows=2).value_shape((7,))
        ((7,), (2, 5))
    """

    facts: ClassVar[Facts] = Facts(
        domain="{X : X^T X = I}, or {X : X X^T = I}",
        raw_size="n k - k (k + 1)/2 for k orthonormal columns or rows of length n; free='full': n (n - 1)/2",
        formula="base times the first k columns of (I - A/2)^-1 (I + A/2), of exp(A), or of k reflections; A from raw",
        log_abs_det="absent",
        volume="absent",
        projection="the polar factor U V^T of U S V^T",
        limits=LIMITS,
        source=SOURCE,
    )

    columns: int | None = None
    rows: int | None = None
    free: str = "minimal"
    map: str = "cayley"
    base: Any = None
    number_hint: ClassVar[str] = "how many columns or rows has a name: Stiefel(columns=2)"

    def __post_init__(self) -> None:
        counts = [count for count in (self.columns, self.rows) if count is not None]
        if len(counts) != 1 or isinstance(counts[0], bool) or not isinstance(counts[0], int) or counts[0] < 1:
            raise SpecError(
                f"Stiefel: columns={self.columns!r}, rows={self.rows!r}: give one of the two, a positive int, "
                "such as Stiefel(columns=2) for tall values"
            )
        check_link("Stiefel", self.free, FREE, "free")
        if self.map == ("exp" if self.free == "minimal" else "householder"):
            raise SpecError(
                f"Stiefel: map={self.map!r} does not go with free={self.free!r}; write "
                + ("free='full', or map='cayley'" if self.map == "exp" else "free='minimal', or map='cayley'")
            )
        super().__post_init__()
        if self.base is not None and self.base.shape[self.wide - 1] != self._count:
            raise SpecError(f"Stiefel: base has shape {self.base.shape}, which is not that of a value of {counts[0]}")

    @property
    def wide(self) -> bool:
        """Whether rows are orthonormal instead of columns."""
        return self.rows is not None

    @property
    def padded(self) -> bool:
        """Whether raw holds the whole triangle of A."""
        return self.free == "full"

    @property
    def unique(self) -> bool:
        """Whether a value has one raw only: not with the whole triangle."""
        return not self.padded

    @property
    def absent(self) -> Mapping[str, str]:
        """The log-determinant."""
        return {
            "log_abs_det": "no closed form is known for some columns of an orthogonal matrix; use Orthogonal, or rows of it"
        }

    def sizes(self, value_shape: Shape) -> tuple[int, int]:
        """(n, k): the value is, or its transpose is, k columns of length n."""
        n, k = value_shape[-2:][:: -1 if self.wide else 1]
        if k != self._count or n < k:
            kind = "rows" if self.wide else "columns"
            raise SpecError(f"{self}: a value of shape {tuple(value_shape)} does not have {self._count} orthonormal {kind}")
        return n, k

    def _raw_shape(self, value_shape: Shape) -> Shape:
        n, k = self.sizes(value_shape)
        self.whole_base(n)
        count = n * (n - 1) // 2 if self.padded else n * k - k * (k + 1) // 2
        return (*value_shape[:-2], count)

    def _value_shape(self, raw_shape: Shape) -> Shape:
        n, k = self._side(raw_shape[-1]), self._count
        self.whole_base(n)
        return (*raw_shape[:-1], *((k, n) if self.wide else (n, k)))

    @property
    def _count(self) -> int:
        return self.rows if self.columns is None else self.columns  # pyright: ignore[reportReturnType]  one is given

    def _side(self, count: int) -> int:
        """n of a raw with this many entries."""
        k = self._count
        if self.padded:
            n = triangle_side(self, count, diagonal=False)
            rest, fits = 0, n >= k
        else:
            n, rest = divmod(count + k * (k + 1) // 2, k)
            fits = n >= k
        if rest or not fits:
            raise SpecError(
                f"{self}: a raw with {count} entries along its last axis belongs to no n; "
                f"spec.raw_shape(value_shape) says how many a value takes"
            )
        return n
