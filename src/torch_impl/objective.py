"""as_loss: an unmodified nn.Module as a loss of named parameters, with everything else that it holds as variables."""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor as Array
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from isoparam.errors import SpecError
from isoparam.names import hint
from isoparam.objective import ModuleLoss, check_loss_fn
from torch_impl.attach import _kept_outside


def as_loss(
    module: Any, loss_fn: Callable[[Any, dict[str, Any]], Any], variables: Any = None
) -> tuple[dict[str, Array], ModuleLoss]:
    """The parameters of a module by name, and its loss as a function of them, for `isoparam.Problem`.

    The module is copied; the one that was given is not touched, neither now nor while training.

    Args:
        module: any nn.Module, in the mode (train or eval) in which its loss is meant.
        loss_fn: `loss_fn(model, batch)`, which calls the model on arrays of the batch and returns a scalar.
        variables: for linen only; None here.

    Returns:
        values: {dotted name: tensor} of the parameters that require grad, one entry for a shared one. Those of
            `Constrained` and of `attach` are their raw leaves, `weight_raw`, which need no constraint any more.
        loss: a `ModuleLoss`. Buffers (batch statistics) and frozen parameters are its `variables`, which `train` carries
            from step to step; random numbers (dropout) depend on the seed of the run and the step only, and the global
            generators are as before. `loss.module(run.values, run.variables)` is the trained module.

    Raises:
        SpecError: for no nn.Module, no trainable parameter, a lazy module that has seen no batch, one that is scripted,
            cannot be copied or keeps a trained parameter in a list too, for a loss_fn that calls `module` itself in
            place of its argument, and for `variables`. When called: for a module that makes or removes a buffer.

    Limits: what a module keeps outside of its parameters and buffers is not carried: attributes that a call sets, such as
    a counter, are as before at the next one; lists and a `torch.Generator` of its own, which calls change in place, are
    not. A hook that refers to the module from outside reaches the one that was given. A problem of one module trains on
    one thread at a time.

    Example:
        >>> import isoparam as iso, torch
        >>> from isoparam.torch import as_loss
        >>> layer = torch.nn.Linear(2, 1, bias=False)
        >>> values, loss = as_loss(layer, lambda model, batch: (model(batch["x"]) - 1.0).square().mean())
        >>> constraints = {"weight": iso.Positive()}
        >>> problem = iso.Problem(
        ...     name="line", constraints=constraints, init={"weight": values["weight"].abs() + 0.1}, loss=loss,
        ...     data={"x": torch.eye(2).numpy()})
        >>> run = iso.train(problem, backend="torch", optimizer=iso.Adam(lr=0.1), steps=300)
        >>> loss.module(run.values).weight.detach().round(decimals=3)
        tensor([[1., 1.]])
    """
    if variables is not None:
        raise SpecError("as_loss: variables= is for linen modules; an nn.Module holds its own, so leave it out")
    if not isinstance(module, nn.Module):
        raise SpecError(f"as_loss: expected an nn.Module, got {type(module).__name__}")
    check_loss_fn(loss_fn, module)
    if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        raise SpecError(f"as_loss: {type(module).__name__} is scripted; give the module as it was before torch.jit.script")
    named = dict(chain(module.named_parameters(), module.named_buffers()))
    lazy = [name for name, array in named.items() if isinstance(array, UninitializedParameter | UninitializedBuffer)]
    if lazy:
        raise SpecError(f"as_loss: {lazy[0]!r} is lazy and has no shape yet; call the module once on a batch first")
    for place in _kept_outside(module, [leaf for leaf in module.parameters() if leaf.requires_grad]):
        raise SpecError(
            f"as_loss: {place} holds a trained parameter too and would keep the numbers of the start; let the module read "
            f"its own attribute instead"
        )
    loss = _Loss(_copied(module), loss_fn)
    if not loss.start:
        raise SpecError(f"as_loss: {type(module).__name__} has no parameter that requires grad, so that nothing is trained")
    return {name: array.detach().clone() for name, array in loss.start.items()}, loss


