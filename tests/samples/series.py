"""Specs of `isoparam.specs.series`."""

from samples.sample import Sample

ROWS: tuple[Sample, ...] = ()
