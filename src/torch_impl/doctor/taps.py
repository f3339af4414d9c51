"""Listening to every backward pass: `backward` and `grad` of torch all go through one function, which is wrapped for a time."""

from collections.abc import Callable
from typing import Any

import torch

_NAME = "_engine_run_backward"


class Tap:
    """What stands in front of the engine; taps may be put on each other, and taken off in any order.

    Args:
        listener: called before each pass with the outputs, retain_graph, create_graph, and whether all leaves get a gradient.
    """

    def __init__(self, listener: Callable[[Any, bool, bool, bool], None]) -> None:
        self._listener: Callable[[Any, bool, bool, bool], None] | None = listener
        self.inner: Any = None

    def __call__(self, outputs: Any, *args: Any, **options: Any) -> Any:
        """Tell the listener, and go on to the engine."""
        if self._listener is not None:
            # (grad_tensors, keep_graph, create_graph, inputs)
            keep, create = (bool(args[1]), bool(args[2])) if len(args) > 2 else (False, False)
            whole = bool(options.get("accumulate_grad")) and not (args[3] if len(args) > 3 else ())
            self._listener(outputs, keep, create, whole)
        return self.inner(outputs, *args, **options)

    def open(self) -> None:
        """Put it on."""
        self.inner = getattr(torch.autograd, _NAME)
        setattr(torch.autograd, _NAME, self)

    def close(self) -> None:
        """Take it off, wherever it stands by now."""
        self._listener = None
        current = getattr(torch.autograd, _NAME)
        if current is self:
            setattr(torch.autograd, _NAME, self.inner)
        while isinstance(current, Tap):
            if current.inner is self:
                current.inner = self.inner
            current = current.inner
