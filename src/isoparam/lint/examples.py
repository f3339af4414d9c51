"""What the page of a rule shows; tests hold the lint to both sides of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """One rule, by example.

    Attributes:
        bad: code in which the rule finds something.
        why: what goes wrong in it.
        good: the same, put right: nothing is found.
        silent: where the rule says nothing, and why.
    """

    bad: str
    why: str
    good: str
    silent: str
