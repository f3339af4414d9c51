"""Specs of weights by their norm: of a length of their own, of spectral norm 1."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from isoparam.errors import SpecError
from isoparam.specs.base import Border, Facts, MatrixSpec, VectorSpec
from isoparam.specs.bounds import Shape
from isoparam.specs.norms import as_radius


@dataclass(frozen=True)
class WeightNorm(VectorSpec):
    """Weights as lengths and directions: any vectors, with the length trained apart from the direction.

        value = g raw_v / |raw_v|,   raw = (raw_v, g)

    raw is one array: along the axis it has the N entries of v and behind them g. For the weight of a torch Linear, of
    shape (out, in), axis=-1 gives every output unit a length of its own, as torch's weight_norm with dim=0 does: there
    `parametrizations.weight.original0` (or the older `weight_g`) is raw[:, -1:], and `original1` (`weight_v`) is
    raw[:, :-1]. For a Flax kernel of shape (in, out) write axis=0, which is what flax.nnx.WeightNorm normalises.

    Args:
        axis: the axis along which the vectors lie, by default the last.

    Shapes: raw has N+1 entries along the axis where the value has N; other axes are batch axes. Reshape the filters of a
        convolution to rows first.

    Raises:
        SpecError: for an axis without entries (raw: without two), or that is not there.

    Limits: where v is 0 the direction is the first basis vector, with derivative 0 (torch's weight_norm gives nan). g may
        be negative, as in torch. `inverse` gives v = value and g = |value|.

    Source: Salimans and Kingma (2016), "Weight Normalization: A Simple Reparameterization to Accelerate Training of
        Deep Neural Networks", arXiv:1602.07868.

    Example:
        >>> import isoparam as iso
        >>> iso.WeightNorm().raw_shape((3, 10))
        (3, 11)
    """

    facts: ClassVar[Facts] = Facts(
        domain="all vectors of real numbers",
        raw_size="N + 1 for N entries: v, then g",
        formula="g v / |v|; g times the first basis vector at v = 0",
        log_abs_det="none: raw has one number more than the value",
        volume="none",
        projection="the point itself",
        limits="entries of v / |v| below the normal numbers are lost",
        source="Salimans and Kingma (2016), Weight Normalization; torch.nn.utils.parametrizations.weight_norm",
    )
    smallest: ClassVar[dict[str, int]] = {"raw": 2, "value": 1}

    @property
    def unique(self) -> bool:
        """Not: v has a length, which the value has not."""
        return False

    @property
    def absent(self) -> Mapping[str, str]:
        """log_abs_det."""
        return {"log_abs_det": "raw has one number more than the value; it is a way to train, not a change of variables"}

    def start(self, value_shape: Shape) -> np.ndarray:
        """The first basis vector, of length 1: at v = 0 there is no derivative with respect to v."""
        raw = np.zeros(self.raw_shape(value_shape))
        np.moveaxis(raw, self.axis, -1)[..., [0, -1]] = 1.0
        return raw

    def border(self, value: np.ndarray) -> Border:
        """None: every vector is inside."""
        return Border(np.empty(0))

    def unreachable(self, value: np.ndarray) -> str:
        """What to say of a vector whose length is above the largest number."""
        return (
            f"value {np.array2string(np.asarray(value), threshold=8)}: a length overflows; use a wider dtype, or another unit"
        )

    def _raw_shape(self, value_shape: Shape) -> Shape:
        return self._resized(value_shape, +1)

    def _value_shape(self, raw_shape: Shape) -> Shape:
        return self._resized(raw_shape, -1)


@dataclass(frozen=True)
class SpectralNorm(MatrixSpec):
    """Matrices whose largest singular value is `bound`.

        value = bound raw / s_1(raw)

    s_1 is the largest singular value by a decomposition, not by a power iteration: the value is a pure function of raw,
    the same in training and in evaluation, and nothing is ever written back into raw. The size of raw has no influence,
    so raw is not unique: `inverse` gives the value itself.

    Args:
        bound: the largest singular value of the value, above 0.

    Shapes: raw and value are equal: matrices along the last two axes, of any two sides, behind any batch axes.

    Raises:
        SpecError: unless bound is a finite number above 0; for matrices without entries.

    Limits: any finite raw but 0, where the value is `bound` in its first entry and 0 elsewhere, with derivative 0. Where
        several singular values are the largest, to 16 eps, s_1 has no derivative, and the mean of their subgradients
        u_i v_i^T stands for it; near such a tie the digits of the derivative go as the gap between the two.

    Source: Miyato, Kataoka, Koyama and Yoshida (2018), "Spectral Normalization for Generative Adversarial Networks",
        arXiv:1802.05957; Mirsky (1960) for the projection.

    Example:
        >>> import isoparam as iso
        >>> iso.SpectralNorm().start((2, 3)).tolist()
        [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """

    facts: ClassVar[Facts] = Facts(
        domain="{W : the largest singular value of W is the bound}",
        raw_size="as the value",
        formula="bound raw / s_1(raw), s_1 the largest singular value",
        log_abs_det="none: the size of raw has no influence on the value",
        volume="none",
        projection="singular values above the bound lowered to it, and the largest raised to it",
        limits="any finite raw but 0; the derivative is that of one choice where largest singular values are equal",
        source="Miyato et al. (2018), Spectral Normalization; Mirsky (1960) for the projection",
    )
    raw_rank: ClassVar[int] = 2

    bound: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "bound", as_radius("SpectralNorm", self.bound))

    @property
    def unique(self) -> bool:
        """Not: raw has a size, which the value has not."""
        return False

    @property
    def absent(self) -> Mapping[str, str]:
        """log_abs_det."""
        return {"log_abs_det": "the size of raw has no influence on the value, so that the map is no change of variables"}

    def start(self, value_shape: Shape) -> np.ndarray:
        """1 in the first entry."""
        raw = np.zeros(self.raw_shape(value_shape))
        raw[..., 0, 0] = 1.0
        return raw

    def border(self, value: np.ndarray) -> Border:
        """None: the surface has no border."""
        return Border(np.empty(0))

    def _check_shape(self, shape: Shape, name: str) -> None:
        super()._check_shape(shape, name)
        if 0 in shape[-2:]:
            raise SpecError(f"{self}: a {name} of shape {tuple(shape)} has matrices without entries; both sides need one")

    def _cure(self, wrong: np.ndarray) -> str:
        largest = np.linalg.norm(wrong, 2)
        if largest == 0:
            return "it is 0: give any other matrix"
        return (
            f"its largest singular value is {largest:.17g} and not {self.bound:g}: multiply it by {self.bound:g} over that, "
            "or train float32 numbers with dtype='float32'"
        )
