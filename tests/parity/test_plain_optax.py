"""What plain optax does instead: the call that a port by name would make, against torch.optim, as each docstring states it."""

import re

import jax
import numpy as np
import optax
import optax.contrib
import pytest

import isoparam as iso
from parity.optimizer_runs import by_torch, start_and_gradients
from parity.training import relative

STEPS = 200
ROWS = {
    "SGD": (iso.SGD(lr=0.01, momentum=0.9, dampening=0.5), lambda: optax.sgd(0.01, 0.9)),
    "Adam": (iso.Adam(amsgrad=True), lambda: optax.amsgrad(1e-3)),
    "AdamW": (iso.AdamW(), lambda: optax.adamw(1e-3)),
    "NAdam": (iso.NAdam(), lambda: optax.nadam(2e-3)),
    "RAdam": (iso.RAdam(eps=1e-3), lambda: optax.radam(1e-3, eps=1e-3)),
    "Adamax": (iso.Adamax(weight_decay=0.1), lambda: optax.adamaxw(2e-3, weight_decay=0.1)),
    "Adagrad": (iso.Adagrad(), lambda: optax.adagrad(1e-2)),
    "Adadelta": (iso.Adadelta(), lambda: optax.adadelta()),
    "RMSprop": (iso.RMSprop(), lambda: optax.rmsprop(1e-2)),
    "Rprop": (iso.Rprop(), lambda: optax.rprop(1e-2)),
    "ASGD": (iso.ASGD(), lambda: optax.sgd(1e-2)),
    "Adafactor": (iso.Adafactor(), lambda: optax.adafactor(1e-2)),
    "Muon": (iso.Muon(), lambda: optax.contrib.muon(1e-3)),
    "SparseAdam": (iso.SparseAdam(), lambda: optax.adam(1e-3)),
}


def difference(name):
    """Of the parameters, in units of the largest, after 200 steps on given gradients in float64."""
    spec, plain = ROWS[name]
    start, gradients = start_and_gradients(np.float64, {"a": (20, 5), "b": (6, 11)}, STEPS)
    if name == "SparseAdam":
        rng = np.random.default_rng(1)
        for array in gradients.values():
            array[rng.random(array.shape[:2]) > 0.3] = 0
    expected = by_torch(spec, start, gradients)
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        transform = plain()

        def once(carry, gradient):
            params, state = carry
            updates, state = transform.update(gradient, state, params)
            return (optax.apply_updates(params, updates), state), None

        (params, _), _ = jax.jit(lambda carry, g: jax.lax.scan(once, carry, g))((start, transform.init(start)), gradients)
    return max(relative(params[key], path[-1]) for key, path in expected.items())


@pytest.mark.parametrize("name", ROWS)
def test_docstring_states_the_measured_difference(name):
    stated = re.search(r"off\s+by\s+(\S+)\s+of\s+the\s+largest\s+parameter", getattr(iso, name).__doc__)
    assert stated, f"measured {difference(name):.1e}"
    assert difference(name) == pytest.approx(float(stated[1]), rel=0.06)  # two digits are stated
