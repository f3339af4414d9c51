"""What plain optax does instead: the call that a port by name would make, against torch.optim."""

import jax
import numpy as np
import optax
import optax.contrib
import torch

import isoparam as iso
from parity.optimizer_runs import by_torch, start_and_gradients
from parity.training import relative
from torch_impl.optim import optimizer

STEPS = 200
ROWS = {
    "SGD": (iso.SGD(lr=0.01, momentum=0.9, dampening=0.5), "optax.sgd(0.01, 0.9)"),
    "Adam": (iso.Adam(amsgrad=True), "optax.amsgrad(1e-3)"),
    "AdamW": (iso.AdamW(), "optax.adamw(1e-3)"),
    "NAdam": (iso.NAdam(), "optax.nadam(2e-3)"),
    "RAdam": (iso.RAdam(eps=1e-3), "optax.radam(1e-3, eps=1e-3)"),
    "Adamax": (iso.Adamax(weight_decay=0.1), "optax.adamaxw(2e-3, weight_decay=0.1)"),
    "Adagrad": (iso.Adagrad(), "optax.adagrad(1e-2)"),
    "Adadelta": (iso.Adadelta(), "optax.adadelta()"),
    "RMSprop": (iso.RMSprop(), "optax.rmsprop(1e-2)"),
    "Rprop": (iso.Rprop(), "optax.rprop(1e-2)"),
    "ASGD": (iso.ASGD(), "optax.sgd(1e-2)"),
    "Adafactor": (iso.Adafactor(), "optax.adafactor(1e-2)"),
    "Muon": (iso.Muon(), "optax.contrib.muon(1e-3)"),
    "SparseAdam": (iso.SparseAdam(), "optax.adam(1e-3)"),
}
"""By the name in torch.optim: the spec, and the call of optax that has its name or comes closest to it."""

CLOSEST = (
    (iso.SGD(lr=0.01), "optax.sgd(0.01)"),
    (iso.SGD(lr=0.01, momentum=0.9), "optax.sgd(0.01, momentum=0.9)"),
    (iso.SGD(lr=0.01, momentum=0.9, nesterov=True), "optax.sgd(0.01, momentum=0.9, nesterov=True)"),
    (iso.SGD(lr=0.01, weight_decay=0.1), "optax.chain(optax.add_decayed_weights(0.1), optax.sgd(0.01))"),
    (iso.SGD(lr=0.01, maximize=True), "optax.chain(optax.scale(-1.0), optax.sgd(0.01))"),
    (iso.Adam(), "optax.adam(1e-3)"),
    (iso.Adam(weight_decay=0.1), "optax.chain(optax.add_decayed_weights(0.1), optax.adam(1e-3))"),
    (iso.Adam(amsgrad=True), "optax.amsgrad(1e-3)"),
    (iso.AdamW(), "optax.adamw(1e-3, weight_decay=1e-2)"),
    (iso.NAdam(momentum_decay=0.0), "optax.nadam(2e-3)"),
    (iso.RAdam(), "optax.radam(1e-3)"),
    (iso.Adamax(), "optax.adamax(2e-3)"),
    (iso.Adagrad(), "optax.adagrad(1e-2, initial_accumulator_value=0.0, eps=1e-10)"),
    (iso.Adadelta(), "optax.adadelta(1.0, rho=0.9, eps=1e-6)"),
    (iso.RMSprop(), "optax.rmsprop(1e-2, decay=0.99, eps=1e-8, eps_in_sqrt=False)"),
    (iso.RMSprop(centered=True), "optax.rmsprop(1e-2, decay=0.99, eps=1e-8, eps_in_sqrt=False, centered=True)"),
    (iso.RMSprop(momentum=0.9), "optax.rmsprop(1e-2, decay=0.99, eps=1e-8, eps_in_sqrt=False, momentum=0.9)"),
    (iso.Rprop(), "optax.rprop(1e-2)"),
    (iso.ASGD(), "optax.sgd(1e-2)"),
    (iso.Adafactor(), "optax.adafactor(1e-2)"),
    (iso.Muon(), "optax.contrib.muon(1e-3, weight_decay=0.1)"),
    (iso.SparseAdam(), "optax.adam(1e-3)"),
)
"""The same, with the arguments of optax that come closest to what torch does."""

