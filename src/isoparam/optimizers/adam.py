"""Adam and AdamW, and Adam for gradients that touch few rows."""

from dataclasses import dataclass

from isoparam.optimizers.base import Optimizer, Slot, above_zero, at_least_zero, betas_below_one, flags
from isoparam.specs.bounds import Shape


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam, as `torch.optim.Adam`; weight decay is an L2 penalty, added to the gradient before the moments.

        m = m + (1 - beta1) * (g - m)       v = beta2 * v + (1 - beta2) * g * g
        raw = raw - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)

    Args:
        lr: step size, at least 0.
        betas: how much of the two moments is kept each step, both in [0, 1).
        eps: added to the denominator, at least 0.
        weight_decay: L2 penalty on raw, at least 0.
        amsgrad: AMSGrad: divide by the largest v so far, before its bias correction.
        maximize: climb instead of descend.
        decoupled_weight_decay: shrink raw by lr * weight_decay instead of the penalty: this is `AdamW`.

    Raises:
        SpecError: for an argument outside its range.

    Plain optax differs: `optax.adam` has no weight decay, computes the bias corrections in float32, and its amsgrad takes
    the maximum after the bias correction. Measured: for `Adam(amsgrad=True)`, `optax.amsgrad(1e-3)` is off by 3.6e-02 of
    the largest parameter after 200 steps.

    Source: Kingma and Ba (2015), "Adam: a method for stochastic optimization"; Reddi et al. (2018) for amsgrad.

    Example:
        >>> import isoparam as iso
        >>> iso.Adam(lr=-1)
        Traceback (most recent call last):
        ...
        isoparam.errors.SpecError: Adam: lr=-1 must be a finite number, at least 0
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    amsgrad: bool = False
    maximize: bool = False
    decoupled_weight_decay: bool = False

    def __post_init__(self) -> None:
        _check_adam(self)
        flags(self, "decoupled_weight_decay")

    @property
    def decoupled(self) -> bool:
        return self.decoupled_weight_decay

    def slots(self, shape: Shape) -> dict[str, Slot]:
        return _moments(self, shape)


@dataclass(frozen=True)
class AdamW(Optimizer):
    """Adam with decoupled weight decay, as `torch.optim.AdamW`: raw is shrunk first, the moments never see the decay.

        raw = raw * (1 - lr * weight_decay), then the step of `Adam`

    Args:
        lr: step size, at least 0.
        betas: how much of the two moments is kept each step, both in [0, 1).
        eps: added to the denominator, at least 0.
        weight_decay: share of raw, in units of lr, that is removed each step; at least 0.
        amsgrad: divide by the largest v so far, before its bias correction.
        maximize: climb instead of descend.

    Raises:
        SpecError: for an argument outside its range.

    Plain optax differs: `optax.adamw` decays by 1e-4 by default (here 1e-2), adds the decay to the step and rounds once
    more, and computes the bias corrections in float32. Measured: for `AdamW()`, `optax.adamw(1e-3)` is off by 2.0e-03 of
    the largest parameter after 200 steps.

    Source: Loshchilov and Hutter (2019), "Decoupled weight decay regularization".

    Example:
        >>> import isoparam as iso
        >>> iso.AdamW(lr=3e-4).weight_decay
        0.01
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 1e-2
    amsgrad: bool = False
    maximize: bool = False

    def __post_init__(self) -> None:
        _check_adam(self)

    @property
    def decoupled(self) -> bool:
        return True

    def slots(self, shape: Shape) -> dict[str, Slot]:
        return _moments(self, shape)


@dataclass(frozen=True)
class SparseAdam(Optimizer):
    """Adam for gradients that touch few rows, as `torch.optim.SparseAdam`: moments and rows without a gradient stay.

        m = m + (1 - beta1) * (g - m)       v = v + (1 - beta2) * (g * g - v)       (rows with a gradient only)
        raw = raw - lr * sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + eps)

    t counts every step, also of rows that had no gradient. Gradients are sparse arrays (torch: COO, as from
    `torch.nn.Embedding(sparse=True)`; JAX: `jax.experimental.sparse.BCOO`), whose duplicate entries are added up. Where they
    are dense, as in `train`, the rows of the first axis with a gradient other than 0 are those that have one.

    Args:
        lr: step size, above 0.
        betas: how much of the two moments is kept each step, both in [0, 1).
        eps: added to the denominator, above 0.
        maximize: climb instead of descend.

    Raises:
        SpecError: for an argument outside its range.

    Limits: the optimizer of torch refuses dense gradients; `train` and the transformation of JAX take them.

    Plain optax differs: it has no such optimizer; `optax.adam` moves every row and divides by sqrt(v / (1 - beta2^t)) +
    eps. Measured: for `SparseAdam()`, `optax.adam(1e-3)` is off by 7.1e-03 of the largest parameter after 200 steps.

    Source: torch.optim.SparseAdam; the formula with eps outside the correction is that of Kingma and Ba (2015), section 2.

    Example:
        >>> import isoparam as iso
        >>> iso.SparseAdam(lr=0.01)
        SparseAdam(lr=0.01, betas=(0.9, 0.999), eps=1e-08, maximize=False)
    """

    elementwise = False
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    maximize: bool = False

    def __post_init__(self) -> None:
        above_zero(self, "lr", "eps")
        betas_below_one(self)
        flags(self, "maximize")

    def slots(self, shape: Shape) -> dict[str, Slot]:
        return {"exp_avg": Slot(shape), "exp_avg_sq": Slot(shape)}


def _check_adam(spec: Adam | AdamW) -> None:
    at_least_zero(spec, "lr", "eps", "weight_decay")
    flags(spec, "amsgrad", "maximize")
    betas_below_one(spec)


def _moments(spec: Adam | AdamW, shape: Shape) -> dict[str, Slot]:
    names = ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if spec.amsgrad else ()))
    return dict.fromkeys(names, Slot(shape))
