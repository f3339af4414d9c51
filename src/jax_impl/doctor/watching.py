"""`watching`: every jax.jit, jax.grad and jax.value_and_grad that a program calls, looked at while it runs."""

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import optax
from flax import nnx

from isoparam.diagnosis import Diagnosis, Finding
from isoparam.errors import SpecError
from jax_impl.doctor import patches as patching
from jax_impl.doctor.callers import called_by_user
from jax_impl.doctor.dropped import Updates
from jax_impl.doctor.explaining import explain
from jax_impl.doctor.gradients import Gradients
from jax_impl.doctor.patches import Compiled, Patches
from jax_impl.doctor.programs import Programs
from jax_impl.doctor.scanning import unique
from jax_impl.doctor.states import States, watch_updates


class Watch:
    """What a watched run has shown so far; true when something was found.

    Attributes:
        steps: how many calls of each compiled function are looked at.
        found: what was found so far.
        notes: what could not be looked into.
        depth: how many watched calls are running, one within the other.
        modules: those among the arguments of nnx.jit, while it runs.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.found: list[Finding] = []
        self.notes: list[str] = []
        self.updates = Updates()
        self.states = States()
        self.gradients = Gradients(self)
        self.programs = Programs(self)
        self.paused = False
        self.active = True
        self.modules: tuple[Any, ...] = ()
        self.depth = 0
        self._explained: set[int] = set()
        self._errors: list[BaseException] = []

    @property
    def diagnosis(self) -> Diagnosis:
        """All that was found."""
        lost = list(self.updates.findings(self.gradients.names()))
        seen = [finding for finding in self.gradients.findings() if not (lost and finding.kind == "dropped-update")]
        found = [*self.found, *seen, *lost, *self.states.found.values()]
        examined = f"{self.gradients.count} gradients and {self.programs.count} calls of compiled functions"
        return Diagnosis(tuple(unique(_told_once(found))), tuple(dict.fromkeys(self.notes)), examined)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Those of the diagnosis."""
        return self.diagnosis.findings

    def __bool__(self) -> bool:
        return bool(self.diagnosis)

    def __len__(self) -> int:
        return len(self.diagnosis)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.diagnosis)

    def __str__(self) -> str:
        return str(self.diagnosis)

    def saw(self, error: BaseException) -> None:
        """An exception was made, or goes through."""
        if self.active and not self.paused and id(error) not in self._explained:
            self._explained.add(id(error))
            self._errors.append(error)  # so that no other gets its identity
            with self.aside():
                self.found.extend(explain(error).findings)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Look at something without watching oneself, and without ever disturbing the program."""
        before, self.paused = self.paused, True
        try:
            yield
        except Exception as error:
            self.notes.append(f"{type(error).__name__} while looking: {str(error).strip().splitlines()[:1]}")
        finally:
            self.paused = before

    def call(self, compiled: Compiled, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A compiled function is called."""
        if not self.active or self.paused:
            return compiled.jitted(*args, **kwargs)
        self.depth += 1
        try:
            return self.programs.call(compiled, args, kwargs)
        except Exception as error:
            self.saw(error)
            raise
        finally:
            self.depth -= 1

    def call_of_nnx(self, compiled: Compiled, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What nnx.jit gave is called; it calls what jax.jit gave in turn."""
        before = self.modules
        self.modules = tuple(value for value in (*args, *kwargs.values()) if isinstance(value, nnx.Module))
        try:
            return compiled.jitted(*args, **kwargs)
        finally:
            self.modules = before

    def grad(self, function: Any, argnums: Any, made: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A gradient is taken."""
        if not self.active or self.paused:
            return made(*args, **kwargs)
        self.depth += 1
        try:
            result = made(*args, **kwargs)
        except Exception as error:
            self.saw(error)
            raise
        finally:
            self.depth -= 1
        with self.aside():
            self.gradients.record(function, argnums, args, kwargs)
        return result

    def grad_of_nnx(self, function: Any, argnums: Any, made: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """As `grad`; what nnx calls in turn is its own."""
        if not self.active or self.paused:
            return made(*args, **kwargs)
        with self._within():
            try:
                result = made(*args, **kwargs)
            except Exception as error:
                self.paused = False
                self.saw(error)
                raise
        with self.aside():
            self.gradients.record_nnx(function, argnums, args, kwargs)
        return result

    @contextmanager
    def _within(self) -> Iterator[None]:
        self.paused = True
        try:
            yield
        finally:
            self.paused = False


def _told_once(found: Sequence[Finding]) -> list[Finding]:
    """A parameter of which a cause is known needs no second finding that it does not move."""
    causes = {name for finding in found if finding.kind != "zero-gradient-leaf" for name in finding.params}
    return [finding for finding in found if finding.kind != "zero-gradient-leaf" or not set(finding.params) & causes]


_ACTIVE: list[Watch] = []


@contextmanager
def watching(steps: int = 50) -> Iterator[Watch]:
    """Watch a program train: what it compiles and what it differentiates is looked at, with the arrays that it really uses.

    For the length of the `with`, `jax.jit`, `jax.grad`, `jax.value_and_grad`, those of nnx, `optax.apply_updates` and
    `jax.tree.map` are replaced by watched ones, also where a module of yours imported them by name; functions that your
    modules compiled before are watched as well. Everything is put back at the end. Each loss is traced once more than the
    program does, after the program's own first call.

    Found is, beside what `scan` finds: compiled functions that go on with parameters that were replaced, updates whose
    result is thrown away, traced values that are kept and used later. A leaf is dead only if no gradient of the run moves
    it, nothing else changes it, no update passes it over and no optimizer in sight freezes it.

    Args:
        steps: how many calls of each compiled function are looked at.

    Yields:
        The watch: `found.findings`, `found.diagnosis`; complete after the `with`.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from isoparam.jax import doctor
        >>> params = {"w": jnp.zeros(3)}
        >>> with doctor.watching() as found:
        ...     predict = jax.jit(lambda x: params["w"] * x)
        ...     before = predict(jnp.ones(3))
        ...     params["w"] = params["w"] + 1.0
        ...     after = predict(jnp.ones(3))
        >>> [(finding.rule, finding.kind) for finding in found]
        [('SG501', 'jit-captured-param')]
    """
    if _ACTIVE:
        raise SpecError("doctor.watching: one watch is running already; use that one")
    watch = Watch(steps)
    done = Patches()
    _ACTIVE.append(watch)
    try:
        _patch(done, watch)
        yield watch
    except Exception as error:
        watch.saw(error)
        raise
    finally:
        done.undo()
        watch.active = False
        _ACTIVE.clear()


def _patch(done: Patches, watch: Watch) -> None:
    def wrap(jitted: Any, function: Any = None) -> Any:
        inner = getattr(jitted, "__wrapped__", jitted) if function is None else function
        return Compiled(jitted, inner, watch.call)

    new = {"jit": patching.watched_jit(jax.jit, wrap)}
    new |= {name: patching.watched_grad(patching.ORIGINALS[name], watch.grad) for name in ("grad", "value_and_grad")}
    for name, function in new.items():
        done.everywhere(patching.ORIGINALS[name], function)
        done.replace(jax, name, function)
    of_nnx = patching.watched_jit(nnx.jit, lambda jitted, function: Compiled(jitted, function, watch.call_of_nnx))
    done.everywhere(nnx.jit, of_nnx)
    done.replace(nnx, "jit", of_nnx)
    for name, original in patching.OF_NNX.items():
        function = patching.watched_grad(original, watch.grad_of_nnx)
        done.everywhere(original, function)
        done.replace(nnx, name, function)
    _patch_updates(done, watch)
    watch_updates(done, watch)
    patching.compiled_already(done, wrap)
    for kind in patching.LEAKS:
        patching.watched_error(kind, done, watch.saw)


def _patch_updates(done: Patches, watch: Watch) -> None:
    """What makes new parameters of old ones, where the program calls it itself."""
    for owner, name, shown in (
        (optax, "apply_updates", "optax.apply_updates"),
        (jax.tree, "map", "jax.tree.map"),
        (jax.tree_util, "tree_map", "jax.tree_util.tree_map"),
    ):
        original = getattr(owner, name)
        function = _watched_update(original, shown, name != "apply_updates", watch)
        done.everywhere(original, function)
        done.replace(owner, name, function)


def _watched_update(original: Any, shown: str, any_tree: bool, watch: Watch) -> Any:
    @functools.wraps(original)
    def update(*args: Any, **options: Any) -> Any:
        made = original(*args, **options)
        if watch.active and not watch.paused and called_by_user():
            tree = args[1] if any_tree and len(args) > 2 else args[0] if args and not any_tree else None
            if tree is not None and (not any_tree or watch.gradients.knows(tree)):
                with watch.aside():
                    watch.updates.record(shown, tree, made)
        return made

    return update
