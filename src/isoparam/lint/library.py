"""What is known of the libraries without importing them: what keeps the graph, what cuts it, what is a view or a module."""

import re

RELEVANT = re.compile(r"\b(?:torch|jax|flax|nnx|equinox|optax|pytorch_lightning|lightning|gpytorch|pyro|Module|Parameter)\b")

# Bases outside of the checked paths that say what a class is.
TORCH_BASES = {
    "torch.nn.Module", "torch.nn.modules.Module", "torch.nn.modules.module.Module", "torch.jit.ScriptModule",
    "pytorch_lightning.LightningModule", "lightning.LightningModule", "lightning.pytorch.LightningModule", "gpytorch.Module",
    "gpytorch.module.Module", "pyro.nn.PyroModule", "pyro.nn.module.PyroModule", "gpytorch.kernels.Kernel",
    "gpytorch.means.Mean", "gpytorch.models.ExactGP", "gpytorch.models.ApproximateGP", "torch.nn.Sequential",
    "torch.nn.modules.loss._Loss", "torch.nn.Linear", "torch.nn.Conv2d", "torch.nn.Conv1d", "torch.nn.Embedding",
    "torch.distributions.transforms.TransformModule",
}  # fmt: skip
NNX_BASES = {"flax.nnx.Module", "flax.nnx.Pytree", "flax.experimental.nnx.Module"}
LINEN_BASES = {"flax.linen.Module", "flax.linen.module.Module"}
EQX_BASES = {"equinox.Module", "equinox.nn.StatefulLayer"}
STRUCT_BASES = {"flax.struct.PyTreeNode"}
VARIABLE_BASES = {"flax.nnx.Variable", "flax.nnx.Param"}

# Attributes of a tensor that are no tensors.
META_ATTRS = {
    "shape", "device", "dtype", "ndim", "requires_grad", "is_leaf", "_version", "names", "is_cuda", "itemsize", "size",
    "grad_fn",
    "is_sparse", "layout", "nbytes", "is_complex", "is_quantized", "sharding", "weak_type", "_base", "__class__", "__dict__",
}  # fmt: skip
META_METHODS = {
    "dim", "size", "numel", "nelement", "element_size", "data_ptr", "is_contiguous", "stride", "type", "get_device",
    "register_hook", "register_post_accumulate_grad_hook", "retain_grad", "storage", "untyped_storage", "ndimension",
    "is_floating_point", "is_complex", "storage_offset", "is_shared", "share_memory_", "pin_memory", "has_names", "devices",
    "new_zeros", "new_ones", "new_empty", "new_full", "new_tensor", "new", "argmax", "argmin", "argsort", "eq", "ne",
    "lt", "gt",
    "le", "ge", "isnan", "isinf", "isfinite", "bool", "long", "int", "byte", "any", "all", "nonzero", "equal", "allclose",
    "is_same_size", "__len__", "bernoulli", "multinomial", "block_until_ready", "signbit", "logical_not", "logical_and",
    "count_nonzero", "searchsorted", "new_empty_strided",
}  # fmt: skip
CUT_METHODS = {"detach", "item", "tolist", "numpy", "__array__", "__float__", "resolve_conj_numpy"}
VIEWS = {
    "t", "view", "transpose", "permute", "unsqueeze", "expand", "narrow", "select", "view_as", "expand_as", "diagonal",
    "swapaxes", "swapdims", "movedim", "unfold", "adjoint", "squeeze", "unflatten",
}  # fmt: skip
VIEW_ATTRS = {"T", "mT", "H", "mH", "real", "imag"}
IN_PLACE_SAFE = {"requires_grad_", "share_memory_", "retain_grad_", "detach_", "rename_", "pin_memory_"}

# Functions of torch whose result does not carry the graph of what they are given.
_NEW = [
    "zeros", "ones", "empty", "full", "arange", "linspace", "logspace", "rand", "randn", "randint", "randperm", "eye",
    "zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like", "randint_like", "normal", "bernoulli",
    "multinomial", "poisson", "tril_indices", "triu_indices", "device", "dtype", "Size", "Generator", "manual_seed",
    "is_tensor", "is_storage", "numel", "finfo", "iinfo", "is_grad_enabled", "get_default_dtype", "set_default_dtype",
    "load", "save", "compile", "argmax", "argmin", "argsort", "eq", "ne", "lt", "gt", "le", "ge", "isnan", "isinf",
    "isfinite", "equal", "allclose", "nonzero", "isin", "bucketize", "searchsorted", "result_type", "promote_types",
    "can_cast", "is_floating_point", "is_complex", "broadcast_shapes", "count_nonzero", "any", "all", "logical_and",
    "logical_or", "logical_not", "get_rng_state", "set_rng_state", "sparse_coo_tensor_indices", "set_num_threads",
    "hann_window", "hamming_window", "from_file", "frombuffer", "Tag", "isclose", "sign", "signbit", "floor", "ceil",
    "round", "zeros_", "Tensor", "FloatTensor", "LongTensor",
]  # fmt: skip
NEW_FUNCTIONS = {f"torch.{name}" for name in _NEW} - {"torch.Tensor"} | {
    f"jax.numpy.{name}" for name in _NEW if name not in ("round", "floor", "ceil", "sign")
}
COPY_FUNCTIONS = {"torch.from_numpy", "torch.tensor", "torch.Tensor", "torch.FloatTensor", "torch.asarray_copy"}
CAST_BUILTINS = {"float", "int", "bool", "str", "complex"}
NO_GRAD = {
    "torch.no_grad", "torch.inference_mode", "torch.autograd.no_grad", "torch.autograd.inference_mode",
    "torch.autograd.grad_mode.no_grad", "torch.autograd.grad_mode.inference_mode",
}  # fmt: skip
TENSOR_PREFIXES = (
    "torch.", "jax.", "einops.", "opt_einsum.", "torch_scatter.", "numpy.", "optax.", "scipy.", "math.", "operator.",
    "jax.numpy.", "flax.nnx.", "flax.linen.", "equinox.", "distrax.", "functorch.", "torchvision.transforms.",
)  # fmt: skip
CUT_PREFIXES = ("numpy.", "math.", "scipy.")

