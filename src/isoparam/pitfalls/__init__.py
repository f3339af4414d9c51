"""The stale parameter and its cures as a demonstration that runs: `isoparam pitfalls`."""

from isoparam.pitfalls.cases import CASES, Case, Observation, Row, as_data, cases, run, run_all, twins
from isoparam.pitfalls.contests import CONTESTS, Contest, Lap, lap, laps, search, winner

__all__ = [
    "CASES",
    "CONTESTS",
    "Case",
    "Contest",
    "Lap",
    "Observation",
    "Row",
    "as_data",
    "cases",
    "lap",
    "laps",
    "run",
    "run_all",
    "search",
    "twins",
    "winner",
]
