"""L-BFGS as a function of one vector, in the order of operations of torch.optim.LBFGS, with its strong-Wolfe line search."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from isoparam.optimizers import LBFGS

State = dict[str, Any]
Objective = Callable[[Array], tuple[Array, Array]]

LEAST_CURVATURE = 1e-10  # y . s of a pair that is kept
DECREASE, CURVATURE = 1e-4, 0.9  # c1 and c2 of the strong Wolfe conditions
SHORTEST = 1e-9  # a bracket that moves no parameter by more than this is not searched any further


class Point(NamedTuple):
    """A point on the line of a search: x + t d.

    # twin: numbers of a search are Python floats in torch, whose comparisons decide eagerly, and 0-d arrays in JAX.

    Attributes:
        t: step length.
        f: loss.
        g: gradient.
        gtd: slope of the loss along d.
    """

    t: Any
    f: Any
    g: Array
    gtd: Any


def init_state(spec: LBFGS, params: Array) -> State:
    """The state before the first step, by torch's names.

    Args:
        spec: the optimizer.
        params: a vector of n parameters.

    Returns:
        "step" (0); "d" and "prev_flat_grad" of shape (n); "old_dirs" (changes of the gradient) and "old_stps" (steps) of
        shape (history_size, n) and "ro" (history_size), where pair number i stands in row i modulo history_size; the
        numbers "t", "H_diag" and "prev_loss"; and the counts "n_iter", "func_evals" and "stored" (pairs ever kept).
    """
    pairs, size, dtype = spec.history_size, params.size, params.dtype
    whole = {name: jnp.zeros((), jnp.int32) for name in ("step", "n_iter", "func_evals", "stored")}
    return whole | {
        "d": jnp.zeros(size, dtype),
        "t": jnp.zeros((), dtype),
        "old_dirs": jnp.zeros((pairs, size), dtype),
        "old_stps": jnp.zeros((pairs, size), dtype),
        "ro": jnp.zeros(pairs, dtype),
        "H_diag": jnp.ones((), dtype),
        "prev_flat_grad": jnp.zeros(size, dtype),
        "prev_loss": jnp.zeros((), dtype),
    }


def step(spec: LBFGS, params: Array, loss: Array, grads: Array, state: State, objective: Objective) -> tuple[Array, State]:
    """One step: up to `max_iter` moves along directions of quasi-Newton.

    Non-finite numbers are treated as torch does: a search halves its bracket before an infinite loss, and runs into a nan
    until its evaluations are used up; the caller sees it in the loss of the next step.

    # twin: torch updates params and state in place, JAX returns new ones; same operations in the same order.

    Args:
        spec: the optimizer.
        params: the parameters, a vector.
        loss: the loss there, a scalar.
        grads: the gradient there, a vector.
        state: from `init_state` or the step before.
        objective: (loss, gradient) at any vector.

    Returns:
        params and state after the step.
    """
    once = jax.jit(objective)  # traced once for its several places
    state = state | {"step": state["step"] + 1, "func_evals": state["func_evals"] + 1}
    start = _Progress(params, loss.astype(params.dtype), grads, state, jnp.int32(1), jnp.int32(0), _optimal(spec, grads))
    after = lax.while_loop(lambda at: ~at.ended, lambda at: _move(spec, once, at), start)
    return after.params, after.state


class _Progress(NamedTuple):
    """A step on its way: where it stands, evaluations used, moves done, and whether it has ended."""

    params: Array
    f: Array
    grads: Array
    state: State
    used: Array
    moves: Array
    ended: Array


def _move(spec: LBFGS, objective: Objective, at: _Progress) -> _Progress:
    """A new direction, and one move along it unless it leads nowhere."""
    state = at.state | {"n_iter": at.state["n_iter"] + 1}
    state = _direction(spec, at.grads, state)
    state |= {"t": _first_guess(spec, at.grads, state), "prev_flat_grad": at.grads, "prev_loss": at.f}
    gtd = jnp.dot(at.grads, state["d"])
    here = at._replace(state=state, moves=at.moves + 1, ended=jnp.bool_(True))
    return lax.cond(gtd > -spec.tolerance_change, lambda: here, lambda: _along(spec, objective, gtd, here))


def _along(spec: LBFGS, objective: Objective, gtd: Array, at: _Progress) -> _Progress:
    """One move along the direction, and whether the step ends with it."""
    start = Point(at.state["t"], at.f, at.grads, gtd)
    d, last = at.state["d"], at.moves == spec.max_iter
    if spec.line_search_fn is None:
        new, searched = _plain(at.params, d, start, objective, last=last)
    else:
        new, searched = _strong_wolfe(at.params, d, start, objective, spec.evaluations - at.used)
    used = at.used + searched
    state = at.state | {"t": new.t, "func_evals": at.state["func_evals"] + searched}
    spent = last | (used >= spec.evaluations)
    still = (jnp.max(jnp.abs(d * new.t)) <= spec.tolerance_change) | (jnp.abs(new.f - at.f) < spec.tolerance_change)
    ended = spent | _optimal(spec, new.g) | still
    return _Progress(at.params + new.t * d, new.f, new.g, state, used, at.moves, ended)


def _optimal(spec: LBFGS, grads: Array) -> Array:
    return jnp.max(jnp.abs(grads)) <= spec.tolerance_grad


def _direction(spec: LBFGS, grads: Array, state: State) -> State:
    """The state with d = -H g by the two loops of L-BFGS, after the last move has been kept as a pair.

    Before the first move d and t are 0, no pair is kept, and the direction is -g.
    """
    y = grads - state["prev_flat_grad"]
    s = state["d"] * state["t"]
    ys = jnp.dot(y, s)
    state = lax.cond(ys > LEAST_CURVATURE, lambda: _kept(spec, y, s, ys, state), lambda: state)
    old_dirs, old_stps, ro, stored = (state[name] for name in ("old_dirs", "old_stps", "ro", "stored"))
    first = jnp.maximum(0, stored - spec.history_size)

    def back(k: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        q, al = carry
        i = (stored - 1 - k) % spec.history_size
        al = al.at[i].set(jnp.dot(old_stps[i], q) * ro[i])
        return q - al[i] * old_dirs[i], al

    def forth(k: Array, d: Array) -> Array:
        i = (first + k) % spec.history_size
        be = jnp.dot(old_dirs[i], d) * ro[i]
        return d + (al[i] - be) * old_stps[i]

    q, al = lax.fori_loop(0, stored - first, back, (-grads, jnp.zeros_like(ro)))
    return state | {"d": lax.fori_loop(0, stored - first, forth, q * state["H_diag"])}


def _kept(spec: LBFGS, y: Array, s: Array, ys: Array, state: State) -> State:
    """The state with one more pair."""
    row = state["stored"] % spec.history_size
    pairs = {"old_dirs": y, "old_stps": s, "ro": 1.0 / ys}
    rows = {name: state[name].at[row].set(entry) for name, entry in pairs.items()}
    return state | rows | {"H_diag": ys / jnp.dot(y, y), "stored": state["stored"] + 1}


def _first_guess(spec: LBFGS, grads: Array, state: State) -> Array:
    """The step length to begin with; the very first move is of length 1 in the 1-norm at most."""
    shrink = 1.0 / jnp.sum(jnp.abs(grads))
    return jnp.where((state["n_iter"] == 1) & (shrink < 1.0), shrink, 1.0) * spec.lr


def _plain(params: Array, d: Array, start: Point, objective: Objective, *, last: Array) -> tuple[Point, Array]:
    """The point at t = lr, and the evaluations used; the last one of a step is not evaluated."""

    def new() -> tuple[Point, Array]:
        loss, grads = objective(params + start.t * d)
        return start._replace(f=loss.astype(params.dtype), g=grads), jnp.int32(1)

    return lax.cond(last, lambda: (start, jnp.int32(0)), new)


def _strong_wolfe(params: Array, d: Array, start: Point, objective: Objective, most: Array) -> tuple[Point, Array]:
    """A point that fulfils the strong Wolfe conditions, or the lowest end of the bracket, and the evaluations used.

    Args:
        params: where the line begins.
        d: its direction.
        start: loss, gradient and slope there; its t is the first to try.
        objective: (loss, gradient) at any vector.
        most: trials after the first.
    """

    def at(t: Array) -> Point:
        loss, grads = objective(params + t * d)
        return Point(t, loss.astype(params.dtype), grads, jnp.dot(grads, d))

    origin = start._replace(t=jnp.zeros_like(start.t))
    (left, right), done, count = _bracket(at, origin, start.t, most)
    d_norm = jnp.max(jnp.abs(d))
    unfinished = _Zoom(left, right, ~(left.f <= right.f), jnp.bool_(False), done, count)

    def searching(zoom: _Zoom) -> Array:
        return ~zoom.done & (zoom.trials < most) & ~(jnp.abs(zoom.right.t - zoom.left.t) * d_norm < SHORTEST)

    def narrower(zoom: _Zoom) -> _Zoom:
        t, stalled = _trial(zoom.left, zoom.right, zoom.stalled)
        return _narrowed(zoom._replace(stalled=stalled, trials=zoom.trials + 1), origin, at(t))

    zoom = lax.while_loop(searching, narrower, unfinished)
    return _either(zoom.right_low, zoom.right, zoom.left), zoom.trials + 1


class _Zoom(NamedTuple):
    """A bracket on its way: its ends, which of them is lower, and how the search stands."""

    left: Point
    right: Point
    right_low: Array
    stalled: Array
    done: Array
    trials: Array


def _narrowed(zoom: _Zoom, origin: Point, new: Point) -> _Zoom:
    """The bracket with a new point as one of its ends."""
    low, high = _either(zoom.right_low, zoom.right, zoom.left), _either(zoom.right_low, zoom.left, zoom.right)
    worse = (new.f > origin.f + DECREASE * new.t * origin.gtd) | (new.f >= low.f)
    done = ~worse & (jnp.abs(new.gtd) <= -CURVATURE * origin.gtd)
    turned = ~worse & ~done & (new.gtd * (high.t - low.t) >= 0)
    high = _either(worse, new, _either(turned, low, high))
    low = _either(worse, low, new)
    left, right = _either(zoom.right_low, high, low), _either(zoom.right_low, low, high)
    return zoom._replace(left=left, right=right, right_low=jnp.where(worse, ~(left.f <= right.f), zoom.right_low), done=done)


def _bracket(at: Callable[[Any], Point], origin: Point, t: Any, most: Array) -> tuple[tuple[Point, Point], Any, Any]:
    """Two points with a good one between them, whether the second is one already, and the trials after the first."""

    def found(previous: Point, new: Point, count: Array) -> tuple[Array, Array]:
        """Whether the points are a bracket, and whether the second is good; not both."""
        over = (new.f > origin.f + DECREASE * new.t * origin.gtd) | ((count > 1) & (new.f >= previous.f))
        good = ~over & (jnp.abs(new.gtd) <= -CURVATURE * origin.gtd)
        return over | (~good & (new.gtd >= 0)), good

    def searching(carry: tuple[Point, Point, Array]) -> Array:
        bracketed, good = found(*carry)
        return (carry[2] < 0) | ((carry[2] < most) & ~bracketed & ~good)

    def further(carry: tuple[Point, Point, Array]) -> tuple[Point, Point, Array]:
        previous, new, count = carry
        beyond = _cubic(previous, new, new.t + 0.01 * (new.t - previous.t), new.t * 10)
        return new, at(jnp.where(count < 0, t, beyond)), count + 1

    # The first trial is made within the loop too: the loss is compiled once for all of them.
    previous, new, count = lax.while_loop(searching, further, (origin, origin, jnp.int32(-1)))
    _, good = found(previous, new, count)
    in_time = count < most
    left = _either(in_time, _either(good, new, previous), origin)
    return (left, new), in_time & good, count


def _trial(left: Point, right: Point, stalled: Any) -> tuple[Any, Any]:
    """The next t within a bracket, and whether it came close to an end of it, which it may only once in a row."""
    small, large = jnp.minimum(left.t, right.t), jnp.maximum(left.t, right.t)
    t = _cubic(left, right, small, large)
    eps = 0.1 * (large - small)
    close = jnp.minimum(large - t, t - small) < eps
    moved = close & (stalled | (t >= large) | (t <= small))
    inside = jnp.where(jnp.abs(t - large) < jnp.abs(t - small), large - eps, small + eps)
    return jnp.where(moved, inside, t), close & ~moved


def _cubic(left: Point, right: Point, least: Any, most: Any) -> Any:
    """The minimum of the cubic through two losses and slopes, kept within bounds; their middle where there is none."""
    x1, f1, g1 = left.t, left.f, left.gtd
    x2, f2, g2 = right.t, right.f, right.gtd
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1 * d1 - g1 * g2
    d2 = jnp.sqrt(jnp.maximum(square, 0))
    t = jnp.where(
        x1 <= x2,
        x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2)),
        x1 - (x1 - x2) * ((g1 + d2 - d1) / (g1 - g2 + 2 * d2)),
    )
    t = jnp.minimum(jnp.maximum(t, least), most)
    return jnp.where(square >= 0, t, (least + most) / 2.0)


def _either(first: Array, a: Point, b: Point) -> Point:
    return Point(*(jnp.where(first, one, other) for one, other in zip(a, b, strict=True)))
