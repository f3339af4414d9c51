"""Problems with data and published results: the true optimum by Newton in mpmath, and both backends at it."""

from functools import cache, partial
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mpf

import isoparam as iso
import likelihoods
from parity.training import relative

# What the sources print, in the order of the arguments of the likelihood, and the loss there.
PRINTED = {
    "faithful": (("0.3608868", "54.61489", "80.09109", "5.871241", "5.867718"), "1034.002"),
    "garch": (("-0.00619041", "0.0107613", "0.153134", "0.805974"), "1106.6079"),
    "hmm": (("15.472", "26.125", "0.0660", "0.1285"), "342.3183"),
    "abo": (("0.2644", "0.0932"), None),
}
STOPPED_EARLY = {"faithful"}  # mixtools' EM: true to 5 digits, not to all that it prints
TRUNCATED = {"0.0107613"}  # omega of garch is 0.01076140
NAMES = list(PRINTED)


@pytest.fixture(autouse=True)
def _in_many_digits():
    with mpmath.workdps(likelihoods.DIGITS):
        yield


def arguments(name: str, values: Any) -> tuple[Any, ...]:
    """The values of a problem as arguments of its likelihood."""
    if name == "faithful":
        return (values["share"][0], *values["mean"], *values["sd"])
    if name == "garch":
        return (values["mu"], values["omega"], *values["weights"][:2])
    if name == "hmm":
        return (*values["rate"], values["transition"][0, 1], values["transition"][1, 0])
    return tuple(values["frequency"][:2])


@cache
def optimum(name: str) -> tuple[list[mpf], mpf]:
    """The minimum next to the printed values, from the data alone."""
    function = partial(getattr(likelihoods, name), iso.problems.get(name).data)
    return likelihoods.minimum(function, [mpf(text) for text in PRINTED[name][0]])


@cache
def trained(name: str, backend: str) -> iso.Run:
    return iso.train(iso.problems.get(name), backend, record=())


def digits(text: str) -> int:
    """Decimals of a printed number."""
    return len(text.partition(".")[2])


@pytest.mark.parametrize("name", NAMES)
def test_published_values_are_the_optimum(name):
    """To the last place of float64."""
    found, _ = optimum(name)
    for value, exact in zip(arguments(name, iso.problems.get(name).published), found, strict=True):
        assert abs(mpf(float(value)) - exact) <= abs(exact) * mpf(2) ** -53


@pytest.mark.parametrize("name", NAMES)
def test_published_shares_sum_to_one(name):
    for parameter, spec in iso.problems.get(name).specs.items():
        if isinstance(spec, iso.Simplex):
            sums = np.sum(iso.problems.get(name).published[parameter], axis=-1)
            assert np.max(np.abs(sums - 1)) < 2.3e-16


@pytest.mark.parametrize("name", NAMES)
def test_the_optimum_rounds_to_what_is_printed(name):
    found, loss = optimum(name)
    texts, printed_loss = PRINTED[name]
    for text, exact in zip(texts, found, strict=True):
        if name in STOPPED_EARLY:
            assert mpmath.nstr(mpf(text), 5) == mpmath.nstr(exact, 5)
        else:
            assert abs(mpf(text) - exact) <= mpf(10) ** -digits(text) / (1 if text in TRUNCATED else 2)
    if printed_loss:
        assert abs(mpf(printed_loss) - loss) <= mpf(10) ** -digits(printed_loss) / 2


@pytest.mark.parametrize("backend", ["torch", "jax"])
@pytest.mark.parametrize("name", NAMES)
def test_the_recipe_reaches_the_optimum(name, backend):
    run = trained(name, backend)
    assert run.stopped == "tol_grad"
    found, loss = optimum(name)
    for value, exact in zip(arguments(name, run.values), found, strict=True):
        assert abs(mpf(float(value)) - exact) < abs(exact) * mpf(10) ** -12  # measured: 2e-14
    final = iso.backends.load(backend).train.evaluate(iso.problems.get(name), run.raw).loss
    assert abs(mpf(float(final)) - loss) < loss * mpf(10) ** -14


@pytest.mark.parametrize("name", NAMES)
def test_both_backends_end_at_one_point(name):
    torch, jax = (trained(name, backend).values for backend in ("torch", "jax"))
    for parameter in torch:
        assert relative(jax[parameter], torch[parameter]) < 1e-12
