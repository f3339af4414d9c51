"""Optimizers as data: what is asked for, in the names, defaults and meaning of torch.optim."""

from dataclasses import dataclass
from math import isfinite
from typing import Any

from isoparam.errors import SpecError


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent, as `torch.optim.SGD`.

        g = grad + weight_decay * raw
        b = momentum * b + (1 - dampening) * g       (the first b is g, undamped)
        raw = raw - lr * (g + momentum * b  if nesterov else  b)

    Args:
        lr: step size, above 0.
        momentum: share of the buffer that is kept, at least 0; 0 keeps no buffer.
        dampening: share of the gradient that the buffer leaves out; only with momentum.
        weight_decay: L2 penalty on raw, added to the gradient.
        nesterov: look ahead along the buffer; needs momentum > 0 and dampening = 0.
        maximize: climb instead of descend.

    Raises:
        SpecError: for an argument outside its range.

    Plain optax differs: `optax.sgd` has no dampening and no weight decay.

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
        _above_zero(self, "lr")
        _at_least_zero(self, "momentum", "weight_decay")
        _number(self, "dampening")
        _flags(self, "nesterov", "maximize")
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise SpecError(
                f"{self}: nesterov needs momentum > 0 and dampening = 0; write SGD(lr, momentum=0.9, nesterov=True)"
            )


