"""Specs of `isoparam.specs.stochastic`."""

from samples.sample import Sample

ROWS: tuple[Sample, ...] = ()