class _Loss(ModuleLoss):
    """The loss of a private copy of a module, into which arrays are put for the time of one call."""

    backend = "torch"

    def __init__(self, module: nn.Module, loss_fn: Callable[[Any, dict[str, Any]], Any]) -> None:
        self._module = module
        self._loss_fn = loss_fn
        self.start = {name: leaf for name, leaf in module.named_parameters() if leaf.requires_grad}
        self._buffers = dict(module.named_buffers())
        self.variables = self._buffers | {n: leaf.detach() for n, leaf in module.named_parameters() if not leaf.requires_grad}
        self._places = _places(module)
        self._first: list[tuple[dict[str, Any], dict[str, Any]]] = []
        for part in module.modules():
            holders: tuple[dict[str, Any], ...] = (vars(part), part._parameters, part._buffers, part._modules)
            self._first += [(holder, dict(holder)) for holder in holders]
        self._filled = [(path, part._buffers, _filled(part._buffers)) for path, part in module.named_modules()]

    def advance(
        self, values: Mapping[str, Any], variables: Mapping[str, Any], batch: Mapping[str, Any], seed: int, step: Any
    ) -> tuple[Any, dict[str, Any]]:
        _check_names("values", values, self.start)
        _check_names("variables", variables, self.variables)
        first = next(iter(values.values()))
        # What a module writes to in place must be a copy, of the dtype of the values.
        held = {name: _fresh(array, first.dtype, copied=name in self._buffers) for name, array in variables.items()}
        self._restore()
        self._put({**held, **values})
        with _seeded(seed, int(step), first.device):
            loss = self._loss_fn(self._module, dict(batch))
        after = {name: array.detach() for name, array in self._buffers_now().items()}
        # The arrays stay until the next call, for backward may call parts of the module again (torch.utils.checkpoint);
        # buffers as copies, since that second call writes to them.
        self._put({name: array.clone() for name, array in after.items()})
        return loss, {name: after.get(name, array).detach().to(array.dtype) for name, array in variables.items()}

    def module(self, values: Mapping[str, Any], variables: Mapping[str, Any] | None = None) -> Any:
        _check_names("values", values, self.start)
        self._restore()
        result = copy.deepcopy(self._module)
        targets = dict(chain(result.named_parameters(), result.named_buffers()))
        unknown = sorted(set(variables or {}) - set(self.variables))
        if unknown:
            raise SpecError(f"variables has {unknown[0]!r}, which the module has not; {hint(unknown[0], list(self.variables))}")
        with torch.no_grad():
            for name, array in {**values, **(variables or {})}.items():
                numbers = torch.as_tensor(array)
                if numbers.shape != targets[name].shape:
                    raise SpecError(
                        f"{name!r} has shape {tuple(numbers.shape)}, and the module needs {tuple(targets[name].shape)}"
                    )
                targets[name].copy_(numbers)
        return result

    def _restore(self) -> None:
        """Undo all that calls did to the module: arrays put into it, attributes set by its code, train or eval mode."""
        for holder, entries in self._first:
            holder.update(entries)
            if len(holder) > len(entries):
                for key in holder.keys() - entries.keys():
                    del holder[key]

    def _put(self, arrays: Mapping[str, Array]) -> None:
        """These arrays in the place of the module's own."""
        for name, array in arrays.items():
            for holder, key in self._places[name]:
                holder[key] = array

    def _buffers_now(self) -> dict[str, Any]:
        """The buffers after a call; the module may have put new tensors into their places."""
        for path, buffers, before in self._filled:
            for key in _filled(buffers) ^ before if buffers else before:
                raise SpecError(
                    f"the module {'removed' if key in before else 'made'} the buffer {f'{path}.{key}'.lstrip('.')!r} when it "
                    f"was called, which training cannot carry; register it in __init__, or call the module once on a batch "
                    f"before as_loss"
                )
        found = {name: [holder[key] for holder, key in self._places[name]] for name in self._buffers}
        for name, arrays in found.items():
            if any(array is not arrays[0] for array in arrays):
                raise SpecError(f"the module replaced the buffer {name!r} in one of the places that share it; write in place")
        return {name: arrays[0] for name, arrays in found.items()}

    def __getstate__(self) -> dict[str, Any]:
        self._restore()
        return {"module": self._module, "loss_fn": self._loss_fn}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["module"], state["loss_fn"])


def _copied(module: nn.Module) -> nn.Module:
    """A copy of a module, which shares nothing with it."""
    try:
        return copy.deepcopy(module)
    except Exception as error:
        raise SpecError(
            f"as_loss: {type(module).__name__} cannot be copied: {error}. Keep no computed tensor and no open file in an "
            f"attribute of the module; compute in forward, or make it a Constrained"
        ) from error


def _fresh(array: Array, dtype: torch.dtype, copied: bool) -> Array:
    """A variable for the time of one call."""
    own = array.clone() if copied else array  # under torch.func, `to` would hand out an alias that is another object
    return own.to(dtype) if own.is_floating_point() else own


def _places(module: nn.Module) -> dict[str, list[tuple[dict[str, Any], str]]]:
    """Where each array stands: several places for one that is shared."""
    names = {id(array): name for name, array in chain(module.named_parameters(), module.named_buffers())}
    found: dict[str, list[tuple[dict[str, Any], str]]] = {name: [] for name in names.values()}
    for part in module.modules():
        for holder in (part._parameters, part._buffers):
            for key, array in holder.items():
                if array is not None:
                    found[names[id(array)]].append((holder, key))
    return found


def _filled(buffers: Mapping[str, Any]) -> set[str]:
    """The names under which there is an array."""
    return {key for key, array in buffers.items() if array is not None}


def _check_names(what: str, given: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise SpecError unless exactly these names are given."""
    if not isinstance(given, Mapping):
        raise SpecError(
            f"{what} must be a dict by name, got {type(given).__name__}; write loss.module(run.values, run.variables)"
        )
    if given.keys() != wanted.keys():
        wrong = sorted(set(given) ^ set(wanted))[0]
        verb = "lacks" if wrong in wanted else "has"
        raise SpecError(f"{what} {verb} {wrong!r}; the module's are: {', '.join(map(repr, wanted)) or 'none'}")


@contextmanager
def _seeded(seed: int, step: int, device: torch.device) -> Iterator[None]:
    """Random numbers of this seed and step for the time of a block; the generators are as before after it."""
    generators = [torch.default_generator]
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        generators.append(torch.cuda.default_generators[index])
    before = [generator.get_state() for generator in generators]
    try:
        for generator in generators:
            generator.manual_seed(_mixed(seed, step))
        yield
    finally:
        for generator, state in zip(generators, before, strict=True):
            generator.set_state(state)


def _mixed(seed: int, step: int) -> int:
    """A seed of 64 bits for each seed and step: splitmix64, so that neighbours share nothing."""
    mask = (1 << 64) - 1
    mixed = seed & mask
    for part in (step, 0):
        mixed = (mixed + (part + 1) * 0x9E3779B97F4A7C15) & mask
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & mask
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & mask
        mixed ^= mixed >> 31
    return mixed
