"""Every exception and warning of isoparam, drawn as a tree.

::

    IsoparamError
    ├── SpecError(ValueError)             a spec, a shape, a dtype or an argument that cannot be right
    │   └── UnassignedError(AttributeError)   a constrained attribute that has no raw yet
    ├── DomainError(ValueError)           a value outside its set, or on a border that only raw = inf reaches
    ├── BackendError(ImportError)         a backend that is unknown, not installed, or not able to run this
    ├── StaleGraphError(RuntimeError)     a constrained value computed once and reused
    ├── NonFiniteError(ArithmeticError)   a loss or gradient that became nan or inf
    ├── CheckpointError(OSError)          a saved state that is missing, damaged or foreign
    └── ParityError(AssertionError)       two backends further apart than their budget

    SaturationWarning(UserWarning)        a parameter whose gradient has underflowed to exactly 0
    StallWarning(UserWarning)             an LBFGS that no longer moves
    NonFiniteWarning(UserWarning)         a step that was skipped, its loss or gradient being nan or inf
    CheckpointWarning(UserWarning)        a state that could not be saved while its run goes on

    Interrupted(KeyboardInterrupt)        a run ended by Ctrl-C, with its last state

A message says what happened, where, why, and the next line to type.
"""

from typing import Any


class IsoparamError(Exception):
    """Base of every exception that isoparam raises on purpose."""


class SpecError(IsoparamError, ValueError):
    """A spec, shape, dtype or argument that cannot be right."""


class UnassignedError(SpecError, AttributeError):
    """A constrained attribute that is read before its first assignment: as one that is missing, `hasattr` says False."""


class DomainError(IsoparamError, ValueError):
    """A value outside its set, or on the border, where raw would be infinite."""


class BackendError(IsoparamError, ImportError):
    """A backend that is unknown, not installed, or not able to run what was asked."""


class StaleGraphError(IsoparamError, RuntimeError):
    """A constrained value was computed once and reused after its raw parameter moved."""


class NonFiniteError(IsoparamError, ArithmeticError):
    """A loss or gradient became nan or inf.

    Attributes:
        step: index of the update whose loss or gradient was not finite.
        parameter: dotted name of the first parameter with a non-finite gradient (None: only the loss).
        run: the `Run` up to the last good state, so that nothing is lost.
    """

    def __init__(self, message: str, *, step: int | None = None, parameter: str | None = None, run: Any = None) -> None:
        super().__init__(message)
        self.step = step
        self.parameter = parameter
        self.run = run


class CheckpointError(IsoparamError, OSError):
    """A saved state is missing, damaged, foreign or from a newer version."""


class ParityError(IsoparamError, AssertionError):
    """Two backends are further apart than their budget allows."""


class SaturationWarning(UserWarning):
    """The gradient of a parameter has underflowed to exactly 0: it cannot move any more."""


class StallWarning(UserWarning):
    """LBFGS repeats a step without moving: its tolerances are met, or losses no longer differ."""


class NonFiniteWarning(UserWarning):
    """A step was skipped, since its loss or gradient is nan or inf; `Run.skipped` counts them."""


class CheckpointWarning(UserWarning):
    """A state could not be saved, as on a full disk; the run goes on, and the state saved before is as it was."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C ended a run. As a KeyboardInterrupt it passes `except Exception`.

    Attributes:
        run: the `Run` up to there, so that nothing is lost.
    """

    def __init__(self, message: str, run: Any) -> None:
        super().__init__(message)
        self.run = run
