"""isoparam in JAX/Flax: `from isoparam.jax import forward, constrain, ...`; its twin has the same names."""

from sys import modules as _modules

from isoparam.backends import load as _load

_load("jax")

from jax_impl import *  # noqa: E402, F403
from jax_impl import __all__ as __all__  # noqa: E402
from jax_impl import doctor as doctor  # noqa: E402

_modules["isoparam.jax.doctor"] = doctor  # so that `from isoparam.jax.doctor import scan` works too
