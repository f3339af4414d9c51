"""isoparam in JAX/Flax: `from isoparam.jax import forward, constrain, ...`; its twin has the same names."""

from isoparam.backends import load as _load

_load("jax")

from jax_impl import *  # noqa: E402, F403
from jax_impl import __all__ as __all__  # noqa: E402
