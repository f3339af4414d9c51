"""attach: constrain a parameter of an existing layer, whose code stays as it is; detach bakes the value back."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter
from torch.nn.utils import parametrize

from isoparam.errors import DomainError, SpecError
from isoparam.names import hint
from isoparam.specs import Real, Spec, Tied
from isoparam.ties import Transposed, obeyed
from torch_impl.assigned import _filled, _first_raw
from torch_impl.attached import _change, _entries, _Place, _place
from torch_impl.flat import to_numpy
from torch_impl.module import Constrained, _declared
from torch_impl.tied import tied_leaf
from torch_impl.verbs import project


def attach(module: Any, name: str, spec: Spec, start: Any = "value") -> None:
    """Constrain a parameter of an existing module from now on.

        before    module.weight is an nn.Parameter
        after     module.weight is `forward(spec, module.weight_raw)` at every read, module.weight_raw is the nn.Parameter

    The class of the module becomes a subclass of it with one more attribute, `Constrained(spec)`: `isinstance`, `repr`
    and the layer's own code stay as they are; pickle, deepcopy, `torch.save`, `torch.compile` and `functional_call` work.
    `state_dict` holds `weight_raw` where `weight` was, and loads into a module with the same attachments.

    A parameter that several places within `module` share is constrained in all of them, and they go on sharing one leaf.

    Args:
        module: any nn.Module.
        name: the parameter; with dots for one of a submodule: "encoder.0.weight".
        spec: what the value obeys. `Tied("encoder.weight")`, a name from `module` on, shares that leaf, and what it obeys;
            `Tied("encoder.weight", transpose=True)` reads it transposed. It starts as the other: start="project".
        start: what the present numbers become, as for `Constrained`: "value" (they are inside), "raw" (they are raw),
            "project" (those outside move to the nearest point, and a little inside; an `Orthogonal`, `SpecialOrthogonal` or
            `Stiefel` without a base gets the nearest point as its base), a float or an array of starting
            values, or a numpy Generator.

    Raises:
        SpecError: for a name that is no parameter, a shape that the spec does not accept, a second attachment to a name,
            a lazy, scripted, compiled, parametrized or weight-normalized module, one that keeps the parameter in a list
            too, or hooks on the parameter.
        DomainError: for start="value" and a number outside the set or on its border.

    Limits: attach first, then make the optimizer, for the leaf is a new parameter. Sharing is seen within `module` only:
    give the module that holds all places. `type(module) is nn.Linear` becomes false. Writing in place, as
    `nn.init` does, changes a temporary value; assign instead: `module.weight = numbers`. `reset_parameters()`, which would
    do the same, raises SpecError. `torch.nn.utils.parametrize` finds no parameter of that name afterwards and says so with
    a ValueError; `detach` gives it back. `torch.fx.symbolic_trace` and `torch.jit` cannot follow the computation;
    `torch.compile` and `torch.export` do.

    Example:
        >>> import isoparam as iso, torch
        >>> from isoparam.torch import attach
        >>> layer = torch.nn.Linear(3, 2)
        >>> attach(layer, "weight", iso.Positive(), start="project")
        >>> bool((layer.weight > 0).all()), [name for name, _ in layer.named_parameters()], layer
        (True, ['weight_raw', 'bias'], Linear(in_features=3, out_features=2, bias=True))
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
    for kept in _kept_outside(module, [old]):
        raise SpecError(
            f"attach {name!r}: {kept} holds the same parameter and would keep the old numbers; let the module read its own "
            f"attribute instead"
        )
    if isinstance(spec, Tied):
        other_owner, other_key = _find(module, spec.to, "attach")
        leaf, obeys = tied_leaf(other_owner, other_key, old, name, spec, start)
    else:
        obeys = spec
        if isinstance(start, str) and start == "project" and type(spec).starting_at is not Spec.starting_at:
            obeys = spec.starting_at(to_numpy(project(spec, _filled(old.detach()))))
        leaf = _first_leaf(old, name, obeys, start)
    _change([(place, obeyed(obeys, place.turned)) for place in places], leaf)


def detach(module: Any, name: str) -> None:
    """Undo `attach`: the parameter is plain again and holds the present value, as do all places that share it.

    What is tied to it as its transpose stays so; detach it by its own name to make it a parameter of its own.

    Args:
        module: the module that was given to `attach`, or one that holds it.
        name: the parameter by its own name, "encoder.0.weight".

    Raises:
        SpecError: for a name that is not attached.

    Limits: the parameter is a new one, which an optimizer made before does not know.

    Example:
        >>> import isoparam as iso, torch
        >>> from isoparam.torch import attach, detach
        >>> layer = torch.nn.Linear(3, 2)
        >>> attach(layer, "weight", iso.Positive(), start=0.5)
        >>> detach(layer, "weight")
        >>> layer.weight.unique(), type(layer) is torch.nn.Linear
        (tensor([0.5000], grad_fn=<Unique2Backward0>), True)
    """
    owner, key = _find(module, name, "detach")
    if key not in dict(_entries(owner)):
        known = [f"{path}.{own}".lstrip(".") for path, part in module.named_modules() for own, _ in _entries(part)]
        raise SpecError(f"detach: {name!r} of {type(owner).__name__} is not attached; {hint(name, known)}")
    old = getattr(owner, f"{key}_raw")
    leaf = nn.Parameter(getattr(owner, key).detach().clone(), requires_grad=old.requires_grad)
    named = _place(owner, f"{key}_raw")
    # A name that reads the leaf transposed follows the other one, and is untied alone.
    follow = {named.turned: None, True: None if named.turned else Transposed(Real())}
    held = [place for place in _places(module, old) if place.attribute != place.name]
    _change([(place, follow[place.turned]) for place in held if place.turned in follow], leaf)