# Modules of torch.nn without parameters; a name that ends in one of the suffixes has none, either.
BARE_MODULES = {
    "ReLU", "ReLU6", "GELU", "SiLU", "Mish", "ELU", "SELU", "CELU", "LeakyReLU", "RReLU", "Hardtanh", "Hardswish",
    "Hardsigmoid", "Hardshrink", "LogSigmoid", "Sigmoid", "Tanh", "Softplus", "Softshrink", "Softsign", "Tanhshrink",
    "Threshold", "GLU", "Softmin", "Softmax", "Softmax2d", "LogSoftmax", "Identity", "Flatten", "Unflatten", "Dropout",
    "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout", "Fold", "Unfold", "Upsample",
    "UpsamplingNearest2d", "UpsamplingBilinear2d", "PixelShuffle", "PixelUnshuffle", "ChannelShuffle", "ZeroPad1d",
    "ZeroPad2d", "ZeroPad3d", "CosineSimilarity", "PairwiseDistance", "LocalResponseNorm", "InstanceNorm1d",
    "InstanceNorm2d", "InstanceNorm3d", "Module",
}  # fmt: skip
BARE_SUFFIXES = ("Loss", "Pool1d", "Pool2d", "Pool3d", "Pad1d", "Pad2d", "Pad3d", "NLLLoss")
MODULE_LISTS = {"ModuleList", "Sequential", "ParameterList", "ModuleDict", "ParameterDict"}
MODULE_SELF = {
    "to", "cuda", "cpu", "float", "double", "half", "bfloat16", "train", "eval", "requires_grad_", "apply", "type", "xpu",
    "share_memory", "to_empty", "compile",
}  # fmt: skip
SAME_OBJECT = {
    "torch.compile", "torch.nn.DataParallel", "torch.nn.parallel.DistributedDataParallel", "torch.jit.script",
    "torch.jit.trace",
    "torch.nn.utils.spectral_norm", "torch.nn.utils.parametrizations.spectral_norm", "torch.nn.utils.prune.l1_unstructured",
    "torch.nn.utils.parametrizations.orthogonal", "torch.nn.utils.prune.random_unstructured",
    "torch.nn.utils.prune.ln_structured",
    "torch.nn.utils.prune.identity", "torch.nn.utils.prune.custom_from_mask", "torch.nn.utils.prune.remove",
    "torch.nn.utils.remove_weight_norm", "torch.nn.utils.skip_init", "flax.nnx.data", "flax.nnx.static", "flax.nnx.List",
    "flax.nnx.Dict", "typing.cast", "torch.as_tensor",
}  # fmt: skip

JIT = {
    "jax.jit", "jax.pmap", "flax.nnx.jit", "equinox.filter_jit", "jax.api.jit", "flax.linen.jit", "jax.pjit", "jax.shard_map",
}  # fmt: skip
TRACING = {
    "jax.vmap", "jax.grad", "jax.value_and_grad", "jax.checkpoint", "jax.remat", "jax.linearize", "jax.vjp", "jax.jvp",
    "jax.lax.scan", "jax.lax.cond", "jax.lax.while_loop", "jax.lax.fori_loop", "jax.lax.map", "jax.jacfwd", "jax.jacrev",
    "jax.hessian", "flax.nnx.grad", "flax.nnx.value_and_grad", "flax.nnx.vmap", "flax.nnx.scan", "equinox.filter_grad",
    "equinox.filter_value_and_grad", "equinox.filter_vmap", "jax.make_jaxpr", "jax.lax.switch", "flax.nnx.cond",
    "jax.lax.associative_scan", "flax.nnx.while_loop", "flax.nnx.fori_loop", "jax.eval_shape",
}  # fmt: skip
GRADS = {
    "jax.grad", "jax.value_and_grad", "flax.nnx.grad", "flax.nnx.value_and_grad", "equinox.filter_grad",
    "equinox.filter_value_and_grad", "jax.jacrev", "jax.jacfwd", "jax.hessian",
}  # fmt: skip
NNX_JITS = {"flax.nnx.jit"}

# Maps that people use to reach a constraint: raw -> value.
CONSTRAINT_MAPS = {
    "sigmoid", "softplus", "exp", "tanh", "softmax", "log_sigmoid", "expm1", "square", "cumsum", "expit", "softsign",
    "elu", "relu",
    "abs", "logsigmoid", "log_softmax", "sin", "cos", "arctan", "hard_sigmoid", "normalize", "tril", "triu", "expm", "qr",
    "cholesky",
    "clip", "clamp", "log1p", "sqrt", "power", "log", "cumprod", "standardize", "squareplus", "erf",
}  # fmt: skip


def has_parameters(name: str) -> bool:
    """Whether a module of torch.nn, by its last name, owns parameters."""
    return name not in BARE_MODULES and not name.endswith(BARE_SUFFIXES)
