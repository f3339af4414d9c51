"""Our specs as subclasses of what the libraries of distributions know: the classes behind the bridges."""

from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from isoparam.bridges import event_of, is_bijective, missing, slope_shape
from isoparam.errors import BackendError
from isoparam.specs import Spec
from jax_impl.verbs import contains, forward, initial, inverse, log_abs_det


class _Classes(NamedTuple):
    """Our classes that extend those of NumPyro, which is imported when the first bridge is asked for."""

    transform: Any
    constraint: Any


@cache
def _numpyro() -> _Classes:
    distributions = _imported("numpyro.distributions", "numpyro")
    constraints = distributions.constraints

    class SpecConstraint(constraints.Constraint):
        def __init__(self, spec: Spec) -> None:
            self.spec = spec

        @property
        def event_dim(self) -> int:
            return event_of(self.spec).value

        def __call__(self, x: Any) -> Array:
            inside = contains(self.spec, x)
            behind = event_of(self.spec).behind
            return jnp.all(inside, axis=tuple(range(-behind, 0))) if behind else inside

        def feasible_like(self, prototype: Any) -> Array:
            return forward(self.spec, initial(self.spec, prototype.shape, dtype=prototype.dtype))

        def tree_flatten(self) -> Any:
            return (), ((), {"spec": self.spec})

        def eq(self, other: object, static: bool = False) -> bool:
            return isinstance(other, SpecConstraint) and self.spec == other.spec

        def __hash__(self) -> int:
            return hash(self.spec)

        def __reduce__(self) -> Any:
            return _constraint, (self.spec,)

        def __repr__(self) -> str:
            return f"as_constraint({self.spec!r})"

    class SpecTransform(distributions.transforms.Transform):
        def __init__(self, spec: Spec) -> None:
            self.spec = spec

        @property
        def domain(self) -> Any:
            axes = event_of(self.spec).raw
            return constraints.independent(constraints.real, axes) if axes else constraints.real

        @property
        def codomain(self) -> Any:
            return SpecConstraint(self.spec)

        @property
        def sign(self) -> Any:
            return _sign(self.spec)

        def __call__(self, x: Any) -> Array:
            return forward(self.spec, x)

        def _inverse(self, y: Any) -> Array:
            return _inverse(self.spec, y)

        def log_abs_det_jacobian(self, x: Any, y: Any, intermediates: Any = None) -> Array:
            return _log_abs_det(self.spec, x)

        def forward_shape(self, shape: Any) -> Any:
            return self.spec.value_shape(tuple(shape))

        def inverse_shape(self, shape: Any) -> Any:
            return self.spec.raw_shape(tuple(shape))

        def tree_flatten(self) -> Any:
            return (), ((), {"spec": self.spec})

        def eq(self, other: object, static: bool = False) -> bool:
            return isinstance(other, SpecTransform) and self.spec == other.spec

        def __hash__(self) -> int:
            return hash(self.spec)

        def __reduce__(self) -> Any:
            return _transform, (self.spec,)

        def __repr__(self) -> str:
            return f"as_transform({self.spec!r})"

    @distributions.biject_to.register(SpecConstraint)
    def _biject_to_spec(constraint: SpecConstraint) -> SpecTransform:
        if not is_bijective(constraint.spec):
            raise NotImplementedError(missing(constraint.spec, "inverse") or missing(constraint.spec, "log_abs_det"))
        return SpecTransform(constraint.spec)

    return _Classes(SpecTransform, SpecConstraint)


def _transform(spec: Spec) -> Any:
    """A transform of a spec; a function with a name, which pickle needs."""
    return _numpyro().transform(spec)


def _constraint(spec: Spec) -> Any:
    """A constraint of a spec."""
    return _numpyro().constraint(spec)


def _bijector(spec: Spec) -> Any:
    """A bijector of a spec."""
    return _tfp()(spec)


def _is_ours(constraint: Any) -> bool:
    """Whether a constraint is one of a spec."""
    return type(constraint).__module__ == __name__


@cache
def _tfp() -> Any:
    tfb = _imported("tensorflow_probability.substrates.jax.bijectors", "tfp-nightly")

    class SpecBijector(tfb.Bijector):
        def __init__(self, spec: Spec, validate_args: bool = False, name: str = "as_bijector") -> None:
            parameters = dict(locals())
            self.spec = spec
            axes = event_of(spec)
            super().__init__(
                forward_min_event_ndims=axes.raw,
                inverse_min_event_ndims=axes.value,
                validate_args=validate_args,
                parameters=parameters,
                name=name,
            )

        @classmethod
        def _parameter_properties(cls, dtype: Any) -> Any:
            return {}

        def _is_increasing(self) -> Any:
            return jnp.greater(_sign(self.spec), 0)

        def _forward(self, x: Any) -> Array:
            return forward(self.spec, x)

        def _inverse(self, y: Any) -> Array:
            return _inverse(self.spec, y)

        def _forward_log_det_jacobian(self, x: Any) -> Array:
            return _log_abs_det(self.spec, x)

        def _forward_event_shape(self, input_shape: Any) -> Any:
            return type(input_shape)(self._moved(self.spec.value_shape, input_shape))

        def _inverse_event_shape(self, output_shape: Any) -> Any:
            return type(output_shape)(self._moved(self.spec.raw_shape, output_shape))

        def _forward_event_shape_tensor(self, input_shape: Any) -> Any:
            return np.asarray(self._moved(self.spec.value_shape, input_shape), np.int32)

        def _inverse_event_shape_tensor(self, output_shape: Any) -> Any:
            return np.asarray(self._moved(self.spec.raw_shape, output_shape), np.int32)

        def _moved(self, shape_of: Any, shape: Any) -> tuple[int, ...]:
            """Without the batch axes, in which the bounds of a scalar spec lie."""
            sizes = tuple(np.asarray(shape).tolist())
            return shape_of(sizes) if event_of(self.spec).raw else sizes

        def __reduce__(self) -> Any:
            return _bijector, (self.spec,)

    return SpecBijector


def _imported(module: str, package: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise BackendError(
            f"this bridge needs {module.partition('.')[0]}, which is not installed: pip install {package}"
        ) from error


def _inverse(spec: Spec, value: Any) -> Array:
    _offer(spec, "inverse")
    return inverse(spec, value, check=False)


def _log_abs_det(spec: Spec, raw: Any) -> Array:
    _offer(spec, "log_abs_det")
    logs = log_abs_det(spec, raw)
    behind = event_of(spec).behind
    return jnp.sum(logs, axis=tuple(range(-behind, 0))) if behind else logs


def _sign(spec: Spec) -> Any:
    """The sign of the slope: maps of one number are monotone, so two points tell."""
    shape = slope_shape(spec)
    with jax.ensure_compile_time_eval(), jax.enable_x64(True):
        rise = forward(spec, jnp.full(shape, 0.5))
        sign = np.sign(np.asarray(rise - forward(spec, jnp.full(shape, -0.5))))
    first = sign.reshape(-1)[0]
    return int(first) if (sign == first).all() else sign.astype(np.int32)


def _offer(spec: Spec, verb: str) -> None:
    """Raise NotImplementedError, as these libraries expect, for a verb that the spec does not have for them."""
    reason = missing(spec, verb)
    if reason:
        raise NotImplementedError(reason)
