"""The numbers of a run as a file of this framework."""

from collections.abc import Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from isoparam.checkpoints.export import nested
from isoparam.errors import BackendError, CheckpointError
from jax_impl.flat import DTYPES


def write(path: Path, arrays: Mapping[str, np.ndarray], dtype: str) -> None:
    """Write a checkpoint of Orbax, which `orbax.checkpoint.StandardCheckpointer().restore(path)` reads.

    # twin: torch's form is one file of flat names; Orbax writes a directory with a tree, as the parameters of Flax are one.

    Args:
        path: what to write.
        arrays: {name: array}.
        dtype: of the run: floating arrays are written in it.

    Raises:
        CheckpointError: where it cannot be written.
    """
    try:
        import orbax.checkpoint as orbax  # seconds to import
    except ModuleNotFoundError as error:
        raise BackendError("format='orbax' needs Orbax: pip install orbax-checkpoint") from error
    narrow = DTYPES[dtype] if dtype == "bfloat16" else None  # whose arrays are float32 in numpy
    tree = nested({n: a.astype(narrow) if narrow is not None and a.dtype == jnp.float32 else a for n, a in arrays.items()})
    try:
        with orbax.StandardCheckpointer() as writer:
            writer.save(path.absolute(), tree)
    except (OSError, ValueError) as error:  # a directory that is there already, among others
        raise CheckpointError(f"cannot write {str(path)!r}: {error}") from error