@dataclass(frozen=True)
class Adam:
    """Adam, as `torch.optim.Adam`; weight decay is an L2 penalty, added to the gradient before the moments.

        m = m + (1 - beta1) * (g - m)       v = beta2 * v + (1 - beta2) * g * g
        raw = raw - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)

    Args:
        lr: step size, above 0.
        betas: how much of the two moments is kept each step, both in [0, 1).
        eps: added to the denominator, at least 0.
        weight_decay: L2 penalty on raw, at least 0.
        amsgrad: divide by the largest v so far, before its bias correction.
        maximize: climb instead of descend.

    Raises:
        SpecError: for an argument outside its range.

    Plain optax differs: `optax.adam` has no weight decay, computes the bias corrections in float32, and its
    amsgrad takes the maximum after the bias correction.

    Source: Kingma and Ba (2015), "Adam: a method for stochastic optimization"; Reddi et al. (2018) for amsgrad.

    Example:
        >>> import isoparam as iso
        >>> iso.Adam(lr=-1)
        Traceback (most recent call last):
        ...
        isoparam.errors.SpecError: Adam: lr=-1 must be a finite number above 0
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    amsgrad: bool = False
    maximize: bool = False

    def __post_init__(self) -> None:
        _check_adam(self)


@dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay, as `torch.optim.AdamW`: raw is shrunk first, the moments never see the decay.

        raw = raw * (1 - lr * weight_decay), then the step of `Adam`

    Args:
        lr: step size, above 0.
        betas: how much of the two moments is kept each step, both in [0, 1).
        eps: added to the denominator, at least 0.
        weight_decay: share of raw, in units of lr, that is removed each step; at least 0.
        amsgrad: divide by the largest v so far, before its bias correction.
        maximize: climb instead of descend.

    Raises:
        SpecError: for an argument outside its range.

    Plain optax differs: `optax.adamw` decays by 1e-4 by default (here 1e-2), adds the decay to the step and rounds
    once more, and computes the bias corrections in float32.

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


@dataclass(frozen=True)
class LBFGS:
    """Limited-memory BFGS, as `torch.optim.LBFGS`: few steps, each of several evaluations of the loss.

        d = -H g, where H is built from the last `history_size` pairs of a step and the change of the gradient along it
        raw = raw + t * d, with t = lr (the very first: lr * min(1, 1/|g|_1)), or searched for from there

    One step of `train` is one `.step()` of torch: up to `max_iter` such moves on one batch. For the last digits, where
    losses no longer differ, set both tolerances to 0 and let `tol_grad` of `train` end the run. With the tolerances met, later
    steps do not move at all, and a smaller `tol_grad` is never reached: the run goes on to its last step.

    Args:
        lr: first guess of the step length, above 0; 1 is the natural one.
        max_iter: moves per step, at least 1.
        max_eval: evaluations per step after which no further move begins, at least 1; None is max_iter * 5 // 4.
        tolerance_grad: a step ends once no entry of the gradient is larger than this, at least 0.
        tolerance_change: a step ends after a move that changes loss or parameters by less than this, at least 0.
        history_size: pairs that are kept, at least 1. Pairs with (change of g) . (step) <= 1e-10 are not kept: scale a
            loss up whose gradients are small.
        line_search_fn: "strong_wolfe", or None for t = lr.

    Raises:
        SpecError: for an argument outside its range.

    Limits: `train` refuses it in bfloat16, where differences of gradients are mostly rounding.

    Plain optax differs: one update of `optax.lbfgs` is one move, its caller iterates; it has no tolerances; the first
    step is scaled by the 2-norm of the gradient instead of the 1-norm; every pair with (change of g) . (step) != 0 is
    kept; and its zoom line search starts, interpolates and gives up by other rules.

    Source: Nocedal and Wright (2006), "Numerical optimization", algorithms 7.4, 7.5, 3.5 and 3.6; minFunc by M. Schmidt.

    Example:
        >>> import isoparam as iso
        >>> iso.LBFGS(line_search_fn="strong_wolfe").evaluations
        25
    """

    lr: float = 1.0
    max_iter: int = 20
    max_eval: int | None = None
    tolerance_grad: float = 1e-7
    tolerance_change: float = 1e-9
    history_size: int = 100
    line_search_fn: str | None = None

    def __post_init__(self) -> None:
        _above_zero(self, "lr")
        _at_least_zero(self, "tolerance_grad", "tolerance_change")
        _counts(self, "max_iter", "history_size", *(() if self.max_eval is None else ("max_eval",)))
        if self.line_search_fn not in (None, "strong_wolfe"):
            raise SpecError(f"LBFGS: line_search_fn={self.line_search_fn!r} must be 'strong_wolfe' or None")

    @property
    def evaluations(self) -> int:
        """`max_eval`, or what it is when left None."""
        return self.max_iter * 5 // 4 if self.max_eval is None else self.max_eval


Optimizer = SGD | Adam | AdamW | LBFGS


def as_optimizer(spec: Any) -> Optimizer:
    """The spec itself, or SpecError for anything else."""
    if isinstance(spec, Optimizer):
        return spec
    raise SpecError(f"optimizer={spec!r} is no optimizer of isoparam; write one such as isoparam.Adam(lr=0.01)")


def _check_adam(spec: Adam | AdamW) -> None:
    _above_zero(spec, "lr")
    _at_least_zero(spec, "eps", "weight_decay")
    _flags(spec, "amsgrad", "maximize")
    pair = spec.betas
    if not (isinstance(pair, tuple | list) and len(pair) == 2 and all(_is_number(beta) and 0 <= beta < 1 for beta in pair)):
        raise SpecError(f"{_name(spec)}: betas={pair!r} must be two numbers in [0, 1), such as (0.9, 0.999)")
    object.__setattr__(spec, "betas", (float(pair[0]), float(pair[1])))


def _above_zero(spec: Any, name: str) -> None:
    if not _is_number(getattr(spec, name)) or getattr(spec, name) <= 0:
        raise SpecError(f"{_name(spec)}: {name}={getattr(spec, name)!r} must be a finite number above 0")
    object.__setattr__(spec, name, float(getattr(spec, name)))


def _at_least_zero(spec: Any, *names: str) -> None:
    for name in names:
        if not _is_number(getattr(spec, name)) or getattr(spec, name) < 0:
            raise SpecError(f"{_name(spec)}: {name}={getattr(spec, name)!r} must be a finite number, at least 0")
        object.__setattr__(spec, name, float(getattr(spec, name)))


def _number(spec: Any, name: str) -> None:
    if not _is_number(getattr(spec, name)):
        raise SpecError(f"{_name(spec)}: {name}={getattr(spec, name)!r} must be a finite number")
    object.__setattr__(spec, name, float(getattr(spec, name)))


def _counts(spec: Any, *names: str) -> None:
    for name in names:
        value = getattr(spec, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise SpecError(f"{_name(spec)}: {name}={value!r} must be a whole number, at least 1")


def _flags(spec: Any, *names: str) -> None:
    for name in names:
        if not isinstance(getattr(spec, name), bool):
            raise SpecError(f"{_name(spec)}: {name}={getattr(spec, name)!r} must be True or False")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _name(spec: Any) -> str:
    return type(spec).__name__
