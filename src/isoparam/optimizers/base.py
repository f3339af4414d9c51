"""What every optimizer spec is, and the checks of its arguments."""

from dataclasses import dataclass
from math import isfinite
from typing import Any, ClassVar, NamedTuple

from isoparam.errors import SpecError
from isoparam.plain import plain
from isoparam.specs.bounds import Shape


class Slot(NamedTuple):
    """One buffer of an optimizer's state.

    Attributes:
        shape: of the buffer.
        fill: every entry of it before the first step.
        dtype: "float32" for the numbers that torch keeps so whatever the parameter is; None for the dtype of the parameter.
    """

    shape: Shape
    fill: float = 0.0
    dtype: str | None = None


@dataclass(frozen=True)
class Optimizer:
    """What an optimizer does, in the names, defaults and meaning of torch.optim; every spec is a frozen dataclass of this type.

    Attributes:
        lr: step size.
        maximize: whether to climb instead of descend.
        weight_decay: how strongly the parameters are pulled to 0.
        cycled: whether a schedule sets the momentum of every update, which may then be 0 at some.
        elementwise: whether every entry of a parameter is moved by its own gradient alone, so that parameters may be treated
            as one vector.
    """

    # Without annotations these are no fields: a spec that has such an argument says so itself.
    lr = 0.0
    maximize = False
    weight_decay = 0.0
    cycled = False
    elementwise: ClassVar[bool] = True

    def slots(self, shape: Shape) -> dict[str, Slot]:
        """The buffers that are kept for a parameter of this shape, by torch's names; the count of steps comes beside them.

        `LBFGS`, which takes all parameters as one vector, keeps what `init_state` of its own file says.
        """
        raise NotImplementedError

    @property
    def decoupled(self) -> bool:
        """Whether weight decay shrinks the parameters themselves; else it is an L2 penalty, added to the gradient."""
        return False

    @property
    def reads_params(self) -> bool:
        """Whether an update depends on the parameters themselves, beside their gradient."""
        return self.weight_decay != 0


def above_zero(spec: Any, *names: str) -> None:
    """Raise SpecError unless these arguments are finite numbers above 0; keep them as floats."""
    for name in names:
        value = kept(spec, name)
        if not is_number(value) or value <= 0:
            raise SpecError(f"{_name(spec)}: {name}={value!r} must be a finite number above 0")
        object.__setattr__(spec, name, float(value))


def at_least_zero(spec: Any, *names: str) -> None:
    """Raise SpecError unless these arguments are finite numbers of at least 0; keep them as floats."""
    for name in names:
        value = kept(spec, name)
        if not is_number(value) or value < 0:
            raise SpecError(f"{_name(spec)}: {name}={value!r} must be a finite number, at least 0")
        object.__setattr__(spec, name, float(value))


def numbers(spec: Any, *names: str) -> None:
    """Raise SpecError unless these arguments are finite numbers; keep them as floats."""
    for name in names:
        value = kept(spec, name)
        if not is_number(value):
            raise SpecError(f"{_name(spec)}: {name}={value!r} must be a finite number")
        object.__setattr__(spec, name, float(value))


def counts(spec: Any, *names: str) -> None:
    """Raise SpecError unless these arguments are whole numbers of at least 1; keep them as ints."""
    for name in names:
        value = kept(spec, name)
        if type(value) is not int or value < 1:
            raise SpecError(f"{_name(spec)}: {name}={value!r} must be a whole number, at least 1")


def flags(spec: Any, *names: str) -> None:
    """Raise SpecError unless these arguments are True or False."""
    for name in names:
        value = kept(spec, name)
        if not isinstance(value, bool):
            raise SpecError(f"{_name(spec)}: {name}={value!r} must be True or False")


def tuples(spec: Any, name: str, length: int, what: str) -> None:
    """Raise SpecError unless this argument holds so many finite numbers; keep it as a tuple of floats.

    Args:
        spec: whose argument.
        name: of the argument.
        length: how many numbers.
        what: how the message calls what is wanted, such as "two numbers".
    """
    given = kept(spec, name)
    if not (isinstance(given, tuple | list) and len(given) == length and all(is_number(part) for part in given)):
        raise SpecError(f"{_name(spec)}: {name}={given!r} must be {what}")
    object.__setattr__(spec, name, tuple(float(part) for part in given))


def betas_below_one(spec: Any) -> None:
    """Raise SpecError unless `betas` are two numbers in [0, 1); keep them as floats."""
    wanted = "two numbers in [0, 1), such as (0.9, 0.999)"
    given = spec.betas
    tuples(spec, "betas", 2, wanted)
    if not all(0 <= beta < 1 for beta in spec.betas):
        raise SpecError(f"{_name(spec)}: betas={given!r} must be {wanted}")


def is_number(value: Any) -> bool:
    """Whether this is a finite number; True and False are none."""
    value = plain(value)
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def kept(spec: Any, name: str) -> Any:
    """An argument of a spec, which keeps it in the types of Python: a number of numpy is a number."""
    value = plain(getattr(spec, name))
    object.__setattr__(spec, name, value)
    return value


def _name(spec: Any) -> str:
    return type(spec).__name__
