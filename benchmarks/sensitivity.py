"""`python -m benchmarks.sensitivity [NAME]... [--optimizer recipe|adam] [--lr LR]`: rounding or fault, problem by problem.

For each step that `compare` looks at: how far torch and JAX are apart, how far torch parts from itself when its start is
moved by one unit in the last place, and the ratio of the two, each the worst of the parameters (or of the losses).
"""

import argparse
from collections.abc import Iterator

import isoparam as iso
from isoparam.parity import Report, Sensitivity, compare, sensitivity

MEASURED = ("training", "history")


def main() -> int:
    """Print the table; exit code 1 when a number is over its budget."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="built-in problems; all of them by default")
    parser.add_argument("--optimizer", choices=("recipe", "adam"), default="recipe", help="that of the recipe, or Adam")
    parser.add_argument("--lr", type=float, default=1e-3, help="of Adam")
    parser.add_argument("--steps", type=int, default=1000, help="updates of every run")
    parser.add_argument("--directions", type=int, default=4, help="moved starts of each problem")
    arguments = parser.parse_args()

    optimizer = None if arguments.optimizer == "recipe" else iso.Adam(lr=arguments.lr)
    print(f"{'problem':<15} {'optimizer':<9} {'stage':<8} {'step':>5} {'torch-JAX':>10} {'torch-torch':>12} {'ratio':>8}")
    within = True
    for name in arguments.names or iso.problems.names():
        problem = iso.problems.get(name)
        report = compare(problem, arguments.steps, optimizer=optimizer)
        found = sensitivity(problem, "torch", arguments.steps, optimizer=optimizer, directions=arguments.directions)
        for line in lines(report, found):
            print(f"{name:<15} {report.optimizer.partition('(')[0]:<9} {line}", flush=True)
        within = within and report.ok
    return 0 if within else 1


def lines(report: Report, found: Sensitivity) -> Iterator[str]:
    """One line for every stage and step."""
    for stage, step in dict.fromkeys((row.stage, row.step) for row in report.rows if row.stage in MEASURED):
        rows = [row for row in report.rows if (row.stage, row.step) == (stage, step)]
        apart, alone = max(row.relative for row in rows), max(found.of(row) for row in rows)
        ratio = apart / max(alone, 2.0**-52)
        yield f"{stage:<8} {step:>5} {apart:>10.1e} {alone:>12.1e} {ratio:>8.1f}"


if __name__ == "__main__":
    raise SystemExit(main())
