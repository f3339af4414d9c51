"""Coefficients of time series."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from isoparam.specs.base import Border, Facts, VectorSpec


@dataclass(frozen=True)
class StationaryAR(VectorSpec):
    """Coefficients phi of a stationary autoregression y_t = sum_j phi_j y_{t-j} + noise.

        r_k = tanh(raw_k)                                     partial autocorrelations
        phi_k = r_k,   phi_j <- phi_j - r_k phi_{k-j}  (j < k),   for k = 1..p   (Durbin and Levinson)

    The set is that of the phi for which 1 - phi_1 z - ... - phi_p z^p has all its zeros outside of the unit circle. It is not
    convex for p > 2, its nearest points have no closed form and may not be unique, so there is no `project`.

    Args:
        axis: the axis of the coefficients, by default the last.

    Shapes: raw and value are equal; at least one entry along the axis.

    Raises:
        SpecError: for an empty axis, an axis that is not there, or `project`.

    Limits: `contains` asks whether all partial autocorrelations, computed back from phi, are between -1 and 1. `inverse`
        computes to twice the precision; that phi itself is rounded moves raw by up to eps prod 1/(1 - r_k^2) all the same.
        Partial autocorrelations round to 1 from |raw| = 9 (float32) or 19 (float64).

    Source: Barndorff-Nielsen and Schou (1973), "On the parametrization of autoregressive models by partial
        autocorrelations", Journal of Multivariate Analysis 3(4); Monahan (1984), "A note on enforcing stationarity in
        autoregressive-moving average models", Biometrika 71(2).

    Example:
        >>> import isoparam as iso
        >>> iso.StationaryAR().raw_shape((10, 3))
        (10, 3)
    """

    facts: ClassVar[Facts] = Facts(
        domain="{phi : 1 - sum_j phi_j z^j has no zero with |z| <= 1}",
        raw_size="p for p coefficients",
        formula="partial autocorrelations tanh(raw), then Durbin-Levinson",
        log_abs_det="sum_k log sech(raw_k)^2 + floor(k/2) log(1 - r_k) + floor((k-1)/2) log(1 + r_k), r = tanh(raw)",
        volume="Lebesgue on all p coefficients",
        projection="none: the set is not convex and its nearest points have no closed form",
        limits="partial autocorrelations round to 1 from |raw| = 9 / 19",
        source="Barndorff-Nielsen and Schou (1973); Monahan (1984)",
    )
    smallest: ClassVar[dict[str, int]] = {"raw": 1, "value": 1}

    @property
    def absent(self) -> dict[str, str]:
        """No projection."""
        return {"project": "the set is not convex and its nearest points have no closed form; shrink phi_j by c^j with c < 1"}

    def partial(self, value: np.ndarray) -> np.ndarray:
        """The partial autocorrelations of coefficients along the last axis, in float64; not finite where one reaches 1."""
        ahead = np.concatenate([np.ones_like(value[..., :1]), -value], axis=-1).astype(np.float64)
        back = ahead[..., ::-1]
        found = []
        with np.errstate(all="ignore"):
            for _ in range(value.shape[-1]):
                r = -back[..., :1]
                found.append(r)
                room = (1 - r) * (1 + r)
                ahead, back = ((ahead + r * back) / room)[..., :-1], ((back + r * ahead) / room)[..., 1:]
        return np.concatenate(found[::-1], axis=-1)

    def border(self, value: np.ndarray) -> Border:
        room = 1 - np.abs(self.partial(value))
        # Behind a partial autocorrelation of exactly -1 or 1 there are no others: nan of numbers stands for that border.
        return Border(np.where(np.isnan(room) & np.isfinite(value).all(-1, keepdims=True), 0.0, room))

    def _cure(self, wrong: np.ndarray) -> str:
        worst = np.abs(self.partial(wrong))
        sizes = worst[np.isfinite(worst)]
        size = f"{sizes.max():.17g}" if sizes.size and sizes.max() > 1 else "1 or more"
        return f"its largest partial autocorrelation has the size {size}: shrink phi_j by c^j with c < 1, such as 0.9"
