"""What every test runs over: one row per sample of a spec, and the points at which it is tried. Data, no framework.

A constraint without a row here fails `test_every_spec_has_a_sample_row`. Each file holds the rows of the spec file of its name.
"""

import isoparam as iso
from samples import (
    balls,
    correlation,
    covariance,
    norms,
    planes,
    rotations,
    scalars,
    series,
    simplexes,
    stochastic,
    structure,
    triangles,
    vectors,
)
from samples.sample import DTYPES, REACH, Sample, batches, points, turning_points, volume_of, weights_of

SAMPLES = (
    *scalars.ROWS,
    *vectors.ROWS,
    *simplexes.ROWS,
    *stochastic.ROWS,
    *balls.ROWS,
    *planes.ROWS,
    *series.ROWS,
    *triangles.ROWS,
    *covariance.ROWS,
    *correlation.ROWS,
    *rotations.ROWS,
    *norms.ROWS,
    *structure.ROWS,
)
MAPS = tuple(sample for sample in SAMPLES if not sample.like)  # one for each map: the others only add a bound or an axis
# Maps that inductor compiles in one graph; the others get one each, of the usual size: one of all takes five minutes a dtype.
BY_INDUCTOR = tuple(sample for sample in (*scalars.ROWS, *vectors.ROWS) if not sample.like)
# Maps without a compiled row in the tests, and why.
NOT_BY_INDUCTOR = {
    "corr-chol-tanh": "inductor is still at its graph after 100 s, at the usual size of 3 raw numbers",
    "corr-tanh": "as corr-chol-tanh, whose value it takes",
}
SCALARS = tuple(sample for sample in SAMPLES if sample.is_scalar)
# Vector specs of any length and with an axis: the others are tried with all that are not scalar.
VECTORS = tuple(s for s in SAMPLES if s.spec.kind == "vector" and "axis" in vars(s.spec) and s.spec.own_shape is None)
MATRICES = tuple(sample for sample in SAMPLES if sample.spec.kind == "matrix")
SHAPED = tuple(sample for sample in SAMPLES if not sample.is_scalar)
UNSAMPLED = {
    iso.Fixed: "raw has no entries, so that nothing here can vary; tests/parity/test_structure_verbs.py",
    iso.Tied: "its verbs need the other parameter, so that there is a tree; tests/parity/test_structure.py",
}

__all__ = [
    "BY_INDUCTOR",
    "DTYPES",
    "MAPS",
    "MATRICES",
    "NOT_BY_INDUCTOR",
    "REACH",
    "SAMPLES",
    "SCALARS",
    "SHAPED",
    "UNSAMPLED",
    "VECTORS",
    "Sample",
    "batches",
    "points",
    "turning_points",
    "volume_of",
    "weights_of",
]
