"""The numbers of a run as a file of this framework."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
import torch

from isoparam.checkpoints.export import write_file
from torch_impl.flat import DTYPES


def write(path: Path, arrays: Mapping[str, np.ndarray], dtype: str) -> None:
    """Write a state_dict, which `torch.load(path, weights_only=True)` reads and `module.load_state_dict` takes.

    # twin: torch's form is one file of flat names; Orbax writes a directory with a tree, as the parameters of Flax are one.

    Args:
        path: what to write.
        arrays: {name: array}.
        dtype: of the run: floating arrays are written in it.

    Raises:
        CheckpointError: where it cannot be written.
    """
    tensors = {name: torch.tensor(array) for name, array in arrays.items()}
    if dtype == "bfloat16":  # whose arrays are float32 in numpy
        tensors = {name: array.to(DTYPES[dtype]) if array.is_floating_point() else array for name, array in tensors.items()}
    file = BytesIO()
    torch.save(tensors, file)
    write_file(path, file.getvalue())
