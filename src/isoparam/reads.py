"""Which values a loss reads: a constrained name that is in neither `init` nor the loss is a misspelt key."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from isoparam.errors import IsoparamError, SpecError
from isoparam.objective import ModuleLoss
from isoparam.problem import Problem


class Watched(dict[str, Any]):
    """A dict that notes which of its entries are read."""

    def __init__(self, entries: Any, read: set[str]) -> None:
        super().__init__(entries)
        self._read = read

    def __getitem__(self, name: str) -> Any:
        self._read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """As of a dict."""
        self._read.add(name)
        return super().get(name, default)

    def items(self) -> Any:
        """As of a dict; reads everything."""
        self._read.update(self)
        return super().items()

    def values(self) -> Any:
        """As of a dict; reads everything."""
        self._read.update(self)
        return super().values()

    def __iter__(self) -> Iterator[str]:
        """As of a dict; that it is written out makes `{**values}` and `f(**values)` read by name."""
        return super().__iter__()


class _WatchedModule(ModuleLoss):
    """A ModuleLoss that notes which values it reads."""

    def __init__(self, loss: ModuleLoss, read: set[str]) -> None:
        self.backend, self.variables = loss.backend, loss.variables
        self._loss, self._read = loss, read

    def advance(
        self, values: Mapping[str, Any], variables: Mapping[str, Any], batch: Mapping[str, Any], seed: int, step: Any
    ) -> tuple[Any, dict[str, Any]]:
        """As the loss itself."""
        return self._loss.advance(Watched(values, self._read), variables, batch, seed, step)


def _watching(loss: Any, read: set[str]) -> Any:
    """The loss, noting which values it reads."""
    if isinstance(loss, ModuleLoss):
        return _WatchedModule(loss, read)
    return lambda values, batch: loss(Watched(values, read), batch)


def check_reads(problem: Problem, backend: str, evaluate: Callable[[Problem], Any]) -> None:
    """Refuse a constrained name that `init` leaves out and the loss never reads.

    Args:
        problem: its loss is run once, if `init` leaves a name out.
        backend: whose loss to run.
        evaluate: runs the loss of a problem at its start.

    Raises:
        SpecError: naming the key.
    """
    left_out = [name for name, value in (problem.init or {}).items() if value is None]
    if not left_out:
        return
    loss, read = problem.loss_for(backend), set[str]()
    watched = replace(problem, loss={backend: _watching(loss, read)})
    try:
        evaluate(watched)
    except IsoparamError:
        raise
    except Exception:  # a loss that takes nothing but a plain dict shows nothing here, and runs below
        return
    for name in left_out:
        if name not in read:
            given = [other for other in problem.shapes if other not in left_out]
            close = get_close_matches(name, given, n=1, cutoff=0.0)
            hint = f"did you mean {close[0]!r}? Else " if close else ""
            raise SpecError(
                f"constraints[{name!r}] names no parameter: init has none, and the loss does not read it; "
                f"{hint}drop the key, or use values[{name!r}] in the loss"
            )
