"""`python -m benchmarks.doctor_quiet [PACKAGE...]`: what the lint says about installed packages, and how fast it is.

Each package, or dotted part of one, is checked by itself with the default rules, as `isoparam doctor PATH` does; nothing is
imported. Programs that thousands of people use should have few findings, and each should be true: all are listed, to be read.
"""

import argparse
import re
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from time import process_time

from rich.console import Console
from rich.table import Table

from isoparam.lint import check

PACKAGES = (
    *("torch.nn", "torch.optim", "torch.distributions", "torch.ao", "torch.distributed"),
    *("flax", "optax", "orbax", "numpyro", "tensorflow_probability", "gpytorch", "pyro", "geotorch"),
)


def main() -> int:
    """Check them, print the table and every finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packages", nargs="*", default=PACKAGES, help="installed packages, or parts such as torch.nn")
    arguments = parser.parse_args()
    table = Table(title="the default rules")
    for heading in ("package", "lines", "findings", "seconds of processor time"):
        table.add_column(heading, justify="left" if heading == "package" else "right")
    lines, seconds, findings = 0, 0.0, []
    for name in arguments.packages:
        begun = process_time()
        diagnosis = check([place(name)])
        took = process_time() - begun
        count = int(re.search(r"([\d,]+) lines", diagnosis.examined)[1].replace(",", ""))
        table.add_row(f"{name} {_version(name)}", f"{count:,}", str(len(diagnosis)), f"{took:.1f}")
        lines, seconds, findings = lines + count, seconds + took, [*findings, *diagnosis.findings]
    table.add_row("all", f"{lines:,}", str(len(findings)), f"{seconds:.1f}")
    console = Console(width=110)
    console.print(table)
    console.print(f"{1e5 * len(findings) / lines:.2f} findings and {1e5 * seconds / lines:.1f} s in 100,000 lines")
    for finding in findings:
        console.print(
            f"{'/'.join(Path(finding.file).parts[-3:])}:{finding.line}: {finding.rule} {finding.attr} {finding.params}"
        )
    return 0


def place(name: str) -> Path:
    """The folder of an installed package, or of a part of one, without an import of it."""
    top, *parts = name.split(".")
    spec = find_spec(top)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{top} is not installed: pip install {top}")
    return Path(next(iter(spec.submodule_search_locations)), *parts)


def _version(name: str) -> str:
    return version(packages_distributions()[name.split(".")[0]][0])


if __name__ == "__main__":
    raise SystemExit(main())
