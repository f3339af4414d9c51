"""watch: looks at every backward pass of a training loop while it runs."""

import types
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import torch
from torch import Tensor as Array
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from isoparam.arguments import whole
from torch_impl.doctor.ages import Ages, unmoved
from torch_impl.doctor.explain import explain_into
from torch_impl.doctor.graph import Graph
from torch_impl.doctor.growth import Growth
from torch_impl.doctor.keeping import caller
from torch_impl.doctor.look import Looker, outputs_of
from torch_impl.doctor.names import Names
from torch_impl.doctor.nobody import nobodys
from torch_impl.doctor.owners import optimizers_of
from torch_impl.doctor.record import Record
from torch_impl.doctor.scan import Optimizers, examine
from torch_impl.doctor.severed import Severed, cut_anywhere, severed
from torch_impl.doctor.taps import Tap

THOROUGH = 10  # steps of which every backward is looked at; afterwards those of every `SPARSE`th step
SPARSE = 16
REFRESHED = 4  # looks after which the modules of the model are listed anew


class Watch(Record):
    """What `watch` gives: a diagnosis that grows while the block runs, and a callback."""

    def __init__(self, model: Any, optimizer: Any, *, steps: int | None = None) -> None:
        self._names = Names(model)
        super().__init__(self._names.title)
        self._left = None if steps is None else whole("steps", steps, least=1)
        self._optimizers = list(optimizers_of(optimizer))
        self._counts: dict[int, int] = {}
        self._handles: list[Any] = []
        self._tap: Tap | None = None
        self._inside = False
        self._looks = 0
        self._graded: dict[int, set[int]] = {}

    def __enter__(self) -> "Watch":
        for optimizer in self._optimizers:
            self._names.learn(optimizer)
        self._ages = Ages()
        self._looker = Looker(self._names, self._ages, self)
        self._growth = Growth(self._names, self._ages)
        self._severed = Severed(self._names, follow=not _is_compiled(self._names.model))
        self._first_own = {key: entry for key, entry in self._names.own.items() if entry[1].requires_grad}
        examine(self._names, self._optimizers, self, stale_too=False)  # what is stale shows when it is used
        self._tap = Tap(self._backward)
        self._tap.open()
        self._handles = [
            register_optimizer_step_pre_hook(self._before_step),
            register_optimizer_step_post_hook(self._after_step),
        ]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close()
        if error is not None and isinstance(error, Exception):
            explain_into(self, error, self._names)
            if self:
                lines = [f"{finding.place}: {finding.rule} {finding.kind}: {finding.attr}" for finding in self]
                error.add_note("isoparam doctor found:\n  " + "\n  ".join(lines))

    def __call__(self, row: Any) -> bool:
        """As a callback of `isoparam.train`: whether something was found."""
        return bool(self)

    def _close(self) -> None:
        if self._tap is None:
            return
        self._tap.close()
        self._tap = None
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._guarded(self._conclude)

    def _conclude(self) -> None:
        for finding in self._severed.findings():
            self.add(finding)
        for finding in nobodys(self._names, self._first_own, self._optimizers, self._severed, self._counts):
            self.add(finding)

    def _guarded(self, look: Any, *given: Any) -> None:
        """Look, and let no fault of the doctor reach the program that is watched."""
        if self._inside:
            return
        self._inside = True
        try:
            look(*given)
        except Exception as error:
            self.note(f"the doctor could not look here: {type(error).__name__}: {error}")
        finally:
            self._inside = False

    def _is_due(self, before: int = 0) -> bool:
        """Whether this step is looked at; with `before` = 1 also that before such a step, whose updates have to be known."""
        done = max(self._counts.values(), default=0)
        return done < THOROUGH or (done + before) % SPARSE <= before

    def _backward(self, outputs: Any, retain: bool, create: bool, whole: bool) -> None:
        if self._is_due():
            self._guarded(self._look, outputs_of(outputs), retain and not create, create, whole, caller())

    def _look(self, outputs: list[Any], retain: bool, create: bool, whole: bool, frame: types.FrameType | None) -> None:
        graph = Graph(outputs)
        self._looks += 1
        if self._looks % REFRESHED == 0:
            self._names.refresh()
        if create and any(isinstance(output, Array) and output.is_cuda for output in outputs):
            self._ages.numbers_hold = False  # nodes of a second order are numbered by the thread of the device
        self._ages.check_threads()
        if not graph.roots:
            if not any(isinstance(output, Array) and output.requires_grad for output in outputs):
                self._no_graph()
            return
        helds = self._looker.look(graph, retain, frame)
        if any(type(node).__name__ == "CompiledFunctionBackward" for node in graph.nodes):
            self._severed.may_follow = False  # it would be compiled again for what is followed
        self._severed.backward(outputs, graph, whole)
        for finding in self._growth.look(helds, graph):
            self.add(finding)

    def _no_graph(self) -> None:
        params = tuple(name for name, p in self._names.own.values() if p.requires_grad)
        where = cut_anywhere(self._names.model) or ("", 0)
        self.add(severed(self._names, params, where, raises=True))

    def _before_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        self._guarded(self._prepare, optimizer)

    def _prepare(self, optimizer: torch.optim.Optimizer) -> None:
        if not any(optimizer is known for known in self._optimizers):
            self._optimizers.append(optimizer)
            self._names.learn(optimizer)
        if not self._is_due(before=1):
            return
        leaves = _leaves(optimizer)
        self._graded[id(optimizer)] = {id(leaf) for leaf in leaves if leaf.grad is not None}
        self._ages.before_step(leaves)
        self._severed.before_step()

    def _after_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        self._guarded(self._moved, optimizer)
        if self._left is not None and max(self._counts.values(), default=0) >= self._left:
            self._close()

    def _moved(self, optimizer: torch.optim.Optimizer) -> None:
        graded = self._graded.pop(id(optimizer), None)
        if graded is not None:
            leaves = _leaves(optimizer)
            graded |= {id(leaf) for leaf in leaves if leaf.grad is not None}  # those of a closure come within the step
            self._severed.after_step(leaves, graded)
            self._ages.after_step(leaves, graded - unmoved(optimizer))
        self._counts[id(optimizer)] = self._counts.get(id(optimizer), 0) + 1


