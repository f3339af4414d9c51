"""Specs of `isoparam.specs.covariance`."""

from samples.sample import Sample

ROWS: tuple[Sample, ...] = ()
