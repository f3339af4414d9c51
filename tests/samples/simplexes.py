"""Specs of `isoparam.specs.simplexes`."""

from samples.sample import Sample

ROWS: tuple[Sample, ...] = ()
