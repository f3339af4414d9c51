"""Specs of `isoparam.specs.planes`."""

from samples.sample import Sample

ROWS: tuple[Sample, ...] = ()
