"""Structure specs: parameters of which all, or some, are not free."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from isoparam.errors import SpecError
from isoparam.specs.base import Border, Facts, Kind, Spec, check_last
from isoparam.specs.bounds import Numbers, Shape, as_bound


@dataclass(frozen=True)
class Fixed(Spec):
    """A constant: a parameter that training never moves.

        value = the constant,   raw has no entries

    Without an entry there is nothing that an optimizer, its momentum or its weight decay could move. The constant is
    rounded to the dtype of raw.

    Args:
        value: the constant, a finite number or an array of them.

    Shapes: a value has the shape of the constant, behind any batch axes; raw has one axis of length 0 in its place.

    Raises:
        SpecError: for a constant that is no finite number or array, or an array of another shape.

    Limits: `contains` asks for the constant itself, up to eps of the dtype of the value.

    Source: `requires_grad=False` of PyTorch, `optax.set_to_zero`, `numpyro.deterministic`.

    Example:
        >>> import isoparam as iso
        >>> iso.Fixed([1.0, 2.0]).raw_shape((5, 2))
        (5, 0)
    """

    kind: ClassVar[Kind] = "structure"
    raw_rank: ClassVar[int] = 1
    facts: ClassVar[Facts] = Facts(
        domain="{value}",
        raw_size="0",
        formula="the constant",
        log_abs_det="0",
        volume="of a point: 1",
        projection="the constant",
        limits="the constant is rounded to the dtype of raw",
        source="requires_grad=False of PyTorch, optax.set_to_zero",
    )

    value: Numbers
    _shape: ClassVar[Shape]

    def __post_init__(self) -> None:
        value = as_bound("Fixed", "value", self.value)
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "value_rank", len(np.shape(value)))
        object.__setattr__(self, "_shape", np.shape(value))  # kept, since torch.compile cannot ask numpy

    @property
    def own_shape(self) -> Shape:
        """The shape of the constant."""
        return self._shape

    def border(self, value: np.ndarray) -> Border:
        """None: a constant has nowhere to go."""
        return Border(np.empty(0))

    def _raw_shape(self, value_shape: Shape) -> Shape:
        return (*value_shape[: len(value_shape) - len(self.own_shape)], 0)

    def _value_shape(self, raw_shape: Shape) -> Shape:
        return (*raw_shape[:-1], *self.own_shape)

    def _check_shape(self, shape: Shape, name: str) -> None:
        wanted = (0,) if name == "raw" else self.own_shape
        check_last(self, shape, wanted, name)

    def _cure(self, wrong: np.ndarray) -> str:
        furthest = np.max(np.abs(wrong - np.asarray(self.value)))
        return (
            f"it misses the constant by {furthest:.3g}: give the constant; where this spec is declared write Fixed(that value) "
            "for another one, or Real() for what may change"
        )


@dataclass(frozen=True)
class Tied(Spec):
    """A parameter that always equals another one of its tree: shared weights.

        value = the value called `to`   or its transpose,   raw has no entries

    The other parameter is the only one that is trained, and its gradient is the sum over both places. It works where
    there is a tree with names: in `constrain`, `unconstrain` and `log_jacobian`, in the constraints of a `Problem`, as
    a class attribute, `y = Constrained(Tied("x"))`, and in `attach(module, name, Tied("encoder.weight"))`.

    Args:
        to: the name of the other parameter in the same tree; a tied one leads on to what it is tied to.
        transpose: whether the last two axes change places.

    Shapes: that of the other parameter, or its transpose; raw has the shape (0,).

    Raises:
        SpecError: for a name that is no text; in use for a name that is not there or that leads back to itself, for
            another shape, and by every verb that is asked without a tree.
        DomainError: by `unconstrain`, `train` and `attach`, for a value that is not equal to the other one;
            `attach(..., start="project")` takes the numbers of the other one.

    Limits: a glob as the name must match one parameter.

    Source: weight tying, Press and Wolf (2017), "Using the output embedding to improve language models".

    Example:
        >>> import isoparam as iso
        >>> iso.Tied("encoder.weight", transpose=True).raw_shape((3, 2))
        (0,)
    """

    kind: ClassVar[Kind] = "structure"
    raw_rank: ClassVar[int] = 1
    value_rank: ClassVar[int] = 0
    facts: ClassVar[Facts] = Facts(
        domain="{the value of another parameter}",
        raw_size="0",
        formula="the other value, or its transpose",
        log_abs_det="0",
        volume="of a point: 1",
        projection="the other value",
        limits="works in trees, problems and modules, where the other parameter has a name",
        source="Press and Wolf (2017)",
    )

    to: str
    transpose: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.to, str) or not self.to:
            raise SpecError(f"Tied(to={self.to!r}): to must be the name of another parameter, such as 'encoder.weight'")
        if not isinstance(self.transpose, bool):
            raise SpecError(f"Tied(transpose={self.transpose!r}): transpose must be True or False")

    @property
    def absent(self) -> dict[str, str]:
        """Every verb: a single array does not hold the other parameter."""
        reason = (
            f"its value is that of {self.to!r}, which a single array does not hold; use it in a tree, "
            f"constrain(raw, {{name: {self}}}), in the constraints of a Problem, or as Constrained({self}) in a class"
        )
        return dict.fromkeys(("forward", "inverse", "log_abs_det", "project", "contains"), reason)

    def border(self, value: np.ndarray) -> Border:
        """None: its value is not its own."""
        return Border(np.empty(0))

    def linked(self, shape: Shape) -> Shape:
        """The shape of a parameter tied to one of this shape.

        Raises:
            SpecError: for a transpose of less than two axes.
        """
        return turned(self, shape) if self.transpose else tuple(shape)

    def _raw_shape(self, value_shape: Shape) -> Shape:
        return (0,)

    def _value_shape(self, raw_shape: Shape) -> Shape:
        raise SpecError(f"{self} takes its shape from {self.to!r}, not from its raw; ask for that of {self.to!r}")

    def _check_shape(self, shape: Shape, name: str) -> None:
        if name == "raw":
            check_last(self, shape, (0,), name)


def turned(spec: Spec, shape: Shape) -> Shape:
    """A shape with its last two axes changed; SpecError for one that has no two axes."""
    if len(shape) < 2:
        raise SpecError(f"{spec}: a value of shape {tuple(shape)} has no two axes to transpose")
    return (*shape[:-2], shape[-1], shape[-2])
