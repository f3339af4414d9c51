"""A script run under the doctor: `isoparam doctor run train.py --epochs 3`. What it imports decides what watches it."""

import ast
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from isoparam.backends import BACKENDS, load
from isoparam.diagnosis.findings import Diagnosis
from isoparam.errors import BackendError, SpecError

RAISED = 1  # exit code of a script that an exception ended
_OURS = tuple(str(Path(__file__).parents[2] / name) for name in ("isoparam/diagnosis", "jax_impl/doctor", "torch_impl/doctor"))
INTERRUPTED = 130  # and of one that Ctrl-C ended
_OF_JAX = frozenset({"jax", "jaxlib", "flax", "optax", "equinox", "haiku", "chex", "orbax", "numpyro"})


def run_script(path: str | Path, args: Sequence[str] = ()) -> int:
    """Run a script as Python would, watched by the doctor; afterwards the report goes to stderr.

    The frameworks that the script or a module beside it imports are watched: `isoparam.torch.doctor.watch`,
    `isoparam.jax.doctor.watching`. The output of the script stays its own.

    Args:
        path: the script.
        args: its arguments.

    Returns:
        The exit code of the script; what was found does not change it.

    Raises:
        SpecError: where there is no such script.
    """
    script = Path(path)
    code, names = _read(script)
    with _as_main(script, args) as main, ExitStack() as stack:
        watches = {name: stack.enter_context(_watch(name)) for name in BACKENDS if names & _imports(name)}
        exit_code, error = _run(code, main)
    for name in BACKENDS:
        if name in watches:
            report(watches[name].diagnosis, name)
        elif error is not None and f"{name}_impl" in sys.modules:
            report(load(name).doctor.explain(error), name)
    return exit_code


def report(diagnosis: Diagnosis, name: str) -> None:
    """Print what was found to stderr.

    Args:
        diagnosis: what was found.
        name: of the backend.
    """
    print(f"\nisoparam doctor, {name}:\n{diagnosis}", file=sys.stderr)


def _read(script: Path) -> tuple[CodeType, frozenset[str]]:
    """The compiled script, and the top-level packages that it and the modules beside it import."""
    try:
        source = script.read_bytes()
    except OSError as error:
        raise SpecError(f"doctor run: {str(script)!r} cannot be read: {error.strerror or error}") from None
    try:
        tree = ast.parse(source, str(script))
    except SyntaxError as error:
        raise SpecError(f"doctor run: {script}:{error.lineno}: {error.msg}") from None
    return compile(tree, str(script), "exec"), frozenset(_imported(tree, script.parent, set()))


def _imported(tree: ast.AST, folder: Path, seen: set[Path]) -> Iterator[str]:
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""] + [f"{node.module or ''}.{alias.name}".strip(".") for alias in node.names]
        for name in names:
            yield name.partition(".")[0]
            yield name  # isoparam.torch
            yield from _beside(name, folder, seen)


def _beside(name: str, folder: Path, seen: set[Path]) -> Iterator[str]:
    """What a module in the folder of the script imports in turn."""
    place = folder.joinpath(*name.split(".")) if name else folder
    for file in (place.with_suffix(".py"), place / "__init__.py"):
        if name and file not in seen and file.is_file():
            seen.add(file)
            try:
                yield from _imported(ast.parse(file.read_bytes(), str(file)), folder, seen)
            except SyntaxError:  # the run will say it
                continue


def _imports(backend: str) -> frozenset[str]:
    return frozenset({"torch", "isoparam.torch"}) if backend == "torch" else _OF_JAX | {"isoparam.jax"}


@contextmanager
def _watch(backend: str) -> Iterator[Any]:
    """The watch of one backend; one that cannot be loaded lets the script say so itself."""
    try:
        doctor = load(backend).doctor
    except BackendError as error:
        yield _Nothing(Diagnosis((), (str(error),)))
        return
    with doctor.watch() if backend == "torch" else doctor.watching() as watch:
        yield watch


class _Nothing:
    """A watch that saw nothing."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        self.diagnosis = diagnosis


@contextmanager
def _as_main(script: Path, args: Sequence[str]) -> Iterator[ModuleType]:
    """The names that a script finds: __main__, sys.argv, its folder first in sys.path."""
    before = sys.argv, sys.path[:], sys.modules["__main__"]
    main = ModuleType("__main__")
    main.__dict__.update(__file__=str(script), __builtins__=__builtins__, __cached__=None, __spec__=None)
    sys.argv, sys.path[0:1], sys.modules["__main__"] = [str(script), *args], [str(script.parent)], main
    try:
        yield main
    finally:
        sys.argv, sys.path[:], sys.modules["__main__"] = before


def _run(code: CodeType, main: ModuleType) -> tuple[int, Exception | None]:
    """The exit code, and the exception that ended the script."""
    try:
        exec(code, main.__dict__)
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return error.code or 0, None
        print(error.code, file=sys.stderr)
        return RAISED, None
    except KeyboardInterrupt as error:
        _print(error)
        return INTERRUPTED, None
    except Exception as error:
        _print(error)
        return RAISED, error
    return 0, None


def _print(error: BaseException) -> None:
    """The traceback as Python prints it, without the frames of the doctor."""
    whole: traceback.TracebackException | None = traceback.TracebackException.from_exception(error)
    first = whole
    while whole is not None:
        whole.stack = traceback.StackSummary.from_list([each for each in whole.stack if not each.filename.startswith(_OURS)])
        whole = whole.__cause__ or whole.__context__
    assert first is not None
    print("".join(first.format()), end="", file=sys.stderr)
