"""Specs of `isoparam.specs.norms`."""

from samples.sample import Sample

ROWS: tuple[Sample, ...] = ()
