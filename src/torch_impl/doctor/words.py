"""What a finding says: its kind, the line where it was made, what will happen, and the code to write instead."""

import inspect
import re
import sys
import types
from typing import Any

from torch import nn

from isoparam.diagnosis import Finding
from torch_impl.doctor.names import Names
from torch_impl.doctor.source import Place, born_with, class_node, file_of, is_constant, places_in_class, places_of
from torch_impl.doctor.state import Held

RAISES = "raises at the second backward: Trying to backward through the graph a second time"
FROZEN = "frozen in silence: the old value is used for ever, while the parameters run away from it"
HIDDEN = "frozen in silence: retain_graph=True hides the error, and the old value is used for ever"


def title_of(held: Held, names: Names) -> str:
    """The dotted name of what is held: with the class before it where it is a part of the model."""
    if held.inner is not None and held.owner is held.inner[0]:
        return held.attr  # an object in a variable, named by its own class
    return (
        names.attr(held.attr)
        if held.how not in ("local", "global") and not isinstance(held.owner, types.CodeType)
        else held.attr
    )


def named(held: Held) -> Held:
    """What is held by an object in a variable, as its class would write it."""
    if not isinstance(held.owner, types.CodeType | str) or held.inner is None:
        return held
    kind, attr = held.inner
    if kind.__module__.partition(".")[0] in sys.stdlib_module_names or class_node(kind) is None:
        return held
    below = held.below.rpartition(f".{attr}")[2]
    how = held.how if held.how in ("cache", "buffer") else "attribute"
    return Held(f"{kind.__name__}.{attr}{below}", how, attr, kind, held.tensor, below, held.inner)


def place_of(held: Held, names: Names, later: bool = False) -> Place | None:
    """The assignment that made what is held.

    Args:
        held: what is held.
        names: of the model.
        later: whether it is one that runs at each step; else one that runs when the object is made.
    """
    if held.how == "closure" and "(closure cell '" in held.attr:
        return _cell_place(held)
    places = [place for place in places_of(held, names.model) if not is_constant(place)]
    if isinstance(held.owner, types.CodeType | str) or not places:
        growing = [place for place in places if place.kind in ("augment", "mutate")]
        return next(iter([*(growing if later else ()), *places]), None)
    born = born_with(held.owner if isinstance(held.owner, type) else type(held.owner))
    chosen = [place for place in places if (place.function in born) is not later] or places
    first = chosen[0]
    if first.argument and not later:
        return _handed_in(held, names) or first
    return first


def _cell_place(held: Held) -> Place | None:
    cell = held.attr.split("(closure cell '")[-1].split("'")[0]
    owner = held.owner
    if isinstance(owner, types.CodeType | str):
        file = owner if isinstance(owner, str) else owner.co_filename
    else:
        file = file_of(owner if isinstance(owner, type) else type(owner))
    from torch_impl.doctor.source import _places, _variable_named, tree_of

    tree = tree_of(file)
    places = [] if tree is None else [p for p in _places(tree, cell, file, _variable_named) if not is_constant(p) and p.value]
    inside = {place.function for place in places_of(held, None)} if not isinstance(owner, str) else set()
    return next((place for place in places if place.function in inside), next(iter(places), None))


def _handed_in(held: Held, names: Names) -> Place | None:
    """The assignment, in the module around, of the submodule that was given the value."""
    if not isinstance(names.model, nn.Module) or not isinstance(held.owner, nn.Module):
        return None
    for path, module in names.model.named_modules():
        if module is held.owner and path:
            above, _, name = path.rpartition(".")
            places = places_in_class(type(names.model.get_submodule(above)), name)
            return next((place for place in places if not is_constant(place)), None)
    return None


def is_carried(held: Held, names: Names) -> bool:
    """Whether, by its text, a program makes what is held anew at each step, from what it was before."""
    held = named(held)
    place = place_of(held, names, later=True)
    if place is None or held.how not in ("attribute", "buffer", "local"):
        return False
    reads_itself = held.root in re.findall(r"\w+", place.value) or place.kind == "augment"
    if isinstance(held.owner, types.CodeType) or place.function in born_with(
        held.owner if isinstance(held.owner, type) else type(held.owner)
    ):
        return held.how == "local" and (reads_itself or place.kind == "mutate")
    return reads_itself or (not place.guarded and place.kind in ("assign", "mutate") and "[" not in held.below)


def kind_of(held: Held, place: Place | None) -> str:
    """The rule that a stale value falls under."""
    by_way = {"buffer": "buffer", "closure": "closure", "global": "global", "local": "loop-invariant", "cache": "cache"}
    if held.how == "closure" and "[" in held.attr.partition("(closure cell")[2]:
        return "stale-cache"  # a function that remembers
    if held.how in by_way:
        return f"stale-{by_way[held.how]}"
    owner = held.owner if isinstance(held.owner, type) else type(held.owner)
    made_by = inspect.getattr_static(owner, held.root, None)
    if made_by is not None and type(made_by).__name__ == "cached_property":
        return "stale-cache"
    if place is None or not place.function or place.function in born_with(owner):
        return "stale-attribute"
    if place.guarded or place.kind in ("decorate", "mutate") or "[" in held.below:
        return "stale-cache"
    return "stale-attribute"


