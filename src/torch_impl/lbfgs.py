"""L-BFGS as a function of one vector, in the order of operations of torch.optim.LBFGS, with its strong-Wolfe line search."""

from collections.abc import Callable
from math import copysign, inf, sqrt
from typing import Any, NamedTuple

import torch
from torch import Tensor as Array

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
    pairs, size = spec.history_size, params.numel()
    whole = {name: torch.zeros((), dtype=torch.int64) for name in ("n_iter", "func_evals", "stored")}
    return (
        {"step": 0}
        | whole
        | {
            "d": params.new_zeros(size),
            "t": params.new_zeros(()),
            "old_dirs": params.new_zeros(pairs, size),
            "old_stps": params.new_zeros(pairs, size),
            "ro": params.new_zeros(pairs),
            "H_diag": params.new_ones(()),
            "prev_flat_grad": params.new_zeros(size),
            "prev_loss": params.new_zeros(()),
        }
    )


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
    state["step"] += 1
    state["func_evals"] += 1
    if grads.abs().max() <= spec.tolerance_grad:
        return params, state
    f, used = float(loss), 1
    for move in range(1, spec.max_iter + 1):
        state["n_iter"] += 1
        d = _direction(spec, grads, state)
        t, before = _first_guess(spec, grads, state), f
        state |= {"d": d, "t": params.new_tensor(t), "prev_flat_grad": grads, "prev_loss": params.new_tensor(f)}
        gtd = float(grads.dot(d))
        if gtd > -spec.tolerance_change:
            break
        at = Point(t, f, grads, gtd)
        if spec.line_search_fn is None:
            at, searched = _plain(spec, params, d, at, objective, last=move == spec.max_iter)
        else:
            at, searched = _strong_wolfe(params, d, at, objective, spec.evaluations - used)
        t, f, grads = at.t, at.f, at.g
        state["t"] = params.new_tensor(t)
        params.add_(d, alpha=t)
        used += searched
        state["func_evals"] += searched
        spent = used >= spec.evaluations
        optimal = grads.abs().max() <= spec.tolerance_grad
        still = d.mul(t).abs().max() <= spec.tolerance_change or abs(f - before) < spec.tolerance_change
        if spent or optimal or still:
            break
    return params, state


def _direction(spec: LBFGS, grads: Array, state: State) -> Array:
    """-H g by the two loops of L-BFGS, after the last move has been kept as a pair.

    Before the first move d and t are 0, no pair is kept, and the direction is -g.
    """
    y = grads.sub(state["prev_flat_grad"])
    s = state["d"].mul(state["t"])
    old_dirs, old_stps, ro = state["old_dirs"], state["old_stps"], state["ro"]
    ys = y.dot(s)
    if ys > LEAST_CURVATURE:
        row = int(state["stored"]) % spec.history_size
        old_dirs[row], old_stps[row], ro[row] = y, s, 1.0 / ys
        state["H_diag"] = ys / y.dot(y)
        state["stored"] += 1
    stored = int(state["stored"])
    rows = [number % spec.history_size for number in range(max(0, stored - spec.history_size), stored)]
    al = {}
    q = grads.neg()
    for i in reversed(rows):
        al[i] = old_stps[i].dot(q) * ro[i]
        q.add_(old_dirs[i], alpha=-float(al[i]))
    d = torch.mul(q, state["H_diag"])
    for i in rows:
        be = old_dirs[i].dot(d) * ro[i]
        d.add_(old_stps[i], alpha=float(al[i] - be))
    return d


def _first_guess(spec: LBFGS, grads: Array, state: State) -> float:
    """The step length to begin with; the very first move is of length 1 in the 1-norm at most."""
    shrink = float(1.0 / grads.abs().sum())
    return (shrink if shrink < 1.0 else 1.0) * spec.lr if state["n_iter"] == 1 else spec.lr


