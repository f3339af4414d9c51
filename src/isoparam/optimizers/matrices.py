"""Optimizers that see a parameter as a matrix."""

from dataclasses import dataclass

from isoparam.errors import SpecError
from isoparam.optimizers.base import Optimizer, Slot, at_least_zero, counts, flags, is_number, numbers, tuples
from isoparam.specs.bounds import Shape


@dataclass(frozen=True)
class Adafactor(Optimizer):
    """Adafactor, as `torch.optim.Adafactor`: the second moment of a matrix is the product of a column and a row.

        w = t^beta2_decay       rho = min(lr, 1 / sqrt(t))       a = max(eps[1], rms(raw)) * rho
        R = R + w * (mean of g * g along rows - R)       C = C + w * (mean of g * g along columns - C)
        v = R C / max(mean of R, eps[0])       (a vector or a number: v = v + w * (g * g - v))
        u = g / sqrt(max(v, eps[0]^2))         raw = raw * (1 - lr * weight_decay) - a / max(1, rms(u) / d) * u

    The last two axes are those of the matrix; any axes before them count matrices.

    Args:
        lr: upper bound of the relative step size, at least 0.
        beta2_decay: power by which the share of a new gradient falls, at most 0.
        eps: least v (by its root; None is that of the dtype) and least size of raw in the step size, both at least 0.
        d: size of the update from which it is clipped, at least 1.
        weight_decay: share of raw, in units of lr, that is removed each step; at least 0.
        maximize: climb instead of descend.

    Raises:
        SpecError: for an argument outside its range.

    Plain optax differs: `optax.adafactor` factors only axes of at least 128 entries, and the two largest; adds 1e-30 where
    torch takes the larger; removes weight_decay * raw whatever lr is; and computes t^beta2_decay in float32. Measured: for
    `Adafactor()`, `optax.adafactor(1e-2)` is off by 6.3e-01 of the largest parameter after 200 steps.

    Source: Shazeer and Stern (2018), "Adafactor: adaptive learning rates with sublinear memory cost".

    Example:
        >>> import isoparam as iso
        >>> {name: slot.shape for name, slot in iso.Adafactor().slots((5, 3)).items()}
        {'row_var': (5, 1), 'col_var': (1, 3)}
    """

    elementwise = False
    lr: float = 1e-2
    beta2_decay: float = -0.8
    eps: tuple[float | None, float] = (None, 1e-3)
    d: float = 1.0
    weight_decay: float = 0.0
    maximize: bool = False

    def __post_init__(self) -> None:
        at_least_zero(self, "lr", "weight_decay")
        numbers(self, "beta2_decay", "d")
        flags(self, "maximize")
        if self.beta2_decay > 0:
            raise SpecError(f"Adafactor: beta2_decay={self.beta2_decay!r} must be a number, at most 0, such as -0.8")
        if self.d < 1:
            raise SpecError(f"Adafactor: d={self.d!r} must be a number, at least 1")
        pair = self.eps
        if not (isinstance(pair, tuple | list) and len(pair) == 2 and (pair[0] is None or _fits(pair[0])) and _fits(pair[1])):
            raise SpecError(f"Adafactor: eps={pair!r} must be None or a number, and a number, both at least 0: (None, 1e-3)")
        object.__setattr__(self, "eps", (None if pair[0] is None else float(pair[0]), float(pair[1])))

    @property
    def decoupled(self) -> bool:
        return True

    @property
    def reads_params(self) -> bool:
        return True

    def slots(self, shape: Shape) -> dict[str, Slot]:
        if len(shape) < 2:
            return {"variance": Slot(shape)}
        return {"row_var": Slot((*shape[:-1], 1)), "col_var": Slot((*shape[:-2], 1, shape[-1]))}


@dataclass(frozen=True)
class Muon(Optimizer):
    """Muon, as `torch.optim.Muon`: momentum, made nearly orthogonal; for matrices only.

        b = b + (1 - momentum) * (g - b)       u = g + momentum * (b - g)  if nesterov else  b
        raw = raw * (1 - lr * weight_decay) - lr * r * orthogonal(u)

    `orthogonal` divides by the Frobenius norm and iterates X = a X + (b A + c A A) X with A = X X^T, ns_steps times, in
    bfloat16 whatever the parameter is.

    Args:
        lr: step size, at least 0.
        weight_decay: share of raw, in units of lr, that is removed each step; at least 0.
        momentum: share of the buffer that is kept, at least 0.
        nesterov: look ahead along the buffer.
        ns_coefficients: a, b and c.
        eps: least norm to divide by.
        ns_steps: iterations, 1 to 99.
        adjust_lr_fn: r: None or "original" for sqrt(max(1, rows / columns)); "match_rms_adamw" for
            0.2 * sqrt(max(rows, columns)).

    Raises:
        SpecError: for an argument outside its range.

    Limits: a parameter that is no matrix is refused. Products of bfloat16 matrices are rounded by another order of
    summation in each framework: the trajectories are close, not equal.

    Plain optax differs: `optax.contrib.muon` iterates in the dtype of the parameter, corrects the bias of the momentum, has
    no weight decay by default (here 0.1) and takes r by the transposed shape, that of flax kernels. Measured: for `Muon()`,
    `optax.contrib.muon(1e-3)` is off by 9.9e-02 of the largest parameter after 200 steps.

    Source: Jordan et al. (2024), "Muon: an optimizer for hidden layers in neural networks".

    Example:
        >>> import isoparam as iso
        >>> iso.Muon(adjust_lr_fn="match_rms_adamw").ns_steps
        5
    """

    elementwise = False
    lr: float = 1e-3
    weight_decay: float = 0.1
    momentum: float = 0.95
    nesterov: bool = True
    ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315)
    eps: float = 1e-7
    ns_steps: int = 5
    adjust_lr_fn: str | None = None

    def __post_init__(self) -> None:
        at_least_zero(self, "lr", "weight_decay", "momentum", "eps")
        flags(self, "nesterov")
        tuples(self, "ns_coefficients", 3, "three numbers, such as (3.4445, -4.775, 2.0315)")
        counts(self, "ns_steps")
        if self.ns_steps >= 100:
            raise SpecError(f"Muon: ns_steps={self.ns_steps!r} must be below 100; 5 are enough")
        if self.adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise SpecError(f"Muon: adjust_lr_fn={self.adjust_lr_fn!r} must be 'original', 'match_rms_adamw' or None")

    @property
    def decoupled(self) -> bool:
        return True

    def slots(self, shape: Shape) -> dict[str, Slot]:
        if len(shape) != 2:
            raise SpecError(f"Muon: a parameter of shape {shape} is no matrix; train it with isoparam.AdamW, for instance")
        return {"momentum_buffer": Slot(shape)}

    def ratio(self, shape: Shape) -> float:
        """r: what multiplies lr for a matrix of this shape."""
        rows, columns = shape
        if self.adjust_lr_fn == "match_rms_adamw":
            return 0.2 * max(rows, columns) ** 0.5
        return max(1.0, rows / columns) ** 0.5


def _fits(value: object) -> bool:
    return is_number(value) and value >= 0  # pyright: ignore[reportOperatorIssue]
