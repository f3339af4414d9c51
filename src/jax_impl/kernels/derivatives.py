"""Hand-written derivatives: one decorator for elementwise maps, one for maps along the last axis."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir


def settings_for(array: Any) -> ExitStack:
    """The settings that rules and derivatives compute in, for the time of a block, whatever those of the program are.

    # No twin: JAX can forbid float64 and the broadcasting of shapes of different lengths; torch has no such settings.

    A derivative of a compiled map is traced after the call of the map has returned, so both have to ask for them.
    """
    stack = ExitStack()
    config: Any = jax.config
    if array.dtype == np.float64 and not config.jax_enable_x64:
        stack.enter_context(jax.enable_x64(True))
    if config.jax_numpy_rank_promotion != "allow":
        stack.enter_context(jax.numpy_rank_promotion("allow"))
    return stack


def with_slope(
    slope: Callable[..., Any], pull: Callable[..., Any] | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give an elementwise function `f(x, *constants)` the derivative `slope(x, *constants)` with respect to x.

    # twin: torch needs an autograd.Function with jvp and vjp, JAX a custom_jvp; same formula for the derivative.

    Constants are floats or arrays that broadcast against x; they are not differentiated. XLA fuses the product, so that
    `pull`, which torch takes for it, is not needed.
    """
    del pull

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def differentiable(x: Any, *constants: Any) -> Any:
            # JAX traces the derivative of a compiled map after the map: arrays of that trace reach it as arguments only.
            arrays = [constant for constant in constants if isinstance(constant, jax.Array)]
            others = [None if isinstance(constant, jax.Array) else constant for constant in constants]

            def filled(arrays: Any) -> tuple[Any, ...]:
                rest = iter(arrays)
                return tuple(next(rest) if other is None else other for other in others)

            bound = jax.custom_jvp(lambda x, *arrays: function(x, *filled(arrays)))

            @bound.defjvp
            def _(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
                x, *arrays = primals
                with settings_for(x):
                    return bound(*primals), slope(x, *filled(arrays)) * tangents[0]

            return bound(x, *arrays)

        return differentiable

    return decorate


def with_rule(
    push: Callable[..., Any],
    pull: Callable[..., Any],
    quick: Callable[..., Any] | None = None,
    *,
    keeps_value: bool = True,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a function `f(x)` of the last axis the tangent `push(x, y, tangent)` and the cotangent `pull(x, y, cotangent)`.

    # twin: torch calls both, JAX transposes `push`; `pull` is that transpose, written out.

    Python numbers may follow x in all three. XLA fuses the passes over the memory, so that `quick`, which torch takes in
    eager reverse mode, is not needed. Without `keeps_value` neither reads y, so that it may be changed in place.
    """
    del pull, quick, keeps_value

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        def ruled(numbers: tuple[Any, ...]) -> Callable[..., Any]:
            differentiable = jax.custom_jvp(lambda x: function(x, *numbers))

            @differentiable.defjvp
            def _(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
                with settings_for(primals[0]):
                    value = differentiable(*primals)
                    return value, push(primals[0], *numbers, value, tangents[0])

            return differentiable

        alone = ruled(())
        return wraps(function)(lambda x, *numbers: ruled(numbers)(x) if numbers else alone(x))

    return decorate


def with_both(push: Callable[..., Any], pull: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """As `with_rule`, but reverse mode calls `pull`, in place of `push` transposed.

    # No twin: torch's `with_rule` calls both; JAX has no such rule of its own that works in forward mode too.

    What JAX transposes in a program without float64 must not compute in it, and a gather turns into a slow scatter.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        differentiable = jax.custom_jvp(function)

        @differentiable.defjvp
        def _(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
            value = differentiable(*primals)
            (change,) = _linear.bind(*primals, value, *tangents, forth=_Listed(push), back=_Listed(pull), known=2)
            return value, change

        return wraps(function)(lambda x: differentiable(x))

    return decorate


class _Listed(NamedTuple):
    """A function of arrays under the settings of the rules, its result in a list."""

    function: Callable[..., Any]

    def __call__(self, *arrays: Any) -> list[Any]:
        with settings_for(arrays[0]):
            return [self.function(*arrays)]


class _Along(NamedTuple):
    """How the results of `forth` change with its arrays `moved`, the first of which there are `fixed` in all."""

    forth: Callable[..., Any]
    moved: tuple[int, ...]
    fixed: int

    def __call__(self, *arrays: Any) -> list[Any]:
        with _wide():
            return jax.jvp(*self._at(arrays), arrays[self.fixed :])[1]

    def back(self, *arrays: Any) -> list[Any]:
        """Of cotangents of the results, those of the arrays `moved`."""
        function, moved = self._at(arrays)
        with _wide():
            return list(jax.vjp(function, *moved)[1](list(arrays[self.fixed :])))

    def _at(self, arrays: tuple[Any, ...]) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        def function(*moved: Any) -> list[Any]:
            given = dict(zip(self.moved, moved, strict=True))
            return self.forth(*(given.get(k, arrays[k]) for k in range(self.fixed)))

        return function, tuple(arrays[k] for k in self.moved)


class _Mapped(NamedTuple):
    """A function of arrays with a batch axis in front of each, but for some of the first."""

    function: Callable[..., Any]
    axes: tuple[int | None, ...]

    def __call__(self, *arrays: Any) -> list[Any]:
        axes = (*self.axes, *[0] * (len(arrays) - len(self.axes)))
        return jax.vmap(self.function, in_axes=axes)(*arrays)


def _wide() -> ExitStack:
    """The settings in which JAX may transpose what computes in float64."""
    stack = ExitStack()
    stack.enter_context(jax.enable_x64(True))
    stack.enter_context(jax.numpy_rank_promotion("allow"))
    return stack


_linear = Primitive("isoparam_linear")
"""forth(*arrays), linear in the arrays behind the first `known` ones; `back` is its transpose, with the same ones known."""
_linear.multiple_results = True


@_linear.def_impl
def _run(*arrays: Any, forth: Callable[..., Any], **_: Any) -> list[Any]:
    return forth(*arrays)


@_linear.def_abstract_eval
def _types(*types: Any, forth: Callable[..., Any], **_: Any) -> list[Any]:
    return jax.make_jaxpr(lambda *arrays: forth(*arrays))(*types).out_avals


def _differentiated(arrays: Any, tangents: Any, forth: Callable[..., Any], back: Callable[..., Any], known: int) -> Any:
    results, changes = _linear.bind(*arrays, forth=forth, back=back, known=known), []
    if not all(isinstance(tangent, ad.Zero) for tangent in tangents[known:]):
        moved = map(ad.instantiate_zeros, tangents[known:])
        changes.append(_linear.bind(*arrays[:known], *moved, forth=forth, back=back, known=known))
    places = tuple(k for k in range(known) if not isinstance(tangents[k], ad.Zero))
    if places:
        along = _Along(forth, places, len(arrays))
        moved = [tangents[k] for k in places]
        changes.append(_linear.bind(*arrays, *moved, forth=along, back=along.back, known=len(arrays)))
    return results, changes[0] if len(changes) == 1 else [ad.add_jaxvals(*parts) for parts in zip(*changes, strict=True)]


def _transposed(cotangents: Any, *arrays: Any, forth: Callable[..., Any], back: Callable[..., Any], known: int) -> list[Any]:
    given = map(ad.instantiate_zeros, cotangents)
    results = _linear.bind(*arrays[:known], *given, forth=back, back=forth, known=known)
    asked = zip(results, arrays[known:], strict=True)
    return [None] * known + [result if ad.is_undefined_primal(array) else None for result, array in asked]


def _batched(arrays: Any, axes: Any, forth: Callable[..., Any], back: Callable[..., Any], known: int) -> Any:
    (size,) = {array.shape[axis] for array, axis in zip(arrays, axes, strict=True) if axis is not None}
    fixed = tuple(None if axis is None else 0 for axis in axes[:known])
    front = [
        array if k < known and axis is None else batching.bdim_at_front(array, axis, size)
        for k, (array, axis) in enumerate(zip(arrays, axes, strict=True))
    ]
    results = _linear.bind(*front, forth=_Mapped(forth, fixed), back=_Mapped(back, fixed), known=known)
    return results, [0] * len(results)


ad.primitive_jvps[_linear] = _differentiated
ad.primitive_transposes[_linear] = _transposed
batching.primitive_batchers[_linear] = _batched
mlir.register_lowering(_linear, mlir.lower_fun(_run, multiple_results=True))
