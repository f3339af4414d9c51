"""The doctor for JAX and Flax: `scan` before training, `watching` while it runs, `explain` after the exception."""

from isoparam.diagnosis import Diagnosis, Finding
from jax_impl.doctor.explaining import explain, explaining
from jax_impl.doctor.scanning import scan
from jax_impl.doctor.watching import Watch, watching

__all__ = ["Diagnosis", "Finding", "Watch", "explain", "explaining", "scan", "watching"]
