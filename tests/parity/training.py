"""Problems that the training tests share, one loss per backend."""

import jax.numpy as jnp
import numpy as np
import torch

import isoparam as iso

ROWS = 50
_RNG = np.random.default_rng(7)
DATA = {"x": _RNG.uniform(-1, 1, (ROWS, 3)), "y": _RNG.uniform(0.5, 2.0, ROWS)}


def torch_loss(values, batch):
    mean = batch["x"] @ values["weights"] * values["scale"] + values["levels"].sum() * values["offset"]
    return ((mean - batch["y"]) ** 2).mean() + (values["small"] ** 2).mean()


def jax_loss(values, batch):
    mean = batch["x"] @ values["weights"] * values["scale"] + values["levels"].sum() * values["offset"]
    return ((mean - batch["y"]) ** 2).mean() + (values["small"] ** 2).mean()


def mixed(**changes):
    """Simplex, two groups of scalar specs (one shared by three parameters), an ordered vector and a free number."""
    settings = {
        "name": "mixed",
        "constraints": {"weights": iso.Simplex(), "scale": iso.Positive(), "small": iso.Positive(), "levels": iso.Ordered()},
        "init": {
            "weights": np.array([0.2, 0.3, 0.5]),
            "scale": 1.5,
            "offset": 0.1,
            "levels": np.array([-1.0, 0.2, 0.9, 2.0]),
            "small": np.full((2, 2), 0.4),
        },
        "data": DATA,
        "batch_size": 8,
        "loss": {"torch": torch_loss, "jax": jax_loss},
    }
    return iso.Problem(**(settings | changes))


def sinking(backend):
    """A loss that becomes nan once x has passed 2."""
    sqrt = torch.sqrt if backend == "torch" else jnp.sqrt
    return lambda values, batch: -values["x"] + 0 * sqrt(2 - values["x"])


def falling():
    return iso.Problem(name="falling", constraints={}, init={"y": 1.0, "x": 0.0}, loss={
        b: (lambda sink: lambda values, batch: sink(values, batch) + values["y"] ** 2)(sinking(b)) for b in ("torch", "jax")
    })  # fmt: skip


def relative(a, b):
    """Largest difference in units of the largest entry."""
    a, b = np.asarray(a), np.asarray(b)
    return float(np.max(np.abs(a - b), initial=0.0) / max(float(np.max(np.abs(b), initial=0.0)), 1e-300))