def watch(model: Any = None, optimizer: Optimizers = None, *others: torch.optim.Optimizer, steps: int | None = None) -> Watch:
    """Look at a training loop while it runs, in a `with` block around it.

    Before each backward pass the graph of the loss is walked: a node that uses a parameter and was made before that parameter
    moved last holds an old value, whatever keeps it: an attribute, a container, a closure, a cache, a variable of the loop. It
    is found before anything raises, and where nothing ever does. Looked for are also states that are carried on with their
    graph, graphs that grow, parameters whose way to the loss is cut, and optimizers that move something else.

    Inside of the block and after it the object reads as a `Diagnosis`: true when something was found, with `findings` and
    `notes`; `diagnosis` is a copy that stays as it is. An exception passes on unchanged, with a note that names what was
    stale. The object may also be given to `isoparam.train` as a callback, which then ends the run at the first finding.

    Args:
        model: the module that is trained, an object that holds modules or trainable tensors, or None.
        optimizer: what moves its parameters: one or several. The steps of any other one are seen too.
        others: further optimizers.
        steps: stop after so many steps of one optimizer: hooks and wrapped functions are gone, and the rest of the loop runs
            at full speed. None: look until the end of the block, at every one of the first 10 steps and at every 16th later.

    Limits: what a compiled module does inside cannot be seen. Parameters that are moved without an optimizer of torch are
    compared by 64 of their entries. Graphs made in other threads are found from the second time on that they are used.

    Example:
        >>> import torch
        >>> from isoparam.torch import doctor
        >>> model = torch.nn.Linear(1, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> with doctor.watch(model, optimizer) as found:
        ...     for step in range(2):
        ...         model.x = model.weight + 1 if step == 0 else model.x
        ...         (model.x + model.bias).sum().backward()
        ...         optimizer.step()
        >>> [(finding.kind, finding.attr, finding.outcome[:17]) for finding in found]
        [('stale-attribute', 'Linear.x', 'frozen in silence')]
    """
    return Watch(model, [optimizer, *others], steps=steps)


def _leaves(optimizer: torch.optim.Optimizer) -> list[Array]:
    return [leaf for group in optimizer.param_groups for leaf in group["params"]]


def _is_compiled(model: Any) -> bool:
    return any(
        type(module).__name__ == "OptimizedModule" or module._compiled_call_impl is not None for module in _modules(model)
    )


def _modules(model: Any) -> Sequence[nn.Module]:
    return list(model.modules()) if isinstance(model, nn.Module) else []
