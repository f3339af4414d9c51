"""ModuleLoss: the loss of an unmodified module, which carries what the module changes besides its parameters."""

import dis
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

from isoparam.errors import SpecError

Advance = Callable[[dict[str, Any], Mapping[str, Any], dict[str, Any], Any], tuple[Any, Mapping[str, Any]]]


class ModuleLoss(ABC):
    """What `as_loss` makes of a module: a loss(values, batch) that knows its backend and the rest of the module's state.

    A module may hold more than what is trained: batch statistics, streams of random numbers, frozen parameters. They are
    `variables`: `advance` takes them and gives back those after the call, so that training carries them from step to step
    and can replay a step exactly. The module that was given is never touched.

    Attributes:
        backend: the backend that it runs on.
        variables: {dotted name: array of the backend} at the start.
    """

    backend: str
    variables: Mapping[str, Any]

    def __call__(self, values: Mapping[str, Any], batch: Mapping[str, Any]) -> Any:
        """The loss with the variables of the start and the random numbers of step 0 of seed 0."""
        return self.advance(values, self.variables, batch, 0, 0)[0]

    @abstractmethod
    def advance(
        self, values: Mapping[str, Any], variables: Mapping[str, Any], batch: Mapping[str, Any], seed: int, step: Any
    ) -> tuple[Any, dict[str, Any]]:
        """The loss, and the variables after it, under the same names; a pure function of its arguments.

        Args:
            values: {name: trained parameter}, of any floating dtype.
            variables: as `self.variables`, floating ones in the dtype of values.
            batch: {name: array}.
            seed: of the run.
            step: whole number of the step; in JAX it may be traced.
        """

    def module(self, values: Mapping[str, Any], variables: Mapping[str, Any] | None = None) -> Any:
        """A fresh module of the user's class that holds these numbers: the trained one for `run.values, run.variables`.

        Args:
            values: {name: array} for every trained parameter, of numpy or of the backend.
            variables: {name: array}; those left out are as at the start.

        Returns:
            The module, in its own dtypes, which need not be that of the run; for linen one that is bound to its variables.

        Raises:
            SpecError: for names or shapes other than the module's, and for a loss that `as_loss` did not make.
        """
        del values, variables
        raise SpecError(f"{type(self).__name__} was not made by as_loss, so there is no module")


def advancing(loss: Any, seed: int) -> Advance:
    """Any loss as `advance(values, variables, batch, step) -> loss, variables`; a plain one leaves the variables alone."""
    if isinstance(loss, ModuleLoss):
        return lambda values, variables, batch, step: loss.advance(values, variables, batch, seed, step)
    return lambda values, variables, batch, step: (loss(values, batch), variables)


def check_loss_fn(loss_fn: Any, module: Any) -> None:
    """Raise SpecError unless loss_fn is a callable that works on its argument.

    Args:
        loss_fn: what `as_loss` was given.
        module: the module that it was given; a loss_fn that calls this one would train nothing. None: not looked for.
    """
    if not callable(loss_fn):
        raise SpecError(f"as_loss: loss_fn={loss_fn!r} must be a callable loss_fn(model, batch)")
    if module is None or not isinstance(loss_fn, FunctionType):
        return
    code = loss_fn.__code__
    used = {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    around = {name: value for name, value in loss_fn.__globals__.items() if name in used}
    for name, cell in zip(code.co_freevars, loss_fn.__closure__ or (), strict=True):
        try:
            around[name] = cell.cell_contents
        except ValueError:  # a name of the enclosing function that has no value yet
            continue
    for name, value in around.items():
        if value is module:
            raise SpecError(
                f"as_loss: loss_fn uses {name!r}, the module that was given, which is never trained; use the first argument "
                f"of loss_fn(model, batch), its copy"
            )


def check_variables(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Raise SpecError unless a step kept the names, shapes and dtypes of the variables."""
    if set(before) != set(after):
        raise SpecError(f"the loss was given the variables {list(before)} and returned {list(after)}; return the same names")
    for name, array in before.items():
        if (array.shape, array.dtype) != (after[name].shape, after[name].dtype):
            raise SpecError(
                f"variables[{name!r}] was {array.dtype} of shape {tuple(array.shape)} and came back as {after[name].dtype} of "
                f"shape {tuple(after[name].shape)}; a step must keep both, so cast inside the module"
            )