def _find(module: Any, name: str, verb: str) -> tuple[Any, str]:
    """The submodule that owns a dotted name, and the last part of the name."""
    if not isinstance(module, nn.Module):
        raise SpecError(f"{verb}: expected an nn.Module, got {type(module).__name__}")
    if not isinstance(name, str) or not name:
        raise SpecError(f"{verb}: name={name!r} must be a text such as 'weight'")
    path, _, key = name.rpartition(".")
    try:
        return module.get_submodule(path), key
    except AttributeError:
        known = [path for path, _ in module.named_modules() if path]
        raise SpecError(f"{verb}: {type(module).__name__} has no submodule {path!r}; {hint(path, known)}") from None


def _places(module: Any, leaf: Any) -> list[_Place]:
    """Where a module and those within it have a leaf."""
    return [_place(part, name) for part in module.modules() for name, held in _own(part) if held is leaf]


def _own(part: Any) -> Iterator[tuple[str, Any]]:
    """The parameters of a module itself, also those that it has twice."""
    return part.named_parameters(recurse=False, remove_duplicate=False)


def _parameter(owner: Any, key: str, name: str) -> nn.Parameter:
    """The parameter to constrain."""
    if isinstance(owner, torch.jit.ScriptModule):
        raise SpecError(f"attach {name!r}: {type(owner).__name__} is scripted; attach before torch.jit.script")
    if key in _declared(type(owner)):
        raise SpecError(f"attach {name!r}: it is constrained already; detach(module, {name!r}) first")
    if "_orig_mod" in owner._modules:
        raise SpecError(f"attach {name!r}: torch.compile wraps the module; attach to its _orig_mod, or before compiling")
    leaf = dict(_own(owner)).get(key)
    if leaf is None:
        present = getattr(owner, key, None)
        if isinstance(present, torch.Tensor):
            raise SpecError(
                f"attach {name!r}: it is no nn.Parameter but a buffer, or computed by parametrize, weight_norm or a hook; "
                f"remove that first, then attach"
            )
        raise SpecError(f"attach {name!r}: {type(owner).__name__} has no such parameter; {hint(key, list(dict(_own(owner))))}")
    if isinstance(leaf, UninitializedParameter):
        raise SpecError(f"attach {name!r}: the lazy parameter has no shape yet; call the module once on a batch first")
    if not leaf.is_floating_point():
        raise SpecError(f"attach {name!r}: a parameter of {leaf.dtype} is not floating")
    if leaf._backward_hooks or leaf._post_accumulate_grad_hooks:
        raise SpecError(
            f"attach {name!r}: hooks are registered on the parameter, which the new leaf would not have; remove them, "
            f"and register them on {key}_raw after attach"
        )
    return leaf


def _first_leaf(old: Any, name: str, spec: Spec, start: Any) -> Any:
    """The leaf that takes the place of a parameter."""
    try:
        raw = _first_raw(spec, _filled(old.detach()), start)
    except DomainError as error:
        more = '; start="project" begins at the nearest point inside' if start == "value" else ""
        raise DomainError(f"attach {name!r}: {error}{more}") from None
    except SpecError as error:
        raise SpecError(f"attach {name!r}: {error}") from None
    return nn.Parameter(raw, requires_grad=old.requires_grad)


def _refuse(part: Any, key: str) -> None:
    """Raise SpecError for a module whose parameter cannot be taken over."""
    kind = type(part).__name__
    if parametrize.is_parametrized(part):
        raise SpecError(
            f"attach {key!r}: {kind} is parametrized by torch.nn.utils.parametrize, which swaps the class too; "
            f"parametrize.remove_parametrizations(...) first"
        )
    if key in {entry.raw_name for entry in _declared(type(part)).values()}:
        raise SpecError(f"attach {key!r}: it is the raw leaf of {key.removesuffix('_raw')!r}, which is constrained already")
    for hook in part._forward_pre_hooks.values():
        if type(hook).__module__.startswith("torch.nn.utils."):
            raise SpecError(f"attach {key!r}: {kind} computes weights by a {type(hook).__name__} hook; remove it first")
    taken = [name for name, leaf in part._parameters.items() if name == f"{key}_raw" and leaf is not None]
    if taken or f"{key}_raw" in vars(part):
        raise SpecError(f"attach {key!r}: {kind} has an attribute {key}_raw already, where the leaf would go")


def _kept_outside(module: Any, leaves: list[Any]) -> Iterator[str]:
    """Where a module keeps one of these outside its own parameters too: such a copy would go stale."""
    wanted = {id(leaf) for leaf in leaves}
    for path, part in module.named_modules():
        for attribute, kept in vars(part).items():
            if attribute in ("_parameters", "_modules") or (attribute == "_flat_weights" and isinstance(part, nn.RNNBase)):
                continue
            entries = list(kept.values()) if isinstance(kept, dict) else kept
            if id(kept) in wanted or (isinstance(entries, list | tuple) and any(id(entry) in wanted for entry in entries)):
                yield f"{path}.{attribute}".lstrip(".")
