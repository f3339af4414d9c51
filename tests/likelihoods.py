"""The third witness of the problems with data: minus log likelihoods in mpmath, term by term, and their minima by Newton."""

from collections.abc import Callable, Mapping

import mpmath
import numpy as np
from mpmath import mpf

Data = Mapping[str, np.ndarray]
Vector = list[mpf]

DIGITS = 75  # a central difference with step 1e-25 keeps 50 of them
STEP = mpf(10) ** -25


def faithful(data: Data, share: mpf, low: mpf, high: mpf, sd_low: mpf, sd_high: mpf) -> mpf:
    likelihood = mpf(1)
    for x in map(mpf, data["waiting"]):
        left = share / sd_low * mpmath.exp(-(((x - low) / sd_low) ** 2) / 2)
        likelihood *= left + (1 - share) / sd_high * mpmath.exp(-(((x - high) / sd_high) ** 2) / 2)
    return len(data["waiting"]) * mpmath.log(2 * mpmath.pi) / 2 - mpmath.log(likelihood)


def garch(data: Data, mu: mpf, omega: mpf, alpha: mpf, beta: mpf) -> mpf:
    squares = [(mpf(x) - mu) ** 2 for x in data["return"]]
    square = variance = mpmath.fsum(squares) / len(squares)
    determinant, exponent = mpf(1), mpf(0)
    for now in squares:
        variance = omega + alpha * square + beta * variance
        determinant *= variance
        exponent += now / variance
        square = now
    return (len(squares) * mpmath.log(2 * mpmath.pi) + mpmath.log(determinant) + exponent) / 2


def hmm(data: Data, low: mpf, high: mpf, rise: mpf, fall: mpf) -> mpf:
    first, second = fall / (rise + fall), rise / (rise + fall)
    for k, count in enumerate(data["count"]):
        if k:
            first, second = first * (1 - rise) + second * fall, first * rise + second * (1 - fall)
        first *= low ** int(count) * mpmath.exp(-low) / mpmath.factorial(int(count))
        second *= high ** int(count) * mpmath.exp(-high) / mpmath.factorial(int(count))
    return -mpmath.log(first + second)


def abo(data: Data, p: mpf, q: mpf) -> mpf:
    r = 1 - p - q
    probabilities = (p * p + 2 * p * r, q * q + 2 * q * r, 2 * p * q, r * r)
    return -mpmath.fsum(int(n) * mpmath.log(x) for n, x in zip(data["count"], probabilities, strict=True))


def gradient(function: Callable[..., mpf], at: Vector) -> mpmath.matrix:
    """Central differences: the error is that of STEP squared, and DIGITS less those of STEP."""
    return mpmath.matrix([_difference(function, at, i) for i in range(len(at))])


def hessian(function: Callable[..., mpf], at: Vector) -> mpmath.matrix:
    size = len(at)
    result = mpmath.matrix(size)
    here = function(*at)
    alone = [(function(*_moved(at, i, STEP)), function(*_moved(at, i, -STEP))) for i in range(size)]
    for i in range(size):
        result[i, i] = (alone[i][0] - 2 * here + alone[i][1]) / STEP**2
        for j in range(i):
            both = function(*_moved(_moved(at, i, STEP), j, STEP)) + function(*_moved(_moved(at, i, -STEP), j, -STEP))
            result[i, j] = result[j, i] = (both + 2 * here - sum(alone[i]) - sum(alone[j])) / (2 * STEP**2)
    return result


def minimum(function: Callable[..., mpf], start: Vector) -> tuple[Vector, mpf]:
    """The minimum next to a start, in 50 digits, and the value there.

    Raises ValueError where the Hessian is not positive definite: a saddle is no minimum.
    """
    at, size = list(start), mpf(1)
    for _ in range(12):
        if size > mpf(10) ** -9:  # nearer than that, the Hessian of the last point is as good as a new one
            curvature = hessian(function, at)
            mpmath.cholesky(curvature)
        move = mpmath.lu_solve(curvature, gradient(function, at))
        at = [x - d for x, d in zip(at, move, strict=True)]
        size = mpmath.norm(move, mpmath.inf)
        if size < mpf(10) ** -40:  # the error left is 1e-9 of it
            return at, function(*at)
    raise ArithmeticError(f"Newton's iteration has not converged from {start}")


def _difference(function: Callable[..., mpf], at: Vector, i: int) -> mpf:
    return (function(*_moved(at, i, STEP)) - function(*_moved(at, i, -STEP))) / (2 * STEP)


def _moved(at: Vector, i: int, by: mpf) -> Vector:
    return [x + by if k == i else x for k, x in enumerate(at)]
