"""Gradient descent, plain, with momentum, and averaged."""

from dataclasses import dataclass

from isoparam.errors import SpecError
from isoparam.optimizers.base import Optimizer, Slot, at_least_zero, flags, numbers
from isoparam.specs.bounds import Shape


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent, as `torch.optim.SGD`.

        g = grad + weight_decay * raw
        b = momentum * b + (1 - dampening) * g       (the first b is g, undamped)
        raw = raw - lr * (g + momentum * b  if nesterov else  b)

    Args:
        lr: step size, at least 0.
        momentum: share of the buffer that is kept, at least 0; 0 keeps no buffer.
        dampening: share of the gradient that the buffer leaves out; only with momentum.
        weight_decay: L2 penalty on raw, added to the gradient.
        nesterov: look ahead along the buffer; needs momentum > 0 and dampening = 0.
        maximize: climb instead of descend.

    Raises:
        SpecError: for an argument outside its range.

    Plain optax differs: `optax.sgd` has no dampening and no weight decay. Measured: for `SGD(lr=0.01, momentum=0.9,
    dampening=0.5)`, `optax.sgd(0.01, 0.9)` is off by 1.0e+00 of the largest parameter after 200 steps.

    Source: Sutskever et al. (2013), "On the importance of initialization and momentum in deep learning".

    Example:
        >>> import isoparam as iso
        >>> iso.SGD(lr=0.1, momentum=0.9)
        SGD(lr=0.1, momentum=0.9, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False)
    """

    lr: float = 1e-3
    momentum: float = 0.0
    dampening: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False
    maximize: bool = False

    def __post_init__(self) -> None:
        at_least_zero(self, "lr", "momentum", "weight_decay")
        numbers(self, "dampening")
        flags(self, "nesterov", "maximize")
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise SpecError(
                f"{self}: nesterov needs momentum > 0 and dampening = 0; write SGD(lr, momentum=0.9, nesterov=True)"
            )

    def slots(self, shape: Shape) -> dict[str, Slot]:
        return {"momentum_buffer": Slot(shape)} if self.momentum else {}


@dataclass(frozen=True)
class ASGD(Optimizer):
    """Averaged stochastic gradient descent, as `torch.optim.ASGD`.

        g = grad + weight_decay * raw
        raw = raw * (1 - lambd * eta) - eta * g
        ax = raw  while mu = 1,  else  ax + mu * (raw - ax)
        eta = lr / (1 + lambd * lr * t)^alpha       mu = 1 / max(1, t - t0)       (for the next step)

    The average `ax` is kept in the state; the run goes on from raw.

    Args:
        lr: step size, at least 0; the first eta.
        lambd: how fast raw decays, and eta with it.
        alpha: power of the decay of eta.
        t0: step after which averaging begins.
        weight_decay: L2 penalty on raw, at least 0.
        maximize: climb instead of descend.

    Raises:
        SpecError: for an argument outside its range.

    Limits: eta and mu are rounded to float32, as torch keeps them also for parameters in float64.

    Plain optax differs: it has no such optimizer; `optax.chain(optax.add_decayed_weights(lambd), ...)` with a schedule for
    eta keeps no average and rounds eta differently. Measured: for `ASGD()`, `optax.sgd(1e-2)` is off by 1.8e-04 of the
    largest parameter after 200 steps.

    Source: Polyak and Juditsky (1992), "Acceleration of stochastic approximation by averaging".

    Example:
        >>> import isoparam as iso
        >>> iso.ASGD(lr=0.1).t0
        1000000.0
    """

    lr: float = 1e-2
    lambd: float = 1e-4
    alpha: float = 0.75
    t0: float = 1e6
    weight_decay: float = 0.0
    maximize: bool = False

    def __post_init__(self) -> None:
        at_least_zero(self, "lr", "weight_decay")
        numbers(self, "lambd", "alpha", "t0")
        flags(self, "maximize")

    def slots(self, shape: Shape) -> dict[str, Slot]:
        return {"eta": Slot((), self.lr, "float32"), "mu": Slot((), 1.0, "float32"), "ax": Slot(shape)}

    @property
    def reads_params(self) -> bool:
        return True
