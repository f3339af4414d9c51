"""`make accuracy`: the largest error of every sample and verb against the 50-digit formulas, in both backends, as Markdown."""

from importlib import util
from pathlib import Path

from oracle.judge import Calls, error, unit_of
from samples import DTYPES, SAMPLES

VERBS = {"forward": "forward", "inverse": "inverse", "pullback": "gradient", "log_abs_det": "log det"}
BACKENDS = ("torch", "jax")


def main() -> None:
    """Print one row per sample: torch / JAX, float32 then float64, per verb."""
    calls = {backend: _calls(backend) for backend in BACKENDS}
    heads = [f"{shown} {dtype}" for shown in VERBS.values() for dtype in ("f32", "f64")]
    print("| spec | " + " | ".join(heads) + " |")
    print("|---" * (len(heads) + 1) + "|")
    for sample in SAMPLES:
        cells = []
        for verb in VERBS:
            for dtype in DTYPES:
                worst = [error(sample, verb, dtype, calls[backend])[0] for backend in BACKENDS]
                cells.append(" / ".join(f"{number:.1f}" for number in worst))
        print(f"| `{sample.spec}` | " + " | ".join(cells) + " |")
    units = {f"{shown}: {unit_of(sample, verb)}" for sample in SAMPLES for verb, shown in VERBS.items()}
    print("\nEach cell: torch / JAX. Units, by kind of spec:")
    print("\n".join(f"- {unit}" for unit in sorted(units)))


def _calls(backend: str) -> Calls:
    found = util.spec_from_file_location(f"{backend}_calls", Path(__file__).parent / f"{backend}_only" / "calls.py")
    assert found is not None
    assert found.loader is not None
    module = util.module_from_spec(found)
    found.loader.exec_module(module)
    return module.CALLS


if __name__ == "__main__":
    main()
