"""Specs of `isoparam.specs.correlation`."""

from samples.sample import Sample

ROWS: tuple[Sample, ...] = ()
