"""Specs of `isoparam.specs.structure`."""

from samples.sample import Sample

ROWS: tuple[Sample, ...] = ()
