"""What an exception of JAX or Flax says of the program: which value, kept by what, at which line, and the repair."""

import linecache
import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import jax
from flax import nnx
from flax.errors import TraceContextError
from jax.core import Tracer

from isoparam.diagnosis import Diagnosis, Finding
from jax_impl.doctor.callers import is_users, raised_through, user_frames, variables
from jax_impl.doctor.places import holders

_CREATED = re.compile(r"created on line\s+(\S+?):(\d+)")
_TRACED = re.compile(r"being traced when the value leaked was (\S+) at ")
_TRACING = re.compile(r"while tracing the function (\S+) at (\S+?):(\d+) for (\w+)")
_ARGUMENT = re.compile(r"depends on the values? of the arguments? (.+?)\.?\s*(?:\n|$)")
_NOT_CONCRETE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)


def explain(error: BaseException) -> Diagnosis:
    """Say what an exception means: a leaked tracer, a traced value used as a number, an nnx module changed from outside.

    Args:
        error: the exception, best with its traceback.

    Returns:
        One finding, or none for an exception of another kind.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from isoparam.jax import doctor
        >>> try:
        ...     jax.jit(lambda x: x if x > 0 else -x)(1.0)
        ... except jax.errors.TracerBoolConversionError as error:
        ...     print(doctor.explain(error).findings[0].kind)
        concretized-tracer
    """
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        frames = _frames(each if each.__traceback__ is not None else error)
        if isinstance(each, jax.errors.UnexpectedTracerError):
            return Diagnosis((_leaked(each, frames),), (), _title(each))
        if isinstance(each, TraceContextError):
            return Diagnosis((_from_outside(each, frames),), (), _title(each))
        if isinstance(each, _NOT_CONCRETE):
            return Diagnosis((_not_concrete(each, frames),), (), _title(each))
        each = each.__cause__ or each.__context__
    return Diagnosis((), (), _title(error))


@contextmanager
def explaining() -> Iterator[list[Finding]]:
    """Explain the exception that goes through, if it is one of those: the diagnosis becomes a note of it.

    Yields:
        A list, which holds the findings after the exception.

    Example:
        >>> import jax
        >>> from isoparam.jax import doctor
        >>> try:
        ...     with doctor.explaining() as found:
        ...         jax.jit(lambda x: float(x))(1.0)
        ... except jax.errors.ConcretizationTypeError as error:
        ...     print(found[0].rule, "SG509" in error.__notes__[-1])
        SG509 True
    """
    found: list[Finding] = []
    try:
        yield found
    except Exception as error:
        diagnosis = explain(error)
        found.extend(diagnosis.findings)
        if diagnosis:
            error.add_note(str(diagnosis))
        raise


Spot = tuple[FrameType, int]


def _frames(error: BaseException) -> list[Spot]:
    """The user's frames, the innermost first; where the error was only just made, those that run."""
    if error.__traceback__ is not None:
        return raised_through(error.__traceback__)
    return [(frame, frame.f_lineno) for frame in user_frames()]


def _title(error: BaseException) -> str:
    return type(error).__name__


def _leaked(error: BaseException, frames: list[Spot]) -> Finding:
    text = str(error)
    created = _CREATED.search(text)
    traced = _TRACED.search(text)
    shape = re.search(r"with type (\w+\[[^\]]*\])", text)
    names = list(_tracers_kept(frames, shape.group(1) if shape else ""))
    attr = names[0] if names else "a traced value"
    file, line = (created.group(1), int(created.group(2))) if created else ("", 0)
    if not (file and is_users(file)):
        file, line = _spot(frames)
    source = linecache.getline(file, line).strip()
    function = traced.group(1) if traced else "the function that was traced"
    made = f" It was made by `{source}`" if source else ""
    message = (
        f"{attr} holds a traced value of an earlier call: it stands for no numbers, and the transformation that made it "
        f"({function}) has ended.{made}{f' while {function} was traced.' if made else ''}"
    )
    fix = f"return the value from {function} and pass it on as an argument, instead of keeping it in {attr}; or compute it anew"
    return Finding("leaked-tracer", attr, (), file, line, message, fix, "raises UnexpectedTracerError where it is used")


