"""The loop that a user of torch writes, with nothing but torch's own tools around the loss: what `train` is held against."""

import torch

from isoparam.batches import data_order
from isoparam.torch import forward
from torch_impl.start import start


class Loop:
    """Parameters of a problem as leaves, in float64.

    Args:
        problem: with a loss for torch and batches.
        seed: of the data order.
        dtype: of the leaves.
    """

    def __init__(self, problem, seed=0, dtype="float64"):
        self.problem, self.dtype = problem, getattr(torch, dtype)
        raw = start(problem, seed, dtype, "cpu")
        self.raw = {name: torch.tensor(array, dtype=self.dtype, requires_grad=True) for name, array in raw.items()}
        self.order = data_order(seed, problem.rows, problem.batch_size)
        self.data = {name: torch.tensor(array, dtype=self.dtype) for name, array in problem.data.items()}

    def values(self, raw=None):
        """The constrained values."""
        specs = self.problem.specs
        return {name: forward(specs[name], r) if name in specs else r for name, r in (raw or self.raw).items()}

    def loss(self, number, dtype=None):
        """The loss of batch `number`, and where asked for in another dtype."""
        rows = torch.as_tensor(self.order.indices(number, 1)[0])
        batch, values = {name: array[rows] for name, array in self.data.items()}, self.values()
        if dtype is not None:
            batch, values = ({name: array.to(dtype) for name, array in tree.items()} for tree in (batch, values))
        return self.problem.loss_for("torch")(values, batch)

    def leaves(self, *names):
        """Some of the parameters."""
        return [self.raw[name] for name in names]

    def numpy(self):
        """{name: raw}."""
        return {name: raw.detach().numpy() for name, raw in self.raw.items()}
