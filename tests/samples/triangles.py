"""Specs of `isoparam.specs.triangles`."""

from samples.sample import Sample

ROWS: tuple[Sample, ...] = ()
