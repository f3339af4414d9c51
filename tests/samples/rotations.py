"""Specs of `isoparam.specs.rotations`."""

import numpy as np

import isoparam as iso
from samples.sample import Sample

SHEARED = [[1.0, 1.0], [0.0, 1.0]]
NOT_A_NUMBER = [[np.nan, 0.0], [0.0, 1.0]]
MIRROR = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1.0]]
SQUARE = ((1,), (3,), (6,))
TURN = [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]

ROWS: tuple[Sample, ...] = (
    Sample(
        "orthogonal",
        iso.Orthogonal(),
        outside=(SHEARED, NOT_A_NUMBER),
        only_checked=True,
        raws=SQUARE,
        volume="relative",
        far=4.0,
    ),
    Sample(
        "orthogonal-exp",
        iso.Orthogonal(map="exp"),
        outside=(SHEARED, NOT_A_NUMBER),
        raws=((1,), (3,)),
        far=1.5,
        unique=False,
        only_checked=True,
        back=22.0,  # a logarithm near half a turn: 7.2 in torch, 17.5 in JAX (a turn by 3.12)
    ),
    Sample(
        "orthogonal-householder",
        iso.Orthogonal(map="householder"),
        outside=(SHEARED,),
        only_checked=True,
        raws=SQUARE,
        volume="relative",
        far=4.0,
        back=10.0,  # rounding raw up to 3 moves entries below 1 by 4 ULP: 7.5 in torch, 8.0 in JAX
    ),
    Sample(
        "special-orthogonal",
        iso.SpecialOrthogonal(base=TURN),
        outside=(MIRROR, [[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
        raws=((3,), (3,)),
        only_checked=True,
        volume="relative",
        far=4.0,
        like="orthogonal",
    ),
    Sample(
        "stiefel", iso.Stiefel(columns=2), outside=(SHEARED, NOT_A_NUMBER), only_checked=True, raws=((1,), (3,), (5,)), far=4.0
    ),
    Sample(
        "stiefel-rows",
        iso.Stiefel(rows=2),
        outside=(SHEARED,),
        only_checked=True,
        raws=((1,), (3,), (5,)),
        far=4.0,
        like="stiefel",
    ),
)
