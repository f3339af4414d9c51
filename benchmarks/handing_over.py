"""`python -m benchmarks.handing_over [--rounds N]`: what XLA's own threads add to a small program on JAX.

Two programs, value and gradient of a map of 100 float32 entries onto vectors that sum to 0: ours, and NumPyro's of fewer
operations. Each is timed in a process of its own, with JAX's asynchronous dispatch on, as it is by default, and off.
"""

import argparse
import json
import subprocess
import sys

from rich.console import Console
from rich.table import Table

PROGRAM = """
from benchmarks import settings
import sys
import jax
import numpy as np
from benchmarks import transforms
from benchmarks.peers import RACES
import json
import isoparam as iso
jax.config.update("jax_cpu_enable_async_dispatch", sys.argv[1] == "on")
race = next(race for race in RACES if race.spec == iso.SumToZero())
print(json.dumps(transforms.raced(race, 100, int(sys.argv[2]), ["jax"])[0]._asdict()))
"""


def main() -> int:
    """Time both in both ways."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds; the fastest of each counts")
    parser.add_argument("--processes", type=int, default=3, help="processes of each way, shown one by one")
    arguments = parser.parse_args()
    table = Table(title="us per call")
    for heading in ("asynchronous dispatch", "isoparam", "numpyro"):
        table.add_column(heading)
    for way in ("on", "off"):
        for _ in range(arguments.processes):
            command = [sys.executable, "-c", PROGRAM, way, str(arguments.rounds)]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            table.add_row(way, f"{1e6 * found['ours']:.1f}", f"{1e6 * found['peers']['numpyro']:.1f}")
    Console(width=80).print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
