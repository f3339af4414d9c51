"""Stale graphs in the text of a program: the doctor's lint, which imports neither the program nor a framework."""

from isoparam.lint.check import check, check_source

__all__ = ["check", "check_source"]
