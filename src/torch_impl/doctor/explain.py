"""explain: from an exception to the value that was stale, the line that made it, and the repair."""

import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor as Array
from torch import nn

from isoparam.diagnosis import Diagnosis, Finding
from torch_impl.doctor.graph import Edge, Graph, names_along, node_of, number_of
from torch_impl.doctor.keeping import in_classes, in_frame, in_modules
from torch_impl.doctor.look import params_of, unnamed
from torch_impl.doctor.mutated import inplace_on_leaf
from torch_impl.doctor.names import Names
from torch_impl.doctor.owners import is_lost, unregistered_at
from torch_impl.doctor.record import Record
from torch_impl.doctor.scan import examine
from torch_impl.doctor.severed import cut_anywhere, severed
from torch_impl.doctor.state import Held, Search
from torch_impl.doctor.words import carried, is_carried, plain, stale

SECOND = "backward through the graph a second time"
CHANGED = "modified by an inplace operation"
NO_GRAD = ("does not require grad and does not have a grad_fn", "appears to not have been used in the graph")
ON_LEAF = ("leaf Variable that requires grad", "view of a leaf Variable", "cannot assign")
NON_LEAF = "can't optimize a non-leaf Tensor"
COPIES = ("deepcopy protocol", "refusing to serialize non-leaf")


def explain(exc: BaseException, model: Any = None) -> Diagnosis:
    """Tell what was stale when an exception was raised, where it was made, and what to write instead.

    Looked at are the variables of the functions that the exception came through, and what they hold. It explains: "backward
    through the graph a second time", "does not require grad", "modified by an inplace operation", "a leaf Variable that
    requires grad is being used in an in-place operation", "can't optimize a non-leaf Tensor", and copies of a model that
    fail at a value with a graph.

    Args:
        exc: the exception, with its traceback.
        model: the module that was trained; None takes the largest one that the functions held.

    Returns:
        A `Diagnosis`; without findings, and with a note, for an exception that is about something else.

    Example:
        >>> import torch
        >>> from isoparam.torch import doctor
        >>> model = torch.nn.Linear(1, 1)
        >>> model.x = torch.sigmoid(model.weight)
        >>> try:
        ...     for _ in range(2):
        ...         model.x.sum().backward()
        ... except RuntimeError as error:
        ...     found = doctor.explain(error, model)
        >>> [(finding.kind, finding.attr, finding.params) for finding in found]
        [('stale-attribute', 'Linear.x', ('weight',))]
    """
    frames = _frames(exc)
    model = _largest_module(frames) if model is None else model
    names = Names(model)
    record = Record(names.title)
    explain_into(record, exc, names)
    if not record and not record.notes:
        record.note(f"{type(exc).__name__} is none of the errors that stale graphs lead to")
    return record.diagnosis


@contextmanager
def explaining(model: Any = None) -> Iterator[Record]:
    """A block whose exceptions are explained: they pass on, with a note that names what was stale.

    Args:
        model: see `explain`.

    Example:
        >>> import torch
        >>> from isoparam.torch import doctor
        >>> raw = torch.nn.Parameter(torch.zeros(3))
        >>> try:
        ...     with doctor.explaining() as found:
        ...         x = torch.sigmoid(raw)
        ...         x.sum().backward()
        ...         x.sum().backward()
        ... except RuntimeError as error:
        ...     print(len(error.__notes__), len(found))
        1 1
    """
    record = Record()
    try:
        yield record
    except Exception as error:
        names = Names(_largest_module(_frames(error)) if model is None else model)
        explain_into(record, error, names)
        if record:
            error.add_note(str(record))
        raise


def explain_into(record: Record, exc: BaseException, names: Names) -> None:
    """Add what explains an exception to a record, and nothing that it holds already."""
    text = str(exc)
    known = {finding.kind for finding in record}
    frames = _frames(exc)
    if SECOND in text or CHANGED in text:
        if not known & {"carried-state"} and not any(kind.startswith("stale-") for kind in known):
            _spent(record, frames, names, text)
    elif any(part in text for part in NO_GRAD):
        if "severed-gradient" not in known:
            params = tuple(name for name, p in names.own.values() if p.requires_grad)
            where = cut_anywhere(names.model) or _deepest(frames)
            record.add(severed(names, params, where, raises=True))
    elif any(part in text for part in ON_LEAF):
        finding = inplace_on_leaf(frames, names)
        if finding is not None:
            record.add(finding)
    elif NON_LEAF in text:
        _non_leaf(record, frames, names)
    elif any(part in text for part in COPIES):
        examine(names, (), record)


def _frames(exc: BaseException) -> list[types.FrameType]:
    """The functions that an exception came through, the innermost first."""
    frames, trace = [], exc.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    return frames[::-1]


def _largest_module(frames: list[types.FrameType]) -> nn.Module | None:
    """The module with most parameters that some functions hold, themselves or in their objects."""
    found: list[nn.Module] = []
    for frame in frames:
        for value in [*frame.f_locals.values()]:
            parts = [value, *getattr(value, "__dict__", {}).values()] if not isinstance(value, types.ModuleType) else []
            found += [part for part in parts if isinstance(part, nn.Module)]
    return max(found, key=lambda module: sum(1 for _ in module.parameters()), default=None)


