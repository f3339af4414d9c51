"""isoparam in PyTorch: `from isoparam.torch import forward, constrain, ...`; its twin has the same names."""

from sys import modules as _modules

from isoparam.backends import load as _load

_load("torch")

from torch_impl import *  # noqa: E402, F403
from torch_impl import __all__ as __all__  # noqa: E402
from torch_impl import doctor as doctor  # noqa: E402

_modules["isoparam.torch.doctor"] = doctor  # so that `from isoparam.torch.doctor import scan` works too