def stale(held: Held, names: Names, params: tuple[str, ...], outcome: str, path: tuple[str, ...] = ()) -> Finding:
    """A value that was derived before the last update and is used again."""
    held = named(held)
    place = place_of(held, names)
    kind = kind_of(held, place)
    title = title_of(held, names)
    message = (
        f"{title} was computed from {_listed(params)} once and is used again after {_listed(params)} moved: "
        f"it still has the value, and the graph, of the time when it was computed."
    )
    return _finding(kind, title, params, place, message, _fix(kind, held, place), outcome, path)


def fragile(held: Held, names: Names, params: tuple[str, ...]) -> Finding:
    """A view of a parameter that is kept."""
    place = place_of(held, names)
    title = title_of(held, names)
    message = f"{title} is a view of {_listed(params)}: it follows the parameter only as long as both share their memory."
    outcome = "follows the parameter until .to(), .double(), load_state_dict(assign=True) or a copy parts them in silence"
    return _finding("fragile-view", title, params, place, message, _property(held, place), outcome)


def carried(held: Held, names: Names, params: tuple[str, ...], outcome: str, path: tuple[str, ...]) -> Finding:
    """A state that comes from the step before with its graph."""
    held = named(held)
    place = place_of(held, names, later=True)
    title = title_of(held, names)
    message = (
        f"{title} is carried from one step to the next with its graph, which reaches {_listed(params)} before the last update."
    )
    name = _written(held)
    fix = f"{name} = {name}.detach()  # at the begin of each step, before it is used"
    return _finding("carried-state", title, params, place, message, fix, outcome, path)


def growing(held: Held, names: Names, params: tuple[str, ...], steps: int) -> Finding:
    """A graph that is kept and grows."""
    held = named(held)
    place = place_of(held, names, later=True)
    title = title_of(held, names)
    message = f"{title} keeps the graphs of {steps} steps, and of one more after each step."
    kept = place.value if place is not None and place.value else "value"
    fix = f"{_written(held)}: keep ({kept}).detach(), or .item() for a number, in place of {kept}"
    outcome = "memory, and the time of a step, grow until the program ends"
    return _finding("graph-growth", title, params, place, message, fix, outcome)


def _written(held: Held) -> str:
    """The code that reads the root of what is held."""
    return held.root if held.how in ("local", "global") or isinstance(held.owner, types.CodeType | str) else f"self.{held.root}"


def _listed(params: tuple[str, ...]) -> str:
    return ", ".join(params[:4]) + (f" and {len(params) - 4} more" if len(params) > 4 else "") if params else "a parameter"


def _property(held: Held, place: Place | None) -> str:
    value = place.value if place is not None and place.value and not place.argument else "...  # what is assigned now"
    return f"@property\ndef {held.root}(self):\n    return {value}"


def _fix(kind: str, held: Held, place: Place | None) -> str:
    value = place.value if place is not None and place.value else "..."
    if kind in ("stale-attribute", "stale-buffer"):
        return _property(held, place)
    if kind == "stale-cache":
        return f"compute it at each use, without the cache:\n    return {value}\nor empty the cache after each optimizer.step()"
    if kind == "stale-closure":
        return f"compute it inside of the function, at each call:\n    {value}"
    if kind == "stale-global":
        return f"def {held.root.lower()}():\n    return {value}"
    if kind == "stale-loop-invariant":
        return f"{held.root} = {value}  # inside of the loop, at the begin of each step"
    return "compute the value anew at each step, after optimizer.step()"


def _finding(
    kind: str,
    attr: str,
    params: tuple[str, ...],
    place: Place | None,
    message: str,
    fix: str,
    outcome: str,
    path: tuple[str, ...] = (),
) -> Finding:
    file, line = (place.file, place.line) if place is not None else ("", 0)
    return Finding(kind, attr, params, file, line, message, fix, outcome, path)


def plain(
    kind: str,
    attr: str,
    params: tuple[str, ...],
    message: str,
    fix: str,
    outcome: str,
    where: tuple[str, int] = ("", 0),
    **more: Any,
) -> Finding:
    """A finding of any other kind."""
    return Finding(kind, attr, params, *where, message, fix, outcome, **more)


def class_where(model: Any) -> tuple[str, int]:
    """The file and line of the class of a model."""
    node = class_node(type(model)) if model is not None else None
    return (file_of(type(model)), node.lineno) if node is not None else ("", 0)


def assigned_outside(model: Any, attr: str, file: str) -> tuple[str, int]:
    """The last place of a file, outside of the making of the class, where an attribute of this name is set."""
    from torch_impl.doctor.source import _attribute_named, _places, tree_of

    tree = tree_of(file) if file else None
    born = born_with(type(model))
    places = [] if tree is None else [p for p in _places(tree, attr, file, _attribute_named) if p.function not in born]
    return (places[-1].file, places[-1].line) if places else ("", 0)
