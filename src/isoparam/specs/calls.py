"""How a spec is written: its signature for people, and what to say of a call that does not fit it."""

from abc import ABCMeta
from difflib import get_close_matches
from inspect import Parameter, Signature, signature
from reprlib import Repr
from typing import TYPE_CHECKING, Any

from isoparam.errors import SpecError

SIZES = "a size is that of the value, not of the spec"
BOUNDS = "bounds are given to Interval, GreaterThan or LessThan"
ELSEWHERE = {"dim": "axis", "lower": "low", "min": "low", "upper": "high", "max": "high"}
"""What arguments are called in other libraries, and here."""
_SHORT = Repr()
_SHORT.maxother = _SHORT.maxstring = 40  # an array is not shown in full


class SpecType(ABCMeta):
    """The class of spec classes, which says of a call with wrong arguments how it is written."""

    if not TYPE_CHECKING:  # type checkers read the fields

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            """Make a spec."""
            try:
                return super().__call__(*args, **kwargs)
            except TypeError:
                complaint = misfit(cls, args, kwargs)
                if not complaint:
                    raise
            raise SpecError(complaint)

        @property
        def __signature__(cls) -> Signature:
            """What `help` shows, which would find that of `__call__`."""
            own = signature(cls.__init__)
            return own.replace(parameters=tuple(own.parameters.values())[1:])


def written(spec_type: Any) -> str:
    """A call with the defaults: `Interval(low, high, link='sigmoid')`; of keywords, those of the class itself come first."""
    own = list(vars(spec_type).get("__annotations__", {}))
    parameters = [entry.replace(annotation=Parameter.empty) for entry in signature(spec_type).parameters.values()]
    named = Parameter.KEYWORD_ONLY
    parameters.sort(key=lambda p: (p.kind, p.kind is named and (own.index(p.name) if p.name in own else len(own))))
    given = {entry.name: entry.default for entry in parameters}
    shown = str(Signature(parameters))
    for name, default in given.items():
        if type(default).__name__ == "_HAS_DEFAULT_FACTORY_CLASS":
            field = spec_type.__dataclass_fields__[name]
            shown = shown.replace(repr(default), repr(field.default_factory()))
    return spec_type.__name__ + shown


def misfit(spec_type: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """What is wrong with the arguments of a call; "" where they fit."""
    parameters = signature(spec_type).parameters
    free = [entry.name for entry in parameters.values() if entry.kind is Parameter.POSITIONAL_OR_KEYWORD]
    if any(entry.kind is Parameter.VAR_POSITIONAL for entry in parameters.values()):
        free += [""] * len(args)
    needed = [name for name, entry in parameters.items() if entry.default is Parameter.empty and name in free]
    missing = [name for name in needed[len(args) :] if name not in kwargs]
    unknown = [name for name in kwargs if name not in parameters]
    twice = [name for name in free[: len(args)] if name in kwargs]
    more = ""
    if unknown:
        close = [ELSEWHERE.get(unknown[0], ""), *get_close_matches(unknown[0], parameters, n=1)]
        meant = next((name for name in close if name in parameters), None)
        reason = f"there is no argument {unknown[0]!r}" + (f", did you mean {meant!r}?" if meant else "")
    elif twice:
        reason = f"{twice[0]} is given twice"
    elif len(args) > len(free):
        reason = f"it takes {len(free) or 'no'} argument{'' if len(free) == 1 else 's'} without a name"
        more = f"; {spec_type.number_hint}" if any(isinstance(entry, int | float) for entry in args) else ""
    elif missing:
        reason = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
    else:
        return ""
    shown = written(spec_type).replace("(*, ", "(").replace(" *,", "")
    call = ", ".join([*map(_SHORT.repr, args), *(f"{name}={_SHORT.repr(value)}" for name, value in kwargs.items())])
    return f"{spec_type.__name__}({call}): {reason}; write {shown}{more}"
