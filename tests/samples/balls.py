"""Specs of `isoparam.specs.balls`."""

from samples.sample import Sample

ROWS: tuple[Sample, ...] = ()
