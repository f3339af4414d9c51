"""The stale parameter and its cures as a demonstration that runs: `isoparam pitfalls`."""

from isoparam.pitfalls.cases import CASES, Case, Observation, Row, as_data, cases, run, run_all, twins

__all__ = ["CASES", "Case", "Observation", "Row", "as_data", "cases", "run", "run_all", "twins"]
