"""Set up once for all tests, before any framework is imported. Nothing here imports one."""

import os
import sys
from collections.abc import Iterator

import pytest

# A sum of two dtypes that JAX would promote silently is an error in our code.
os.environ.setdefault("JAX_NUMPY_DTYPE_PROMOTION", "strict")
# Test processes share the cores: threads of small torch operations that wait for each other cost up to thirty times the work.
os.environ.setdefault("OMP_NUM_THREADS", "1")


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `gpu` run where both frameworks see one; only then are the frameworks asked."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and not _both_see_a_gpu():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a GPU that both torch and JAX see"))


def _both_see_a_gpu() -> bool:
    import jax
    import torch

    return torch.cuda.is_available() and any(device.platform == "gpu" for device in jax.devices())