def _plain(spec: LBFGS, params: Array, d: Array, start: Point, objective: Objective, *, last: bool) -> tuple[Point, int]:
    """The point at t = lr, and the evaluations used; the last one of a step is not evaluated."""
    if last:
        return start, 0
    loss, grads = objective(params.add(d, alpha=start.t))
    return Point(start.t, float(loss), grads, start.gtd), 1


def _strong_wolfe(params: Array, d: Array, start: Point, objective: Objective, most: int) -> tuple[Point, int]:
    """A point that fulfils the strong Wolfe conditions, or the lowest end of the bracket, and the evaluations used.

    Args:
        params: where the line begins.
        d: its direction.
        start: loss, gradient and slope there; its t is the first to try.
        objective: (loss, gradient) at any vector.
        most: trials after the first.
    """

    def at(t: float) -> Point:
        loss, grads = objective(params.add(d, alpha=t))
        return Point(t, float(loss), grads, float(grads.dot(d)))

    origin = start._replace(t=0.0)
    ends, done, count = _bracket(at, origin, start.t, most)
    ends = list(ends)
    low = 0 if ends[0].f <= ends[1].f else 1
    d_norm, stalled = float(d.abs().max()), False
    while not done and count < most and not abs(ends[1].t - ends[0].t) * d_norm < SHORTEST:
        t, stalled = _trial(ends[0], ends[1], stalled)
        new = at(t)
        count += 1
        high = 1 - low
        if new.f > origin.f + DECREASE * t * origin.gtd or new.f >= ends[low].f:
            ends[high] = new
            low = 0 if ends[0].f <= ends[1].f else 1
        else:
            done = abs(new.gtd) <= -CURVATURE * origin.gtd
            if not done and new.gtd * (ends[high].t - ends[low].t) >= 0:
                ends[high] = ends[low]
            ends[low] = new
    return ends[low], count + 1


def _bracket(at: Callable[[Any], Point], origin: Point, t: Any, most: int) -> tuple[tuple[Point, Point], Any, Any]:
    """Two points with a good one between them, whether the second is one already, and the trials after the first."""
    previous, new, count = origin, at(t), 0
    while count < most:
        if new.f > origin.f + DECREASE * new.t * origin.gtd or (count > 1 and new.f >= previous.f):
            return (previous, new), False, count
        if abs(new.gtd) <= -CURVATURE * origin.gtd:
            return (new, new), True, count
        if new.gtd >= 0:
            return (previous, new), False, count
        t = _cubic(previous, new, new.t + 0.01 * (new.t - previous.t), new.t * 10)
        previous, new = new, at(t)
        count += 1
    return (origin, new), False, count


def _trial(left: Point, right: Point, stalled: Any) -> tuple[Any, Any]:
    """The next t within a bracket, and whether it came close to an end of it, which it may only once in a row."""
    small, large = (left.t, right.t) if left.t <= right.t else (right.t, left.t)
    t = _cubic(left, right, small, large)
    eps = 0.1 * (large - small)
    if min(large - t, t - small) < eps:
        if stalled or t >= large or t <= small:
            return large - eps if abs(t - large) < abs(t - small) else small + eps, False
        return t, True
    return t, False


def _cubic(left: Point, right: Point, least: Any, most: Any) -> Any:
    """The minimum of the cubic through two losses and slopes, kept within bounds; their middle where there is none."""
    x1, f1, g1 = left.t, left.f, left.gtd
    x2, f2, g2 = right.t, right.f, right.gtd
    d1 = g1 + g2 - _ratio(3 * (f1 - f2), x1 - x2)
    square = d1 * d1 - g1 * g2
    if not square >= 0:
        return (least + most) / 2.0
    d2 = sqrt(square)
    if x1 <= x2:
        t = x2 - (x2 - x1) * _ratio(g2 + d2 - d1, g2 - g1 + 2 * d2)
    else:
        t = x1 - (x1 - x2) * _ratio(g1 + d2 - d1, g1 - g2 + 2 * d2)
    t = least if least > t else t
    return most if most < t else t


def _ratio(a: float, b: float) -> float:
    """a / b as arrays divide: by 0 without an exception."""
    return a / b if b else a * copysign(inf, b)