def _tracers_kept(frames: list[Spot], shape: str) -> Iterator[str]:
    """What holds a tracer beyond the call that made it: attributes and containers first, then plain variables."""
    attributes: list[str] = []
    plain: list[str] = []
    for frame, _ in frames:
        names = variables(frame)
        used = {name: value for name, value in frame.f_globals.items() if name in frame.f_code.co_names}
        for name, value in (*names.items(), *used.items()):
            if isinstance(value, Tracer):
                plain.append(name)
                continue
            for path, held in holders(value, name):
                if isinstance(held, Tracer) and _is_of(held, shape):
                    attributes.append(_of_class(path, name, value))
    yield from dict.fromkeys(attributes)
    yield from dict.fromkeys(plain)


def _is_of(tracer: Any, shape: str) -> bool:
    return not shape or tracer.aval.str_short() == shape or shape.startswith(str(tracer.dtype))


def _of_class(path: str, name: str, value: Any) -> str:
    """`Model.cached` for `self.cached`, which says more at a distance; a dict or a list keeps its own name."""
    if isinstance(value, dict | list | tuple | set) or (callable(value) and not isinstance(value, nnx.Module)):
        return path
    return f"{type(value).__name__}{path[len(name) :]}" if path.startswith(name) else path


def _spot(frames: list[Spot]) -> tuple[str, int]:
    return (frames[0][0].f_code.co_filename, frames[0][1]) if frames else ("", 0)


def _not_concrete(error: BaseException, frames: list[Spot]) -> Finding:
    text = str(error)
    file, line = _spot(frames)
    source = linecache.getline(file, line).strip()
    tracing, argument = _TRACING.search(text), _ARGUMENT.search(text)
    function = tracing.group(1) if tracing else "the traced function"
    transform = tracing.group(4) if tracing else "jit"
    attr = argument.group(1) if argument else function if tracing else source or function
    message = (
        f"`{source}` needs the number itself, and while {transform} traces {function} there is none yet: "
        f"the value depends on {argument.group(1) if argument else 'an argument'}."
    )
    fixes: tuple[tuple[Any, str], ...] = (
        (jax.errors.TracerBoolConversionError, "jnp.where(condition, a, b) or jax.lax.cond instead of if; jnp.all for several"),
        (
            jax.errors.NonConcreteBooleanIndexError,
            "jnp.where(mask, x, 0) instead of x[mask], whose shape depends on the numbers",
        ),
        (
            jax.errors.TracerIntegerConversionError,
            "jnp.take or x[i] on a JAX array; or static_argnums for an argument that is a size",
        ),
        (jax.errors.TracerArrayConversionError, "jnp instead of np; outside of the traced function, np.asarray of the result"),
    )
    fix = next(
        (advice for kind, advice in fixes if isinstance(error, kind)),
        "keep it a JAX array (no float(), int(), .item()), return it and convert it outside; or static_argnums for a setting",
    )
    outcome = f"raises {type(error).__name__} when the function is traced"
    return Finding("concretized-tracer", attr, (), file, line, message, fix, outcome)


def _from_outside(error: BaseException, frames: list[Spot]) -> Finding:
    """nnx's own guard: a variable is changed within a transformation that does not know it."""
    attr = _variable_in(error, frames) or "an nnx variable"
    file, line = _spot(frames)
    message = (
        f"{attr} is changed inside of a JAX transformation to which its module is no argument: the new value would be a traced "
        "one, and would stay in the module after the transformation has ended."
    )
    fix = "pass the module as an argument and use nnx's transformation: nnx.jit(lambda model, x: model(x))(model, x)"
    return Finding("leaked-tracer", attr, (attr.rpartition(".")[2],), file, line, message, fix, "raises TraceContextError")


def _variable_in(error: BaseException, frames: list[Spot]) -> str:
    """The name of the variable that the innermost frames of flax were about to change."""
    trace, held = error.__traceback__, None
    while trace is not None:
        owner = trace.tb_frame.f_locals.get("self")
        held = owner if isinstance(owner, nnx.Variable) else held
        trace = trace.tb_next
    if held is None:
        held = next((each for each in _running() if isinstance(each, nnx.Variable)), None)
    for frame, _ in frames:
        for name, value in variables(frame).items():
            if isinstance(value, nnx.Module):
                for path, each in nnx.iter_graph(value):
                    if each is held:
                        owner = name if name != "self" else type(value).__name__
                        return ".".join([owner, *map(str, path)])
    return ""


def _running() -> Iterator[Any]:
    import sys

    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame.f_locals.get("self")
        frame = frame.f_back
