"""When each parameter moved last: by steps of optimizers, or by hand."""

import threading
import weakref
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor as Array

from torch_impl.doctor.graph import Edge, marks_of, number_now, number_of

SAMPLE = 64  # entries of a parameter by which a change without an optimizer is seen


@dataclass
class Age:
    """What is known of one leaf.

    Attributes:
        count: how often it has moved.
        number: nodes of a lower number were made before it moved last; 0 before it did.
        looked: the number at the last look at it.
        sample: some entries, at that look; None for what an optimizer moves. Autograd's count of changes in place would not do:
            fused optimizers and .data leave it as it is.
        stepped: whether an optimizer has it.
    """

    leaf: "weakref.ref[Array]"
    count: int = 0
    number: int = 0
    looked: int = 0
    sample: Any = None
    stepped: bool = False


class Ages:
    """All leaves that were seen."""

    def __init__(self) -> None:
        self._rows: dict[int, Age] = {}
        self.updates: list[int] = []  # the number at each update of anything
        self._stepping: set[int] = set()
        self._begun = 0
        self.thread = threading.get_ident()
        self._threads = _threads_made()
        self.numbers_hold = True  # False once nodes are known to come from other threads, which count for themselves

    def row(self, leaf: Array) -> Age:
        """What is known of a leaf."""
        row = self._rows.get(id(leaf))
        if row is None or row.leaf() is not leaf:
            key = id(leaf)
            row = self._rows[key] = Age(weakref.ref(leaf, lambda gone: self._forget(key, gone)))
        return row

    def _forget(self, key: int, gone: Any) -> None:
        if key in self._rows and self._rows[key].leaf is gone:
            del self._rows[key]

    def before_step(self, leaves: Iterable[Array]) -> None:
        """An optimizer begins to move some leaves: inside of its step, closures may look several times."""
        self._stepping.update(map(id, leaves))
        self._begun = number_now()

    def after_step(self, leaves: Iterable[Array], moved: Container[int]) -> None:
        """An optimizer has moved those of its leaves whose ids are given, as they have a gradient.

        What is older than the begin of the step is old: what hooks behind the step have made by now is not.
        """
        now = self._begun
        for leaf in leaves:
            self._stepping.discard(id(leaf))
            row = self.row(leaf)
            row.stepped, row.sample = True, None
            if id(leaf) in moved:
                self._moved(row, now)
        self.updates.append(now)

    def look(self, leaf: Array) -> Age:
        """What is known of a leaf that a backward is about to reach, with moves without a step since the last look."""
        row = self.row(leaf)
        if not row.stepped or id(leaf) in self._stepping:
            sample = _sample(leaf)
            if row.sample is not None and sample is not None and not torch.equal(sample, row.sample):
                self._moved(row, row.looked)
                if not self.updates or self.updates[-1] < row.looked:
                    self.updates.append(row.looked)
            row.sample = sample
        return row

    def _moved(self, row: Age, number: int) -> None:
        row.count += 1
        if threading.get_ident() == self.thread:
            row.number = max(row.number, number)

    def is_stale(self, edge: Edge, row: Age) -> bool:
        """Whether a node that uses a leaf was made before that leaf moved last; notes that the node has been seen."""
        first = marks_of(edge.node).setdefault(("seen", id(edge.leaf)), row.count)
        if first < row.count:
            return True
        return self.numbers_hold and threading.get_ident() == self.thread and number_of(edge.node) < row.number

    def looked(self, rows: list[Age]) -> None:
        """Note the time of a look."""
        now = number_now()
        for row in rows:
            row.looked = now

    def check_threads(self) -> None:
        """Trust numbers no more once threads were started, which may have made nodes: each counts for itself."""
        made = _threads_made()
        if made > self._threads + 1:
            self.numbers_hold = False
        self._threads = made

    def interval(self, number: int) -> int:
        """In which interval between updates a node was made."""
        low, high = 0, len(self.updates)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.updates[middle] <= number else (low, middle)
        return low


def unmoved(optimizer: torch.optim.Optimizer) -> set[int]:
    """The ids of what a step left where it was: by a rate of 0, or plain descent along a gradient of zeros."""
    found: set[int] = set()
    for group in optimizer.param_groups:
        if isinstance(group.get("lr"), int | float) and group["lr"] == 0:
            found |= {id(leaf) for leaf in group["params"]}
        elif type(optimizer) is torch.optim.SGD and not group["momentum"] and not group["weight_decay"]:
            graded = [leaf for leaf in group["params"] if leaf.grad is not None and not leaf.grad.is_sparse]
            if graded:
                device = graded[0].device
                moved = torch.stack([leaf.grad.any().to(device) for leaf in graded]).tolist()
                found |= {id(leaf) for leaf, moves in zip(graded, moved, strict=True) if not moves}
    return found


def _threads_made() -> int:
    """How many threads without a name of their own this process has made, one more with each call."""
    number = threading.Thread().name.partition("-")[2].partition(" ")[0]
    return int(number) if number.isdigit() else 0


def _sample(leaf: Array) -> Array | None:
    try:
        with torch.no_grad():
            flat = leaf.detach().reshape(-1)
            return flat[:: max(1, flat.numel() // SAMPLE)].nan_to_num().clone()
    except (RuntimeError, NotImplementedError):  # sparse, meta and other tensors without plain entries
        return None
