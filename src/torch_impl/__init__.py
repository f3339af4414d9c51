"""isoparam in PyTorch: the rules of every spec, and the verbs, trees, modules and training built on them."""

from torch_impl import balls as _balls  # noqa: F401
from torch_impl import blocks as _blocks  # noqa: F401
from torch_impl import circular as _circular  # noqa: F401
from torch_impl import compose as _compose  # noqa: F401
from torch_impl import contests as _contests  # noqa: F401  isoparam reaches these as attributes
from torch_impl import correlation as _correlation  # noqa: F401
from torch_impl import covariance as _covariance  # noqa: F401
from torch_impl import doctor
from torch_impl import exports as _exports  # noqa: F401
from torch_impl import norms as _norms  # noqa: F401
from torch_impl import pitfalls as _pitfalls  # noqa: F401
from torch_impl import planes as _planes  # noqa: F401
from torch_impl import problems as _problems  # noqa: F401
from torch_impl import rotations as _rotations  # noqa: F401
from torch_impl import scalar as _scalar  # noqa: F401  registers the rules
from torch_impl import series as _series  # noqa: F401
from torch_impl import simplexes as _simplexes  # noqa: F401
from torch_impl import sketch as _sketch  # noqa: F401
from torch_impl import stochastic as _stochastic  # noqa: F401
from torch_impl import structure as _structure  # noqa: F401
from torch_impl import train as _train  # noqa: F401
from torch_impl import triangles as _triangles  # noqa: F401
from torch_impl import vector as _vector  # noqa: F401
from torch_impl.attach import attach, detach
from torch_impl.bridges import as_constraint, as_transform, spec_of
from torch_impl.clipping import averaged, clip_by_norm, clip_by_value
from torch_impl.handover import from_neutral, to_neutral
from torch_impl.importers import import_state, load_values
from torch_impl.module import Constrained, values
from torch_impl.monitor import Monitor
from torch_impl.objective import as_loss
from torch_impl.optim import init_state, optimizer, step
from torch_impl.registry import RULES
from torch_impl.tree import constrain, log_jacobian, unconstrain
from torch_impl.verbs import contains, forward, initial, inverse, log_abs_det, project, raw_shape

__isoparam__ = "torch"

__all__ = [
    "RULES",
    "Constrained",
    "Monitor",
    "as_constraint",
    "as_loss",
    "as_transform",
    "attach",
    "averaged",
    "clip_by_norm",
    "clip_by_value",
    "constrain",
    "contains",
    "detach",
    "doctor",
    "forward",
    "from_neutral",
    "import_state",
    "init_state",
    "initial",
    "inverse",
    "load_values",
    "log_abs_det",
    "log_jacobian",
    "optimizer",
    "project",
    "raw_shape",
    "spec_of",
    "step",
    "to_neutral",
    "unconstrain",
    "values",
]
