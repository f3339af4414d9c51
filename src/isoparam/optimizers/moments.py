"""Variants of Adam: Nesterov's momentum, a rectified start, the infinity norm."""

from dataclasses import dataclass

from isoparam.optimizers.base import Optimizer, Slot, at_least_zero, betas_below_one, flags
from isoparam.specs.bounds import Shape


@dataclass(frozen=True)
class NAdam(Optimizer):
    """Adam with Nesterov's momentum, as `torch.optim.NAdam`.

        mu_t = beta1 * (1 - 0.96^(t * momentum_decay) / 2)       M = mu_1 * ... * mu_t
        m = m + (1 - beta1) * (g - m)       v = beta2 * v + (1 - beta2) * g * g       d = sqrt(v / (1 - beta2^t)) + eps
        raw = raw - lr * (1 - mu_t) / (1 - M) * g / d - lr * mu_(t+1) / (1 - M * mu_(t+1)) * m / d

    Args:
        lr: step size, at least 0.
        betas: how much of the two moments is kept each step, both in [0, 1).
        eps: added to the denominator, at least 0.
        weight_decay: L2 penalty on raw, or with `decoupled_weight_decay` the share of raw removed each step; at least 0.
        momentum_decay: how fast the momentum grows to beta1, at least 0.
        decoupled_weight_decay: shrink raw by lr * weight_decay before the step, instead of the penalty.
        maximize: climb instead of descend.

    Raises:
        SpecError: for an argument outside its range.

    Limits: the product M is rounded to float32, as torch keeps it also for parameters in float64.

    Plain optax differs: `optax.nadam` has a constant momentum beta1, which is another formula for every finite
    momentum_decay. Measured: for `NAdam()`, `optax.nadam(2e-3)` is off by 5.6e-03 of the largest parameter after 200 steps.

    Source: Dozat (2016), "Incorporating Nesterov momentum into Adam".

    Example:
        >>> import isoparam as iso
        >>> iso.NAdam().momentum_decay
        0.004
    """

    lr: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum_decay: float = 4e-3
    decoupled_weight_decay: bool = False
    maximize: bool = False

    def __post_init__(self) -> None:
        at_least_zero(self, "lr", "eps", "weight_decay", "momentum_decay")
        betas_below_one(self)
        flags(self, "decoupled_weight_decay", "maximize")

    @property
    def decoupled(self) -> bool:
        return self.decoupled_weight_decay

    def slots(self, shape: Shape) -> dict[str, Slot]:
        return {"mu_product": Slot((), 1.0, "float32"), "exp_avg": Slot(shape), "exp_avg_sq": Slot(shape)}


@dataclass(frozen=True)
class RAdam(Optimizer):
    """Adam with a rectified start, as `torch.optim.RAdam`: plain momentum until the variance of v is known well enough.

        m = m + (1 - beta1) * (g - m)       v = beta2 * v + (1 - beta2) * g * g
        R = 2 / (1 - beta2) - 1             r = R - 2 * t * beta2^t / (1 - beta2^t)
        raw = raw - lr * m / (1 - beta1^t) * a,   where a = 1 for r <= 5, else
        a = sqrt((r - 4) (r - 2) R / ((R - 4) (R - 2) r)) * sqrt(1 - beta2^t) / (sqrt(v) + eps)

    Args:
        lr: step size, at least 0.
        betas: how much of the two moments is kept each step, both in [0, 1).
        eps: added to the denominator, at least 0.
        weight_decay: L2 penalty on raw, or with `decoupled_weight_decay` the share of raw removed each step; at least 0.
        decoupled_weight_decay: shrink raw by lr * weight_decay before the step, instead of the penalty.
        maximize: climb instead of descend.

    Raises:
        SpecError: for an argument outside its range.

    Plain optax differs: `optax.radam` divides by sqrt(v / (1 - beta2^t)) + eps, begins to at r >= 5, and computes r and the
    bias corrections in float32. Measured: for `RAdam(eps=0.001)`, `optax.radam(1e-3, eps=1e-3)` is off by 4.3e-03 of the
    largest parameter after 200 steps.

    Source: Liu et al. (2020), "On the variance of the adaptive learning rate and beyond".

    Example:
        >>> import isoparam as iso
        >>> iso.RAdam(lr=0.01, weight_decay=0.1).decoupled
        False
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    decoupled_weight_decay: bool = False
    maximize: bool = False

    def __post_init__(self) -> None:
        at_least_zero(self, "lr", "eps", "weight_decay")
        betas_below_one(self)
        flags(self, "decoupled_weight_decay", "maximize")

    @property
    def decoupled(self) -> bool:
        return self.decoupled_weight_decay

    def slots(self, shape: Shape) -> dict[str, Slot]:
        return {"exp_avg": Slot(shape), "exp_avg_sq": Slot(shape)}


@dataclass(frozen=True)
class Adamax(Optimizer):
    """Adam with the infinity norm, as `torch.optim.Adamax`.

        m = m + (1 - beta1) * (g - m)       u = max(beta2 * u, |g| + eps)
        raw = raw - lr / (1 - beta1^t) * m / u

    Args:
        lr: step size, at least 0.
        betas: how much of m and of u is kept each step, both in [0, 1).
        eps: added to the size of the gradient, at least 0.
        weight_decay: L2 penalty on raw, at least 0.
        maximize: climb instead of descend.

    Raises:
        SpecError: for an argument outside its range.

    Plain optax differs: `optax.adamax` has no weight decay (that of `optax.adamaxw` is decoupled) and computes the bias
    correction in float32; the formula is the same. Measured: for `Adamax(weight_decay=0.1)`, `optax.adamaxw(2e-3,
    weight_decay=0.1)` is off by 2.3e-01 of the largest parameter after 200 steps.

    Source: Kingma and Ba (2015), "Adam: a method for stochastic optimization", section 7.

    Example:
        >>> import isoparam as iso
        >>> iso.Adamax().lr
        0.002
    """

    lr: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    maximize: bool = False

    def __post_init__(self) -> None:
        at_least_zero(self, "lr", "eps", "weight_decay")
        betas_below_one(self)
        flags(self, "maximize")

    def slots(self, shape: Shape) -> dict[str, Slot]:
        return {"exp_avg": Slot(shape), "exp_inf": Slot(shape)}
