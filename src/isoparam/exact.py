"""What numerics="exact" asks for: which runs it is for, and the variables that must stand in the environment."""

import os
import platform
import sys
from typing import Any

from isoparam.errors import BackendError, SpecError
from isoparam.optimizers import LBFGS, Adafactor, Muon, Optimizer

ENVIRONMENT = {"ATEN_CPU_CAPABILITY": "default", "XLA_FLAGS": "--xla_cpu_max_isa=AVX"}
"""With these neither backend fuses a product with the sum that follows; they are read when torch and JAX are first imported."""

UNFUSED = (1 + 2.0**-12, 1 + 2.0**-12, -1 - 2.0**-11)
"""a, b, c in float32 with a * b + c equal to 0 where the product is rounded, and to 2^-24 where it is not."""

BESIDE = 2.0**-12
"""How far off, relative to raw, the second point lies at which `on_grid` looks."""

GRID = 2.0**-16
"""The spacing of the grid of a gradient, over its change to that point: 2^-12 of it is what a last place of raw does, and a
sixteenth of that is what no step in float32 can miss.
"""

EXPONENT = 0x7FF << 52
"""The bits of a float64 that are kept of it in the power of two below it."""

SUMMING: tuple[type, ...] = (LBFGS, Adafactor, Muon)
"""Optimizers whose float32 steps add up many numbers, in another order in each backend."""


def check_run(optimizer: Optimizer, dtype: str, device: str) -> None:
    """Raise SpecError or BackendError for a run that cannot be equal in both backends to the last bit."""
    begin = "numerics='exact'"
    if dtype != "float32":
        raise SpecError(f"{begin} is for dtype='float32', whose numbers are rounded from float64; dtype={dtype!r} is not")
    if isinstance(optimizer, SUMMING):
        raise SpecError(
            f"{begin}: {type(optimizer).__name__} adds up in another order in each backend; take Adam, for instance"
        )
    if device != "cpu" or platform.machine().lower() not in ("x86_64", "amd64"):
        raise BackendError(f"{begin} is for an x86-64 processor; device={device!r} on {platform.machine()} is not; take 'fast'")


def refuse(backend: str) -> None:
    """Raise BackendError: this backend fuses products and sums here."""
    lines = " ".join(f"{name}={value}" for name, value in ENVIRONMENT.items())
    raise BackendError(
        f"numerics='exact': {backend} fuses products and sums here, and its float32 is not that of the other backend. Set "
        f"{lines} before Python starts; `isoparam train ... --numerics exact` does so itself"
    )


def restart(command: list[str]) -> None:
    """Start Python anew with `ENVIRONMENT`, unless this one has it; other flags of XLA are kept.

    Args:
        command: what follows the name of Python, such as ["-m", "isoparam", "train", "linkage"].
    """
    if not is_set(os.environ):
        flags = f"{os.environ.get('XLA_FLAGS', '')} {ENVIRONMENT['XLA_FLAGS']}".strip()
        os.execve(sys.executable, [sys.executable, *command], dict(os.environ) | ENVIRONMENT | {"XLA_FLAGS": flags})


def is_set(environment: Any) -> bool:
    """Whether the variables stand in it."""
    return all(value in environment.get(name, "").split() for name, value in ENVIRONMENT.items())
