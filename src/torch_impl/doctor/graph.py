"""The graph that autograd recorded, read from Python: its nodes, their age, the leaves they use and the way between them.

A node has a number (`_sequence_nr`) that grows within one thread, and a dict (`metadata`) that lives as long as it does.
The number tells what was computed before an update and what after; the dict tells which nodes have been seen before, in
whatever thread they were made.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor as Array

MARK = "isoparam.doctor"
MOST_NODES = 200_000  # of one walk: what is found in so many is enough, and a graph that grows for ever has an end
_VIEWING = (
    *("View", "T", "Transpose", "Permute", "Slice", "Select", "Expand", "Squeeze", "Unsqueeze", "AsStrided", "Alias"),
    *("Unbind", "Split", "SplitWithSizes", "Diagonal", "Unfold", "Narrow", "Chunk", "Reshape", "ReshapeAlias", "Movedim"),
    *("SwapAxes", "Real", "Imag", "ViewAsReal", "ViewAsComplex", "UnsafeView", "Numpy"),
)
VIEWS = frozenset(f"{name}Backward" for name in _VIEWING)
FLAT = frozenset(f"{name}Backward" for name in ("Round", "Floor", "Ceil", "Trunc", "Sign", "Heaviside", "Fix"))  # slope 0
# `_unsafe_view` comes behind a copy; what is a view of a view of the parameter is told by its storage.


@dataclass(frozen=True, eq=False)
class Edge:
    """A node that uses a leaf directly; one edge is like no other."""

    node: Any
    leaf: Array


class Graph:
    """All nodes behind some tensors, walked once.

    Attributes:
        nodes: every node, roots first, those that only collect gradients of leaves left out.
        uses: which of them use which leaf.
        whole: False where the walk stopped at `MOST_NODES`.
    """

    def __init__(self, outputs: Iterable[Any]) -> None:
        self.roots = [node for node in map(_root, outputs) if node is not None]
        self.uses: list[Edge] = []
        self.parents: dict[Any, Any] = dict.fromkeys(self.roots)
        self.whole = True
        for root in self.roots:
            if _is_leaf(root):
                self.uses.append(Edge(root, root.variable))
        waiting = [root for root in self.roots if not _is_leaf(root)]
        self.nodes: list[Any] = list(waiting)
        parents, uses, nodes = self.parents, self.uses, self.nodes
        while waiting:
            node = waiting.pop()
            for child, _ in node.next_functions:
                if child is None:
                    continue
                if type(child).__name__ == "AccumulateGrad":
                    uses.append(Edge(node, child.variable))
                elif child not in parents:
                    parents[child] = node
                    nodes.append(child)
                    waiting.append(child)
            if len(nodes) > MOST_NODES:
                self.whole = False
                break

    def __contains__(self, node: Any) -> bool:
        return node in self.parents

    def way(self, node: Any) -> list[Any]:
        """The nodes from a root to this one."""
        nodes = [node]
        while self.parents.get(nodes[-1]) is not None:
            nodes.append(self.parents[nodes[-1]])
        return nodes[::-1]

    def only_through(self, stops: Callable[[Any], bool]) -> set[int]:
        """The ids of the leaves that are reached only through some nodes."""
        if not any(stops(node) for node in self.nodes):
            return set()
        seen, waiting, live = set(self.roots), list(self.roots), set()
        while waiting:
            node = waiting.pop()
            live.add(node)
            for child, _ in node.next_functions if not stops(node) else ():
                if child is not None and child not in seen:
                    seen.add(child)
                    waiting.append(child)
        reached = {id(edge.leaf) for edge in self.uses if edge.node in live and not stops(edge.node)}
        return {id(edge.leaf) for edge in self.uses} - reached

    def above(self, start: Any) -> Iterator[Any]:
        """Every node through which this one is reached, itself first."""
        users: dict[Any, list[Any]] = {}
        for node in self.nodes:
            for child, _ in node.next_functions:
                if child is not None:
                    users.setdefault(child, []).append(node)
        seen, waiting = {start}, [start]
        while waiting:
            node = waiting.pop()
            yield node
            for user in users.get(node, ()):
                if user not in seen:
                    seen.add(user)
                    waiting.append(user)


def node_of(tensor: Array) -> Any:
    """The node of a tensor; None for one without, and for a view of many that autograd refuses to look at."""
    try:
        return tensor.grad_fn
    except RuntimeError:
        return None


def is_trainable_leaf(tensor: Array) -> bool:
    """Whether a tensor is a leaf that requires grad."""
    try:
        return tensor.is_leaf and tensor.requires_grad
    except RuntimeError:
        return False


def _root(output: Any) -> Any:
    """The node of a tensor, or of a GradientEdge."""
    if isinstance(output, Array):
        return node_of(output)
    return getattr(output, "node", None)


def _is_leaf(node: Any) -> bool:
    return type(node).__name__ == "AccumulateGrad"


def number_now() -> int:
    """The number that the next node of this thread gets."""
    with torch.enable_grad(), torch.inference_mode(mode=False):
        return torch.zeros((), requires_grad=True).neg().grad_fn._sequence_nr()  # type: ignore[union-attr]


def number_of(node: Any) -> int:
    """The number of a node; the highest for one that has none."""
    try:
        return node._sequence_nr()
    except (AttributeError, RuntimeError):
        return 2**63


def marks_of(node: Any) -> dict[Any, Any]:
    """What the doctor has noted at a node."""
    return node.metadata.setdefault(MARK, {})


def is_view(node: Any) -> bool:
    """Whether a node stands for another view of the same numbers."""
    return type(node).__name__.rstrip("0123456789") in VIEWS


def is_flat(node: Any) -> bool:
    """Whether a node stands for an operation whose derivative is 0 everywhere."""
    return type(node).__name__.rstrip("0123456789") in FLAT


def is_custom(node: Any) -> bool:
    """Whether a node stands for an autograd.Function that somebody wrote, whose backward may return None."""
    return isinstance(node, torch.autograd.function.BackwardCFunction) and not type(node).__name__.startswith("Compiled")


def name_of(node: Any) -> str:
    """How a node is called in a report."""
    return type(node).__name__ if type(node).__name__ != "AccumulateGrad" else "AccumulateGrad (a parameter)"


def names_along(nodes: Iterable[Any], most: int = 24) -> tuple[str, ...]:
    """The names of nodes, a long way shortened in its middle."""
    names = [name_of(node) for node in nodes]
    if len(names) > most:
        names = [*names[: most // 2], f"... {len(names) - most} more ...", *names[-(most // 2) :]]
    return tuple(names)


def leaves_of(tensor: Array) -> list[Array]:
    """The leaves that a tensor was computed from, each once."""
    found: dict[int, Array] = {}
    if tensor.grad_fn is not None:
        for edge in Graph([tensor]).uses:
            found.setdefault(id(edge.leaf), edge.leaf)
    return list(found.values())
