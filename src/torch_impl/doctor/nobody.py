"""At the end of a watch: what had gradients, and was moved by nobody."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor as Array

from isoparam.diagnosis import Finding
from torch_impl.doctor.graph import is_trainable_leaf
from torch_impl.doctor.keeping import in_modules
from torch_impl.doctor.names import Names, ObjectSearch
from torch_impl.doctor.owners import NEVER, held_by, stale_optimizer, unregistered_at
from torch_impl.doctor.severed import Severed
from torch_impl.doctor.words import class_where, plain


def nobodys(
    names: Names,
    first: dict[int, tuple[str, Array]],
    optimizers: Sequence[torch.optim.Optimizer],
    seen: Severed,
    counts: dict[int, int],
) -> list[Finding]:
    """Findings about tensors that had gradients while the optimizers moved something else.

    Args:
        names: of the model.
        first: the trainable parameters of the model when the watch began.
        optimizers: all that were given or seen.
        seen: who had gradients.
        counts: steps of each optimizer, by its id.
    """
    stepped = [optimizer for optimizer in optimizers if counts.get(id(optimizer))]
    if not stepped:
        return []
    moved = held_by(optimizers)
    names.refresh()
    orphans = [
        (name, key, p) for key, (name, p) in names.own.items() if key not in moved and p.requires_grad and seen.has_gradient(p)
    ]
    idle = [optimizer for optimizer in stepped if seen.is_idle(optimizer)]
    came = tuple(name for name, key, _ in orphans if key not in first)
    found: list[Finding] = []
    if came:
        found.append(stale_optimizer(names, came))
    elif idle and orphans:
        found.append(stale_optimizer(names, tuple(name for name, _, _ in orphans)))
    elif idle and not any(key in moved for key in names.own) and names.own:
        found.append(stale_optimizer(names, tuple(name for name, p in names.own.values() if p.requires_grad) or ("",)))
    elif idle:
        listed = tuple(names.of(p) for optimizer in idle for p in held_by([optimizer]).values())
        message = f"an optimizer steps, but nothing that it holds has ever had a gradient: {', '.join(listed[:4])}."
        fix = "compute the loss from the parameters themselves, at each step"
        attr = names.attr("forward") if names.title else "loss"
        found.append(plain("severed-gradient", attr, listed, message, fix, f"nothing {NEVER}", class_where(names.model)))
    return [*found, *_unregistered(names, moved, seen)]


def _unregistered(names: Names, moved: dict[int, Array], seen: Severed) -> list[Finding]:
    """Trainable tensors that the model keeps where `parameters()` does not look, that had gradients and that nobody moves."""
    found: list[Any] = []
    for held in in_modules(names.parts, ObjectSearch(names.parts.ids)) if names.parts.modules else ():
        tensor = held.tensor
        foreign = is_trainable_leaf(tensor) and id(tensor) not in moved and id(tensor) not in names.own
        if foreign and seen.has_gradient(tensor) and held.how in ("attribute", "buffer"):
            found.append(unregistered_at(held, names))
    return found
