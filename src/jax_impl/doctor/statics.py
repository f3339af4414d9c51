"""What an object holds beside its leaves: values copied into static fields, variables that read as something else."""

from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.core import Tracer

from isoparam.diagnosis import Finding
from jax_impl.doctor.evidence import derivation, says_much
from jax_impl.doctor.leaves import Leaves, attributes
from jax_impl.doctor.places import holders, label, source
from jax_impl.doctor.related import static_copy


def static_copies(leaves: Leaves, told: set[str]) -> list[Finding]:
    """Static arrays that were computed from a leaf which itself still moves.

    Args:
        leaves: the parameters.
        told: names of leaves of which something was found already.
    """
    found = []
    known = {id(value) for value in leaves.values}
    for home, node in leaves.nodes:
        for key, held in attributes(node):
            for path, array in holders(held, key):
                if id(array) in known or (f"{home}.{path}" if home else path) in leaves.names or isinstance(array, Tracer):
                    continue
                for name, value in zip(leaves.names, leaves.values, strict=True):
                    if name in told or isinstance(value, float) or not says_much(array, value):
                        continue
                    how = derivation(array, value).replace("{}", name.rpartition(".")[2])
                    if how:
                        found.append(static_copy(f"{home}.{path}" if home else path, name, how, type(node).__name__))
    return found


def overridden(params: Any) -> list[Finding]:
    """nnx variables whose value is not what they hold, so that `nnx.Optimizer` adds the update to the wrong number."""
    if isinstance(params, nnx.Module):
        pairs = [(".".join(map(str, path)), value) for path, value in nnx.iter_graph(params) if isinstance(value, nnx.Variable)]
    else:
        leaves = jax.tree_util.tree_leaves_with_path(params, is_leaf=lambda node: isinstance(node, nnx.Variable))
        pairs = [
            (jax.tree_util.keystr(path, simple=True, separator="."), value)
            for path, value in leaves
            if isinstance(value, nnx.Variable)
        ]
    found = []
    for name, variable in pairs:
        if isinstance(variable, nnx.Param) and _reads_otherwise(variable):
            kind = type(variable)
            file, line = source(kind.get_value)
            message = (
                f"{name} is a {label(kind)}, whose get_value gives another value than it holds. nnx.Optimizer reads by "
                "get_value, adds the update to that, and stores the sum as what is held."
            )
            fix = f"hold the raw value in a plain nnx.Param, and compute {name} in a property (or isoparam.jax.Constrained)"
            outcome = f"{name} is mapped once more at every update, in silence"
            found.append(Finding("overridden-get-value", name, (name,), file, line, message, fix, outcome))
    return found


def _reads_otherwise(variable: nnx.Variable) -> bool:
    hooked = "on_get_value" in variable.get_metadata()
    if type(variable).get_value is nnx.Variable.get_value and not hooked:
        return False
    try:
        raw, read = variable.get_raw_value(), variable.get_value()
        return raw is not read and not np.array_equal(np.asarray(raw), np.asarray(read), equal_nan=True)
    except Exception:  # traced, or it cannot be read now
        return True
