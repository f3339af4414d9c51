"""Losses of the built-in problems, whose parameters and data stand in `isoparam.problems`."""

from typing import Any

from jax_impl.problems import basic, genetics, markov, mixture, nist, volatility

LOSSES: dict[str, Any] = {
    **basic.LOSSES,
    **mixture.LOSSES,
    **volatility.LOSSES,
    **markov.LOSSES,
    **genetics.LOSSES,
    **nist.LOSSES,
}
