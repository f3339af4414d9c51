"""attach: constrain a parameter of an existing layer, whose code stays as it is; detach bakes the value back."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen, nnx

from isoparam.errors import DomainError, SpecError
from isoparam.names import hint
from isoparam.specs import Real, Spec, Tied
from isoparam.ties import Transposed, obeyed
from jax_impl.assigned import _filled, _first_raw
from jax_impl.attached import _change, _entries, _Place, _place
from jax_impl.flat import to_numpy
from jax_impl.module import Constrained, _declared, _held, _members, _named_modules
from jax_impl.tied import tied_leaf
from jax_impl.verbs import project


def attach(module: Any, name: str, spec: Spec, start: Any = "value") -> None:
    """Constrain a parameter of an existing module from now on.

        before    module.kernel is an nnx.Param
        after     module.kernel is `forward(spec, module.kernel_raw)` at every read, module.kernel_raw is the nnx.Param

    The class of the module becomes a subclass of it with one more attribute, `Constrained(spec)`: `isinstance`, `repr`
    and the layer's own code stay as they are; pickle, deepcopy, `nnx.split`, `nnx.merge`, `nnx.clone` and every
    transform work. Layers expect an nnx.Variable, so what is read is one, of a kind that cannot be written to and that is
    in no state: `module.kernel[...]` is the array.

    A parameter that several places within `module` share is constrained in all of them, and they go on sharing one leaf.

    Args:
        module: any nnx.Module.
        name: the parameter; with dots for one of a submodule: "encoder.layers.0.kernel".
        spec: what the value obeys. `Tied("encoder.kernel")`, a name from `module` on, shares that leaf, and what it obeys;
            `Tied("encoder.kernel", transpose=True)` reads it transposed. It starts as the other: start="project".
        start: what the present numbers become, as for `Constrained`: "value" (they are inside), "raw" (they are raw),
            "project" (those outside move to the nearest point, and a little inside; an `Orthogonal`, `SpecialOrthogonal` or
            `Stiefel` without a base gets the nearest point as its base), a float or an array of starting
            values, or a numpy Generator.

    Raises:
        SpecError: for a name that is no parameter, a shape that the spec does not accept, a second attachment to a name,
            a parameter that is an entry of a list or dict, one with hooks on its value, or one of an abstract module.
        DomainError: for start="value" and a number outside the set or on its border.

    Limits: attach first, then make the optimizer, for the leaf is a new parameter of a new name. Sharing is seen within
    `module` only: give the module that holds all places. `type(module) is nnx.Linear` becomes false. `nnx.update` refuses a
    state from before. A wrapper that rewrites the nnx.Params of a layer, such as nnx.WeightNorm, meets the raw leaf.

    Example:
        >>> import isoparam as iso
        >>> from flax import nnx
        >>> from isoparam.jax import attach
        >>> layer = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
        >>> attach(layer, "kernel", iso.Positive(), start="project")
        >>> bool((layer.kernel[...] > 0).all()), list(nnx.state(layer, nnx.Param)), isinstance(layer, nnx.Linear)
        (True, ['bias', 'kernel_raw'], True)
    """
    if not isinstance(spec, Spec):
        raise SpecError(f"attach {name!r}: expected a spec such as isoparam.Positive(), got {spec!r}")
    start = start if isinstance(spec, Tied) else Constrained(spec, start).start
    owner, key = _find(module, name, "attach")
    old = _parameter(owner, key, name)
    places = _places(module, old)
    for place in places:
        if not place.turned:
            _refuse(place.part, place.attribute)
    _refuse_copies(module, old, name)
    if isinstance(spec, Tied):
        other_owner, other_key = _find(module, spec.to, "attach")
        leaf, obeys = tied_leaf(other_owner, other_key, old, name, spec, start)
    else:
        obeys = spec
        if isinstance(start, str) and start == "project" and type(spec).starting_at is not Spec.starting_at:
            obeys = spec.starting_at(to_numpy(project(spec, _filled(old[...]))))
        leaf = _first_leaf(old, name, obeys, start)
    _change([(place, obeyed(obeys, place.turned)) for place in places], leaf)


def detach(module: Any, name: str) -> None:
    """Undo `attach`: the parameter is plain again and holds the present value, as do all places that share it.

    What is tied to it as its transpose stays so; detach it by its own name to make it a parameter of its own.

    Args:
        module: the module that was given to `attach`, or one that holds it.
        name: the parameter by its own name, "encoder.layers.0.kernel".

    Raises:
        SpecError: for a name that is not attached.

    Limits: the parameter is a new one, which an optimizer made before does not know.

    Example:
        >>> import isoparam as iso
        >>> from flax import nnx
        >>> from isoparam.jax import attach, detach
        >>> layer = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
        >>> attach(layer, "kernel", iso.Positive(), start=0.5)
        >>> detach(layer, "kernel")
        >>> layer.kernel[0].tolist(), type(layer) is nnx.Linear
        ([0.5, 0.5], True)
    """
    owner, key = _find(module, name, "detach")
    if key not in dict(_entries(owner)):
        known = [f"{path}.{own}".lstrip(".") for path, part in _named_modules(module, "", set()) for own, _ in _entries(part)]
        raise SpecError(f"detach: {name!r} of {type(owner).__name__} is not attached; {hint(name, known)}")
    old = getattr(owner, f"{key}_raw")
    leaf = old.replace(getattr(owner, key)[...])
    named = _place(owner, f"{key}_raw")
    # A name that reads the leaf transposed follows the other one, and is untied alone.
    follow = {named.turned: None, True: None if named.turned else Transposed(Real())}
    held = [place for place in _places(module, old) if place.attribute != place.name]
    _change([(place, follow[place.turned]) for place in held if place.turned in follow], leaf)


def _modules(module: Any) -> list[nnx.Module]:
    """A module and all that it holds, each once."""
    return [part for _, part in _named_modules(module, "", set())]


def _find(module: Any, name: str, verb: str) -> tuple[Any, str]:
    """The submodule that owns a dotted name, and the last part of the name."""
    if not isinstance(module, nnx.Module):
        more = "; for linen use constrain on its params" if isinstance(module, linen.Module) else ""
        raise SpecError(f"{verb}: expected an nnx.Module, got {type(module).__name__}{more}")
    if not isinstance(name, str) or not name:
        raise SpecError(f"{verb}: name={name!r} must be a text such as 'kernel'")
    path, _, key = name.rpartition(".")
    owner: Any = module
    for step in path.split(".") if path else ():
        owner = dict(_members(owner)).get(step)
    if not isinstance(owner, nnx.Module):
        known = [path for path, _ in _named_modules(module, "", set()) if path]
        raise SpecError(f"{verb}: {type(module).__name__} has no submodule {path!r}; {hint(path, known)}")
    return owner, key


def _places(module: Any, leaf: Any) -> list[_Place]:
    """Where a module and those within it have a leaf."""
    return [_place(part, name) for part in _modules(module) for name, held in _own(part) if held is leaf]


def _own(part: Any) -> Iterator[tuple[str, Any]]:
    """The parameters of a module itself, also those that it has twice."""
    return ((name, member) for name, member in _members(part) if isinstance(member, nnx.Param))


def _parameter(owner: Any, key: str, name: str) -> nnx.Param:
    """The parameter to constrain."""
    if key in _declared(type(owner)):
        raise SpecError(f"attach {name!r}: it is constrained already; detach(module, {name!r}) first")
    leaf = dict(_own(owner)).get(key)
    if leaf is None:
        present = vars(owner).get(key)
        if isinstance(present, nnx.Variable):
            raise SpecError(f"attach {name!r}: it is no nnx.Param but a {type(present).__name__}, which is not trained")
        raise SpecError(f"attach {name!r}: {type(owner).__name__} has no such parameter; {hint(key, list(dict(_own(owner))))}")
    if isinstance(owner, nnx.List | nnx.Dict):
        raise SpecError(f"attach {name!r}: it is an entry of an nnx.{type(owner).__name__}; give it an attribute of a module")
    if not jnp.issubdtype(leaf.dtype, jnp.floating):
        raise SpecError(f"attach {name!r}: a parameter of {leaf.dtype} is not floating")
    if isinstance(leaf.get_value(), jax.ShapeDtypeStruct):
        raise SpecError(
            f"attach {name!r}: the module is abstract and holds no numbers; attach within the function given to nnx.eval_shape"
        )
    return leaf


def _first_leaf(old: Any, name: str, spec: Spec, start: Any) -> Any:
    """The leaf that takes the place of a parameter."""
    try:
        raw = _first_raw(spec, _filled(old[...]), start)
    except DomainError as error:
        more = '; start="project" begins at the nearest point inside' if start == "value" else ""
        raise DomainError(f"attach {name!r}: {error}{more}") from None
    except SpecError as error:
        raise SpecError(f"attach {name!r}: {error}") from None
    return old.replace(raw)


def _refuse(part: Any, key: str) -> None:
    """Raise SpecError for a module whose parameter cannot be taken over."""
    kind = type(part).__name__
    if key in {entry.raw_name for entry in _declared(type(part)).values()}:
        raise SpecError(f"attach {key!r}: it is the raw leaf of {key.removesuffix('_raw')!r}, which is constrained already")
    hooked = type(vars(part)[key]).get_value is not nnx.Variable.get_value
    if hooked or any(vars(part)[key].has_metadata(hook) for hook in ("on_get_value", "on_set_value")):
        raise SpecError(
            f"attach {key!r}: the value of {kind}.{key} passes through hooks, which it would pass twice; remove them"
        )
    if f"{key}_raw" in vars(part):
        raise SpecError(f"attach {key!r}: {kind} has an attribute {key}_raw already, where the leaf would go")


def _refuse_copies(module: Any, leaf: Any, name: str) -> None:
    """Raise SpecError where a module keeps the parameter outside its own attributes too: that copy would go stale."""
    for path, part in _named_modules(module, "", set()):
        for attribute, kept in _members(part):
            nested = [] if isinstance(kept, nnx.Module) else _held(attribute, kept)
            own = isinstance(kept, nnx.Param) and not isinstance(part, nnx.List | nnx.Dict)
            if not own and (kept is leaf or any(entry is leaf for _, entry in nested)):
                place = f"{path}.{attribute}".lstrip(".")
                raise SpecError(
                    f"attach {name!r}: {place} holds the same parameter and would keep the old numbers; "
                    f"let {type(part).__name__} read the attribute instead"
                )
