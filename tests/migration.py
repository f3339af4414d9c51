"""`python tests/migration.py`: what each optimizer of torch is in optax, whether it is exact, measured, and its state.

    python tests/migration.py           measure all and print both tables (a minute)
    python tests/migration.py --write   put them into docs/migration.md as well

Every difference is that of the parameters from genuine torch.optim, on the same gradients: of plain optax after 200 steps
in float64, of `isoparam.jax.optimizer` after 1000 in float64, and for float32 the share of all values on the way of 1000
steps of `isoparam.jax.step` whose bits differ. The states are those of a genuine torch optimizer and of a genuine optax
transform after a step.
"""

import argparse
import math
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent.parent / "docs" / "migration.md"
BEGIN, END = "<!-- printed by `python tests/migration.py` from here -->\n", "<!-- to here -->\n"
EXACT = 1e-13  # of the largest parameter: rounding alone
HEADS = (
    "torch",
    "closest expression of optax",
    "exact",
    "its difference",
    "`isoparam.jax.optimizer`",
    "float32 bits of `step` apart",
    "state of torch",
    "state of optax",
)
SCHEDULE_HEADS = ("torch", "closest expression of optax", "exact", "its difference", "of our rates")


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; with --write put the tables into the page."""
    parser = argparse.ArgumentParser(description="The tables of docs/migration.md.")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/migration.md")
    options = parser.parse_args(arguments)
    from parity.plain_optax import CLOSEST, SCHEDULES

    table = [*_table(HEADS, (_cells(spec, call) for spec, call in CLOSEST)), ""]
    table += _table(SCHEDULE_HEADS, (_schedule_cells(schedule, call) for schedule, call in SCHEDULES))
    print("\n".join(table))
    if options.write:
        before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
        after = rest.split(END)[1]
        PAGE.write_text(before + BEGIN + "\n" + "\n".join(table) + "\n\n" + END + after, encoding="utf-8")
    return 0


def _table(heads: tuple[str, ...], rows: Iterable[Iterable[str]]) -> list[str]:
    return ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|", *("| " + " | ".join(row) + " |" for row in rows)]


def _schedule_cells(schedule: Any, call: str | None) -> Iterator[str]:
    from parity.plain_optax import rates_apart

    by_loss = "Plateau" in type(schedule).__name__
    plain, ours = (math.nan, math.nan) if by_loss else rates_apart(schedule, call)
    yield f"`lr_scheduler.{_changed(schedule)}`"
    yield f"`{call}`" if call else "none"
    yield "needs the loss" if by_loss else "no" if math.isnan(plain) else "yes" if plain < EXACT else "no"
    yield from ("" if math.isnan(number) else f"{number:.1e}" for number in (plain, ours))


def _cells(spec: Any, call: str) -> Iterator[str]:
    from parity.plain_optax import difference

    plain = difference(spec, call)
    yield f"`torch.optim.{_changed(spec)}`"
    yield f"`{call}`"
    yield "yes" if plain < EXACT else "no"
    yield f"{plain:.1e}"
    yield f"{_optax_form(spec):.1e}"
    yield f"{_bits_apart(spec):.2%}"
    yield _of_torch(spec)
    yield _of_optax(call)


def _changed(spec: Any) -> str:
    """The spec with the arguments that are not the defaults alone."""
    changed = {name: value for name, value in vars(spec).items() if value != getattr(type(spec), name, None)}
    return f"{type(spec).__name__}({', '.join(f'{name}={value!r}' for name, value in changed.items())})"


def _shapes(spec: Any) -> Any:
    return {"matrix": (6, 11), "wide": (20, 5)} if type(spec).__name__ == "Muon" else None


def _optax_form(spec: Any) -> float:
    """Largest difference on the way of 1000 steps, in units of the largest parameter."""
    import jax
    import numpy as np

    from parity.optimizer_runs import by_jax, by_torch, start_and_gradients
    from parity.training import relative

    start, gradients = start_and_gradients(np.float64, _shapes(spec))
    expected = by_torch(spec, start, gradients)
    with jax.enable_x64(True):
        _, path = by_jax(spec, start, gradients, with_optax=True)
    return max(relative(path[name], expected[name]) for name in expected)


def _bits_apart(spec: Any) -> float:
    import numpy as np

    from parity.optimizer_runs import by_jax, by_torch, start_and_gradients

    start, gradients = start_and_gradients(np.float32, _shapes(spec))
    expected = by_torch(spec, start, gradients)
    path, _ = by_jax(spec, start, gradients, with_optax=False)
    apart = sum(int((path[name] != expected[name]).sum()) for name in expected)
    return apart / sum(value.size for value in expected.values())


def _of_torch(spec: Any) -> str:
    """The entries that a genuine optimizer keeps for a parameter."""
    import torch

    from parity.optimizer_runs import sparse
    from torch_impl import optim

    leaf = torch.ones(3, 2, requires_grad=True)
    optimizer = optim.optimizer(spec, {"x": leaf})
    leaf.grad = sparse(torch.ones(3, 2)) if type(spec).__name__ == "SparseAdam" else torch.ones(3, 2)
    optimizer.step()
    (state,) = optimizer.state_dict()["state"].values() or ({},)
    kept = [name for name, value in state.items() if value is not None]
    return ", ".join(f"`{name}`" for name in kept) or "none"


def _of_optax(call: str) -> str:
    """The fields of the state of the transform."""
    import jax

    from parity.plain_optax import transform

    state = transform(call).init({"x": jax.numpy.ones((3, 2))})
    names = {}
    for path, _ in jax.tree.leaves_with_path(state):
        fields = [key.name for key in path if isinstance(key, jax.tree_util.GetAttrKey)]
        names[fields[-1]] = None
    return ", ".join(f"`{name}`" for name in names) or "none"


if __name__ == "__main__":
    sys.exit(main())
