"""Each framework is loaded when asked for and never before; each backend works where the other is not installed."""

import subprocess
import sys
from textwrap import dedent

import pytest

FRAMEWORKS = ("torch", "jax", "jaxlib", "flax", "optax")
OTHER = {"torch": ("jax", "jaxlib", "flax", "optax"), "jax": ("torch",)}
SECONDS = 0.3  # what isoparam may add to Python with numpy
ROUNDS = 12  # of the timing, until one is quick enough: other processes only make it slower

BLOCK = """
    import sys
    from importlib.abc import MetaPathFinder

    class Missing(MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in {blocked!r}:
                raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

    sys.meta_path.insert(0, Missing())
"""

HELP = """
    import sys
    sys.argv = ["isoparam", "--help"]
    from isoparam.cli import main
    try:
        main()
    except SystemExit as done:
        assert done.code == 0
"""

WORK = """
    import numpy as np
    import isoparam as iso
    from isoparam.backends import load
    import isoparam.{backend}

    verbs = load("{backend}")
    raw = verbs.initial(iso.Interval(0, 1), (3,))
    value = verbs.forward(iso.Interval(0, 1), raw)
    assert np.asarray(value).tolist() == [0.5, 0.5, 0.5]
    assert np.asarray(verbs.inverse(iso.Interval(0, 1), value)).tolist() == [0.0, 0.0, 0.0]
    run = iso.train(iso.problems.get("linkage"), backend="{backend}", steps=20)
    assert run.steps == 20
    assert run.history["loss"][-1] < run.history["loss"][0]
    print("worked")
"""

REFUSAL = """
    import isoparam as iso
    for ask in (
        lambda: iso.train(iso.problems.get("scalar"), backend="{missing}"),
        lambda: iso.parity.compare(iso.problems.get("scalar"), steps=1),
        lambda: __import__("isoparam.{missing}"),
    ):
        try:
            ask()
        except iso.errors.BackendError as error:
            print(error)
        else:
            print("no error")
"""


def python(*parts, check=True):
    """Run code in a fresh interpreter in which warnings are errors."""
    code = "\n".join(dedent(part) for part in parts)
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=300)
    assert not check or done.returncode == 0, done.stderr
    return done


def seconds(code):
    """Processor time of a fresh interpreter: what it costs, whatever else the machine is doing."""
    done = python("import time", code, "import sys\nprint('\\nseconds', time.process_time())")
    return float(done.stdout.split()[-1])


@pytest.mark.parametrize("code", ["import isoparam", "import isoparam.cli", HELP], ids=["isoparam", "isoparam.cli", "--help"])
def test_loads_no_framework(code):
    done = python(code, f"import sys\nprint('loaded:', *[name for name in {FRAMEWORKS!r} if name in sys.modules])")
    assert done.stdout.splitlines()[-1].split() == ["loaded:"]


@pytest.mark.parametrize("code", ["import isoparam", HELP], ids=["import", "--help"])
def test_starts_quickly(code):
    python(code)  # writes the bytecode
    ours = numpy = float("inf")
    for _ in range(ROUNDS):
        numpy = min(numpy, seconds("import numpy"))
        ours = min(ours, seconds(code))
        if ours - numpy < SECONDS:
            return
    pytest.fail(f"{ours:.2f} s, {ours - numpy:.2f} s more than numpy alone ({numpy:.2f} s); {SECONDS} s are allowed")


@pytest.mark.parametrize("backend", OTHER)
def test_a_backend_works_without_the_other(backend):
    done = python(BLOCK.format(blocked=OTHER[backend]), WORK.format(backend=backend))
    assert done.stdout.splitlines() == ["worked"]


@pytest.mark.parametrize(("missing", "backend"), [("jax", "torch"), ("torch", "jax")])
def test_a_missing_backend_is_named_with_the_line_that_installs_it(missing, backend):
    done = python(BLOCK.format(blocked=OTHER[backend]), REFUSAL.format(missing=missing))
    lines = done.stdout.splitlines()
    assert lines == [f"backend {missing!r} needs {missing}: pip install 'isoparam[{missing}]'"] * 3


@pytest.mark.parametrize(("missing", "backend"), [("jax", "torch"), ("torch", "jax")])
def test_the_command_line_refuses_a_missing_backend_without_a_traceback(missing, backend):
    run = f"""
    sys.argv = ["isoparam", "train", "scalar", "--backend", "{missing}"]
    from isoparam.cli import main
    main()
    """
    done = python(BLOCK.format(blocked=OTHER[backend]), run, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"error: backend {missing!r} needs {missing}: pip install 'isoparam[{missing}]'\n"
