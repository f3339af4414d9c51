"""Gradients kept within a size, and parameters averaged over steps, as torch.nn.utils and torch.optim.swa_utils do it."""

from math import inf, isfinite
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from isoparam.errors import SpecError
from jax_impl.optimizers.arithmetic import div, lerp


def clip_by_norm(grads: Any, max_norm: float, norm_type: float = 2.0) -> tuple[Any, Array]:
    """Gradients times min(1, max_norm / (norm + 1e-6)), as `torch.nn.utils.clip_grad_norm_`.

    # twin: torch takes a dict of tensors, JAX any tree of arrays; a gradient of None stays None.

    Args:
        grads: the gradients; they are not changed.
        max_norm: the norm of all of them together that is let through, at least 0.
        norm_type: p of the norm, at least 1; float("inf") for the largest entry.

    Returns:
        The clipped gradients, and the norm before.

    Raises:
        SpecError: for a max_norm or norm_type outside its range.

    Plain optax differs: `optax.clip_by_global_norm` has no 1e-6, which is a share of 1e-6 / norm.

    Example:
        >>> import jax.numpy as jnp
        >>> from isoparam.jax import clip_by_norm
        >>> clipped, norm = clip_by_norm({"x": jnp.array([3.0, 4.0])}, 1.0)
        >>> round(float(norm), 6), round(float(clipped["x"][0]), 6)
        (5.0, 0.6)
    """
    _check(max_norm=max_norm, norm_type=norm_type)
    norms = [_norm(grad.reshape(-1), norm_type) for grad in jax.tree.leaves(grads)]
    norm = _norm(jnp.stack(norms), norm_type) if norms else jnp.zeros(())
    share = jnp.minimum(max_norm / (norm + 1e-6), 1.0)
    return jax.tree.map(lambda grad: grad * share.astype(grad.dtype), grads), norm


def clip_by_value(grads: Any, clip_value: float) -> Any:
    """Every entry moved into [-clip_value, clip_value], as `torch.nn.utils.clip_grad_value_`.

    # twin: torch takes a dict of tensors, JAX any tree of arrays; a gradient of None stays None.

    Args:
        grads: the gradients; they are not changed.
        clip_value: the largest size that is let through, at least 0.

    Raises:
        SpecError: for a clip_value below 0.

    Example:
        >>> import jax.numpy as jnp
        >>> from isoparam.jax import clip_by_value
        >>> clip_by_value({"x": jnp.array([3.0, -0.5])}, 1.0)["x"].tolist()
        [1.0, -0.5]
    """
    _check(clip_value=clip_value)
    return jax.tree.map(lambda grad: jnp.clip(grad, -clip_value, clip_value), grads)


def averaged(average: Any, values: Any, count: Any, decay: float | None = None) -> Any:
    """The average of parameters after one more step, as `torch.optim.swa_utils.AveragedModel`.

        decay None: average + (values - average) / (count + 1)       else: average + (1 - decay) * (values - average)

    # twin: torch takes a dict of tensors, JAX any tree of arrays.

    Args:
        average: the average so far; with count 0 it counts for nothing, and the values themselves are taken.
        values: the parameters of the step.
        count: how many steps are in the average.
        decay: share of an exponential average that is kept, in [0, 1]; None for the mean of all steps.

    Raises:
        SpecError: for a decay outside its range.

    Plain optax differs: `optax.ema` begins at 0 with a bias correction, and `optax.incremental_update` at the start, not at the
    first step.

    Example:
        >>> import jax.numpy as jnp
        >>> from isoparam.jax import averaged
        >>> float(averaged({"x": jnp.array(1.0)}, {"x": jnp.array(4.0)}, count=2)["x"])
        2.0
    """
    if decay is not None and not 0 <= decay <= 1:
        raise SpecError(f"decay={decay!r} must be a number in [0, 1], or None for the mean")

    def one(mean: Array, value: Array) -> Array:
        more = jnp.asarray(count + 1, mean.dtype)
        after = mean + div(value - mean, more) if decay is None else lerp(mean, value, 1 - decay)
        return jnp.where(jnp.asarray(count) == 0, value, after)

    return jax.tree.map(one, average, values)


def _norm(flat: Array, p: float) -> Array:
    size = jnp.abs(flat)
    if p == inf:
        return jnp.max(size, initial=0)
    return jnp.sqrt(jnp.sum(size * size)) if p == 2 else jnp.sum(size**p) ** (1 / p)


def _check(**arguments: float) -> None:
    for name, value in arguments.items():
        least = 1 if name == "norm_type" else 0
        if not (value >= least and (isfinite(value) or name == "norm_type")):
            raise SpecError(f"{name}={value!r} must be a number, at least {least}")
