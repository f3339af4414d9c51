"""Specs of `isoparam.specs.rotations`."""

from samples.sample import Sample

ROWS: tuple[Sample, ...] = ()
