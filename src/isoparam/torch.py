"""isoparam in PyTorch: `from isoparam.torch import forward, constrain, ...`; its twin has the same names."""

from isoparam.backends import load as _load

_load("torch")

from torch_impl import *  # noqa: E402, F403
from torch_impl import __all__ as __all__  # noqa: E402
