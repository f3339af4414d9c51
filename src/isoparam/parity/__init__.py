"""PROVES: how far apart two arrays, or two backends, are. Public tools that see numpy arrays only."""

from isoparam.parity.budgets import BUDGETS, SENSITIVE, STAGES, Budget, budgets_for
from isoparam.parity.compare import compare
from isoparam.parity.report import Divergence, Report, Row
from isoparam.parity.sensitivity import Sensitivity, sensitivity
from isoparam.parity.ulp import Worst, max_relative, max_ulp, relative_difference, ulp_distance

__all__ = [
    "BUDGETS",
    "SENSITIVE",
    "STAGES",
    "Budget",
    "Divergence",
    "Report",
    "Row",
    "Sensitivity",
    "Worst",
    "budgets_for",
    "compare",
    "max_relative",
    "max_ulp",
    "relative_difference",
    "sensitivity",
    "ulp_distance",
]
