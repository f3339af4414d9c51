"""Set up once for all tests, before any framework is imported. Nothing here imports one."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator

import pytest

# A sum of two dtypes that JAX would promote silently is an error in our code.
os.environ.setdefault("JAX_NUMPY_DTYPE_PROMOTION", "strict")
# Test processes share the cores: threads of small torch operations that wait for each other cost up to thirty times the work.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Most of the time of these tests is XLA's: a program that was compiled in this run is not compiled again, whichever of the
# processes and files asks for it. They start with an empty folder, which is theirs alone.
PROGRAMS = "ISOPARAM_TESTS_PROGRAMS"
MADE_HERE = PROGRAMS not in os.environ
if MADE_HERE:
    os.environ[PROGRAMS] = tempfile.mkdtemp(prefix="isoparam-tests-")
os.environ["JAX_COMPILATION_CACHE_DIR"] = os.environ[PROGRAMS]
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"


@pytest.fixture(autouse=True, scope="module")
def forgotten_programs() -> Iterator[None]:
    """Compiled programs are dropped after each file: those of all files together would take many gigabytes."""
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()


def pytest_configure(config: pytest.Config) -> None:
    # torch's own: forward mode and compiler script a few rules; the compiler makes an object of an autograd.Function.
    config.addinivalue_line("filterwarnings", "ignore:`torch.jit.script:DeprecationWarning")
    function = "<class 'torch.autograd.function.Function'> should not be instantiated"
    config.addinivalue_line("filterwarnings", f"ignore:{function}:DeprecationWarning")
    # A program that the other process is just writing: JAX says so, and compiles it.
    config.addinivalue_line("filterwarnings", "ignore:Error reading persistent compilation cache entry:UserWarning")


def pytest_unconfigure() -> None:
    if MADE_HERE:
        shutil.rmtree(os.environ.pop(PROGRAMS), ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `gpu` run where both frameworks see one; only then are the frameworks asked."""
    _keep_together(items)
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and not _both_see_a_gpu():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a GPU that both torch and JAX see"))


def _keep_together(items: list[pytest.Item]) -> None:
    """The tests of one sample in one file share programs and true values, so one process runs them, one after the other."""
    for item in items:
        sample = getattr(getattr(item, "callspec", None), "params", {}).get("sample")
        if sample is not None and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(f"{item.path.parent.name}-{item.path.stem}-{sample.name}"))


def _both_see_a_gpu() -> bool:
    import jax
    import torch

    return torch.cuda.is_available() and any(device.platform == "gpu" for device in jax.devices())