def _deepest(frames: list[types.FrameType]) -> tuple[str, int]:
    """The innermost line that is not torch's."""
    for frame in frames:
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] not in ("torch", "torch_impl", "isoparam"):
            return frame.f_code.co_filename, frame.f_lineno
    return "", 0


def _outputs(frames: list[types.FrameType]) -> list[Array]:
    """What backward was called on."""
    for frame in frames:
        given = frame.f_locals.get("t_outputs", frame.f_locals.get("outputs"))
        if given is not None and str(frame.f_globals.get("__name__", "")).startswith(("torch.", "torch_impl.")):
            return [given] if isinstance(given, Array) else list(given)
    return []


def is_spent(node: Any) -> bool:
    """Whether a node has freed what it kept for its backward, or keeps something that has changed since."""
    for name in dir(node):
        if name.startswith("_raw_saved_"):
            try:
                getattr(node, name.removeprefix("_raw"))
            except RuntimeError:
                return True
    if isinstance(node, torch.autograd.function.BackwardCFunction):
        try:
            node.saved_tensors  # noqa: B018  reading is the question  # type: ignore[attr-defined]
        except RuntimeError:
            return True
    return False


def _spent(record: Record, frames: list[types.FrameType], names: Names, text: str) -> None:
    """Name who keeps the nodes that cannot be differentiated again."""
    graph = Graph(_outputs(frames))
    spent = [node for node in graph.nodes if is_spent(node)]
    if not spent:
        record.note("no node of the graph is spent any more, so what was stale cannot be told")
        return
    outcome = f"raises: {text.splitlines()[0][:120].rstrip('. ')}"
    bad = set(spent)
    old, mixed = [], []
    for held in _held(frames, names):
        node = held.tensor.grad_fn
        if node is None or node not in graph:
            continue
        behind = Graph([held.tensor])
        reached = [inner for inner in behind.nodes if inner in bad]
        if reached:
            fresh = [inner for inner in behind.nodes if inner not in bad and _keeps(inner)]
            (mixed if fresh else old).append((held, behind))
    chosen = _first([entry for entry in old if entry[1].roots[0] not in graph.roots] or old or mixed)
    for held, behind in chosen:
        leaves = [edge for edge in behind.uses if edge.leaf.requires_grad]
        if names.own and leaves and not any(id(edge.leaf) in names.own for edge in leaves) and is_lost(leaves[0].leaf):
            record.add(unregistered_at(held, names))
            continue
        params = params_of(leaves, names)
        path = names_along(graph.way(behind.roots[0]))
        write = carried if is_carried(held, names) else stale
        record.add(write(held, names, params, outcome, path))
    if not chosen:
        leaves = [edge for node in spent for edge in Graph([_Output(node)]).uses]
        where = next((frame for frame in frames if frame.f_code.co_filename == _deepest(frames)[0]), None)
        for finding in unnamed(graph, leaves or [Edge(spent[0], torch.zeros(()))], names, where, outcome):
            record.add(finding)


class _Output:
    """A node in the place of the tensor that it made."""

    def __init__(self, node: Any) -> None:
        self.node = node


def _keeps(node: Any) -> bool:
    return any(name.startswith("_raw_saved_") for name in dir(node))


def _first(candidates: list[tuple[Held, Graph]]) -> list[tuple[Held, Graph]]:
    """Those kept by modules, classes and closures; else the oldest variable."""
    firm = [entry for entry in candidates if entry[0].how != "local"]
    if firm:
        return firm
    return sorted(candidates, key=lambda entry: number_of(entry[0].tensor.grad_fn))[:1]


def _held(frames: list[types.FrameType], names: Names) -> list[Held]:
    walk = Search(names.parts.ids)
    found = [*in_modules(names.parts, walk), *in_classes(names.parts, walk)]
    for frame in frames:
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] not in ("torch", "torch_impl", "isoparam"):
            found += in_frame(frame, walk)
    return [held for held in found if node_of(held.tensor) is not None]


def _non_leaf(record: Record, frames: list[types.FrameType], names: Names) -> None:
    """An optimizer was given something that is computed."""
    given = [
        value for frame in frames for value in frame.f_locals.values() if isinstance(value, Array) and value.grad_fn is not None
    ]
    nodes = {id(value.grad_fn) for value in given}
    helds = [held for held in _held(frames, names) if id(held.tensor.grad_fn) in nodes]
    leaves = Graph(given).uses
    held = helds[0].attr if helds else "params"
    found = names.attr(held) if helds and names.model is not None else held
    params = params_of(leaves, names)
    listed = ", ".join(params) or "a parameter"
    message = f"the optimizer is given {found}, which is computed from {listed}: only {listed} itself can be moved."
    fix = f"optimizer = torch.optim.Adam([{listed}])  # the parameters, and compute the value from them at each step"
    outcome = "raises when the optimizer is built: can't optimize a non-leaf Tensor"
    finding: Finding = plain("stale-optimizer", found, params, message, fix, outcome, _deepest(frames))
    record.add(finding)
