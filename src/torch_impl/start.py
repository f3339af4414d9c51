"""Where training starts: raw, or the values themselves, checked and computed from the `init` of a problem."""

import numpy as np
import torch

from isoparam.errors import DomainError
from isoparam.problem import Problem
from isoparam.specs import Real, Tied
from isoparam.starts import check_closed, check_range
from torch_impl.flat import device_of, to_numpy
from torch_impl.verbs import forward, initial, inverse, project


def start(
    problem: Problem, seed: int = 0, dtype: str = "float64", device: str = "cpu", method: str = "transform"
) -> dict[str, np.ndarray]:
    """The trained numbers at the start, computed in float64 or float32: raw, or in projected training the values themselves.

    Raises:
        DomainError: for a value outside its set, one that no finite raw has, or one that overflows in this dtype; in
            projected training the border belongs to the set.
    """
    del seed  # every start is given so far; drawn ones will come from it
    wide = torch.float64 if dtype == "float64" else torch.float32  # weights rounded to bfloat16 would not sum to 1
    check_range(problem.init or {}, dtype)
    result = {}
    for name, value in (problem.init or {}).items():
        spec = problem.specs.get(name, Real())
        if value is None:
            raw = initial(spec, problem.shapes[name], dtype=wide)
            result[name] = to_numpy(raw if method == "transform" or isinstance(spec, Tied) else forward(spec, raw))
            continue
        point = torch.tensor(value, dtype=wide, device=device_of(device))
        if method == "projected":
            result[name] = to_numpy(point)
            check_closed(name, spec, result[name], to_numpy(project(spec, point)))
            continue
        try:
            result[name] = to_numpy(inverse(spec, point))
        except DomainError as error:
            raise DomainError(f"init[{name!r}] in {dtype}: {error}") from None
    return result
