"""The two backends, by name, loaded when a call asks for one. No default, no environment variable."""

from importlib import import_module
from types import ModuleType
from typing import Literal, get_args

from isoparam.errors import BackendError

Backend = Literal["torch", "jax"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)

PACKAGES = {"torch": "torch_impl", "jax": "jax_impl"}
NEEDS = {"torch": {"torch"}, "jax": {"jax", "jaxlib", "flax", "optax"}}


def load(backend: str) -> ModuleType:
    """The implementation of a backend.

    Raises:
        BackendError: for an unknown name, a framework that is not installed, or another package
            that shadows ours under the same name.
    """
    if backend not in PACKAGES:
        raise BackendError(f"unknown backend {backend!r}: choose one of {', '.join(map(repr, BACKENDS))}")
    try:
        module = import_module(PACKAGES[backend])
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in NEEDS[backend]:
            raise  # a fault of ours, not a missing framework
        raise BackendError(f"backend {backend!r} needs {error.name}: pip install 'isoparam[{backend}]'") from error
    if getattr(module, "__isoparam__", None) != backend:
        raise BackendError(
            f"{PACKAGES[backend]} was imported from {module.__file__}, which is not isoparam's; remove or rename that package"
        )
    return module
