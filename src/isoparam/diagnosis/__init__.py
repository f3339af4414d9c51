"""The doctor's words: its rules, a finding, a diagnosis and how it reads; what finds is in `lint` and in the backends."""

from isoparam.diagnosis.findings import Diagnosis, Finding, History
from isoparam.diagnosis.rules import RULES, Rule, rule_of

__all__ = ["RULES", "Diagnosis", "Finding", "History", "Rule", "rule_of"]
