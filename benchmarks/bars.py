"""What the ratios of one run are held to."""

from typing import NamedTuple


class Bar(NamedTuple):
    """`slower` may take at most `limit` times as long per step as `reference`."""

    what: str
    slower: str
    reference: str
    limit: float


class Verdict(NamedTuple):
    """A measured ratio beside its bar."""

    what: str
    ratio: float
    bar: str
    holds: bool


BARS = (
    Bar("isoparam on JAX / bare lax.scan, both recording", "isoparam, jax", "lax.scan", 1.5),
    Bar("isoparam on JAX / jitted Python loop, both recording", "isoparam, jax", "jitted loop, jax", 1 / 50),
    Bar("isoparam on JAX, recording values / loss and gradient norm only", "isoparam, jax", "isoparam, jax, record=()", 1.3),
    Bar("isoparam on torch / hand-written loop, both recording", "isoparam, torch", "hand-written loop, torch", 1.0),
    Bar("isoparam on torch / parametrize, both recording", "isoparam, torch", "parametrize, torch", 1.0),
)


def judge(bar: Bar, per_step: dict[str, float]) -> Verdict:
    """Compare one ratio with its bar."""
    ratio = per_step[bar.slower] / per_step[bar.reference]
    shown = f"<= {bar.limit:g}" if bar.limit >= 1 else f"<= 1/{1 / bar.limit:g}"
    return Verdict(bar.what, ratio, shown, ratio <= bar.limit)