RATE = 0.1
SCHEDULES = (
    (iso.StepLR(30, gamma=0.5), "optax.exponential_decay(0.1, 30, 0.5, staircase=True)"),
    (iso.MultiStepLR((30, 80), gamma=0.5), "optax.piecewise_constant_schedule(0.1, {30: 0.5, 80: 0.5})"),
    (iso.ConstantLR(factor=0.5, total_iters=5), "optax.piecewise_constant_schedule(0.05, {5: 2.0})"),
    (iso.LinearLR(start_factor=0.1, total_iters=50), "optax.linear_schedule(0.01, 0.1, 50)"),
    (iso.ExponentialLR(0.97), "optax.exponential_decay(0.1, 1, 0.97)"),
    (iso.PolynomialLR(total_iters=100, power=2.0), "optax.polynomial_schedule(0.1, 0.0, 2.0, 100)"),
    (iso.CosineAnnealingLR(T_max=300), "optax.cosine_decay_schedule(0.1, 300)"),
    (iso.CosineAnnealingLR(T_max=100), "optax.cosine_decay_schedule(0.1, 100)"),
    (
        iso.CosineAnnealingWarmRestarts(100),
        "optax.join_schedules([optax.cosine_decay_schedule(0.1, 100)] * 3, [100, 200])",
    ),
    (iso.OneCycleLR(0.1, total_steps=300), "optax.cosine_onecycle_schedule(300, 0.1, 0.3, 25.0, 1e4)"),
    (
        iso.SequentialLR((iso.LinearLR(start_factor=0.1, total_iters=50), iso.ExponentialLR(0.99)), milestones=(50,)),
        "optax.join_schedules([optax.linear_schedule(0.01, 0.1, 50), optax.exponential_decay(0.1, 1, 0.99)], [50])",
    ),
    (iso.CyclicLR(0.01, 0.1, step_size_up=25), None),
    (iso.ChainedScheduler((iso.ConstantLR(0.1, 4), iso.ExponentialLR(0.98))), None),
    (iso.ReduceLROnPlateau(), "optax.contrib.reduce_on_plateau()"),
)
"""Schedules that start from the rate RATE, and what comes closest to them in optax; None where nothing does."""


def rates_apart(schedule, call):
    """Largest difference of the rates of 300 updates from torch's, in units of the largest: of plain optax, of ours."""
    made, scheduler = optimizer(iso.SGD(lr=RATE), [torch.zeros(1, requires_grad=True)], schedule)
    expected = np.empty(300)
    for k in range(expected.size):
        expected[k] = made.param_groups[0]["lr"]
        made.step()
        if k + 1 < expected.size:
            scheduler.step()
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        plain = np.asarray(jax.vmap(transform(call))(np.arange(expected.size))) if call else None
    apart = [
        np.nan if found is None else np.abs(found - expected).max() / expected.max()
        for found in (plain, schedule.rates(RATE, 300))
    ]
    return tuple(apart)


def difference(spec, call):
    """Of the parameters, in units of the largest, after 200 steps on given gradients in float64."""
    start, gradients = start_and_gradients(np.float64, {"a": (20, 5), "b": (6, 11)}, STEPS)
    if isinstance(spec, iso.SparseAdam):
        rng = np.random.default_rng(1)
        for array in gradients.values():
            array[rng.random(array.shape[:2]) > 0.3] = 0
    expected = by_torch(spec, start, gradients)
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        plain = transform(call)

        def once(carry, gradient):
            params, state = carry
            updates, state = plain.update(gradient, state, params)
            return (optax.apply_updates(params, updates), state), None

        (params, _), _ = jax.jit(lambda carry, g: jax.lax.scan(once, carry, g))((start, plain.init(start)), gradients)
    return max(relative(params[key], path[-1]) for key, path in expected.items())


def transform(call):
    """The transform of plain optax that this expression makes."""
    return eval(call, {"optax": optax})
