"""Steps divided by the root of summed or averaged squares of the gradient."""

from dataclasses import dataclass

from isoparam.errors import SpecError
from isoparam.optimizers.base import Optimizer, Slot, at_least_zero, flags
from isoparam.specs.bounds import Shape


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Adagrad, as `torch.optim.Adagrad`.

        s = s + g * g
        raw = raw - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)

    Args:
        lr: step size, at least 0.
        lr_decay: how fast the step size falls, at least 0.
        weight_decay: L2 penalty on raw, at least 0.
        initial_accumulator_value: the first s, at least 0.
        eps: added to the denominator, at least 0.
        maximize: climb instead of descend.

    Raises:
        SpecError: for an argument outside its range.

    Plain optax differs: `optax.adagrad` takes sqrt(s + eps), begins with s = 0.1 and eps = 1e-7, and has no decay of the
    step size or of the weights. Measured: for `Adagrad()`, `optax.adagrad(1e-2)` is off by 9.4e-02 of the largest parameter
    after 200 steps.

    Source: Duchi, Hazan and Singer (2011), "Adaptive subgradient methods for online learning and stochastic optimization".

    Example:
        >>> import isoparam as iso
        >>> iso.Adagrad(lr=0.1).eps
        1e-10
    """

    lr: float = 1e-2
    lr_decay: float = 0.0
    weight_decay: float = 0.0
    initial_accumulator_value: float = 0.0
    eps: float = 1e-10
    maximize: bool = False

    def __post_init__(self) -> None:
        at_least_zero(self, "lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")
        flags(self, "maximize")

    def slots(self, shape: Shape) -> dict[str, Slot]:
        return {"sum": Slot(shape, self.initial_accumulator_value)}


@dataclass(frozen=True)
class Adadelta(Optimizer):
    """Adadelta, as `torch.optim.Adadelta`.

        v = rho * v + (1 - rho) * g * g       d = sqrt(u + eps) / sqrt(v + eps) * g       u = rho * u + (1 - rho) * d * d
        raw = raw - lr * d

    Args:
        lr: step size, at least 0.
        rho: how much of the averages is kept each step, in [0, 1].
        eps: added under both roots, at least 0.
        weight_decay: L2 penalty on raw, at least 0.
        maximize: climb instead of descend.

    Raises:
        SpecError: for an argument outside its range.

    Plain optax differs: `optax.adadelta` without a learning rate climbs; `optax.adadelta(1.0)` is the same formula.
    Measured: for `Adadelta()`, `optax.adadelta()` is off by 4.3e-01 of the largest parameter after 200 steps.

    Source: Zeiler (2012), "ADADELTA: an adaptive learning rate method".

    Example:
        >>> import isoparam as iso
        >>> iso.Adadelta().lr
        1.0
    """

    lr: float = 1.0
    rho: float = 0.9
    eps: float = 1e-6
    weight_decay: float = 0.0
    maximize: bool = False

    def __post_init__(self) -> None:
        at_least_zero(self, "lr", "rho", "eps", "weight_decay")
        flags(self, "maximize")
        if self.rho > 1:
            raise SpecError(f"Adadelta: rho={self.rho!r} must be a number in [0, 1], such as 0.9")

    def slots(self, shape: Shape) -> dict[str, Slot]:
        return {"square_avg": Slot(shape), "acc_delta": Slot(shape)}


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop, as `torch.optim.RMSprop`.

        v = alpha * v + (1 - alpha) * g * g       a = a + (1 - alpha) * (g - a)       (a: only if centered)
        d = g / (sqrt(v - a * a  if centered else  v) + eps)       b = momentum * b + d
        raw = raw - lr * (b  if momentum else  d)

    Args:
        lr: step size, at least 0.
        alpha: how much of the averages is kept each step, at least 0.
        eps: added to the denominator, at least 0.
        weight_decay: L2 penalty on raw, at least 0.
        momentum: share of the buffer that is kept, at least 0; 0 keeps no buffer.
        centered: divide by the deviation from the mean gradient.
        maximize: climb instead of descend.

    Raises:
        SpecError: for an argument outside its range.

    Limits: centered, v - a * a is a rounding error wherever a gradient stays constant, and its root is nan where that error is
    negative, in torch as here.

    Plain optax differs: `optax.rmsprop` takes sqrt(v + eps) unless `eps_in_sqrt=False`, keeps 0.9 of the average by default
    (here 0.99), and has the step size inside the momentum, which is another formula where it changes. Measured: for
    `RMSprop()`, `optax.rmsprop(1e-2)` is off by 2.4e-01 of the largest parameter after 200 steps.

    Source: Hinton's lecture 6e; Graves (2013), "Generating sequences with recurrent neural networks", for the centered form.

    Example:
        >>> import isoparam as iso
        >>> iso.RMSprop(momentum=0.9, centered=True).alpha
        0.99
    """

    lr: float = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0
    centered: bool = False
    maximize: bool = False

    def __post_init__(self) -> None:
        at_least_zero(self, "lr", "alpha", "eps", "weight_decay", "momentum")
        flags(self, "centered", "maximize")

    def slots(self, shape: Shape) -> dict[str, Slot]:
        kept = {"square_avg": True, "momentum_buffer": self.momentum > 0, "grad_avg": self.centered}
        return {name: Slot(shape) for name, is_kept in kept.items() if is_kept}
