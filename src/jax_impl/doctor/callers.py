"""The user's frames: what is called from where, and what their variables hold. Frames of installed packages are passed over."""

import sys
import sysconfig
from collections.abc import Iterator
from os import sep
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

_OURS = tuple(f"{Path(__file__).parents[2] / name}{sep}" for name in ("isoparam", "jax_impl", "torch_impl"))
_INSTALLED = tuple({str(Path(sysconfig.get_path(name))) for name in ("purelib", "platlib", "stdlib", "platstdlib")})
_MOST = 12


def is_users(file: str) -> bool:
    """Whether a file is the user's own code."""
    return not file.startswith(("<frozen", *_OURS)) and not file.startswith(_INSTALLED) and "site-packages" not in file


def user_frames() -> Iterator[FrameType]:
    """The frames of the user's code, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    count = 0
    while frame is not None and count < _MOST:
        if is_users(frame.f_code.co_filename):
            count += 1
            yield frame
        frame = frame.f_back


def raised_through(trace: TracebackType | None) -> list[tuple[FrameType, int]]:
    """(frame, line) of the user's code through which an exception went, the innermost first."""
    found = []
    while trace is not None:
        if is_users(trace.tb_frame.f_code.co_filename):
            found.append((trace.tb_frame, trace.tb_lineno))
        trace = trace.tb_next
    return found[::-1]


def place() -> tuple[str, int]:
    """("file", line) of the user's code that is running."""
    frame = next(user_frames(), None)
    return (frame.f_code.co_filename, frame.f_lineno) if frame is not None else ("", 0)


def called_by_user() -> bool:
    """Whether the function that asks was called by the user's code, or by flax's TrainState for it."""
    file = sys._getframe(2).f_code.co_filename
    return is_users(file) or file.endswith("train_state.py")


def variables(frame: FrameType) -> dict[str, Any]:
    """The locals and free variables of a function; at the outermost level those are the globals."""
    return {name: value for name, value in frame.f_locals.items() if not name.startswith("__")}
