"""Schedules as data: how the step size changes, in the names, defaults and meaning of torch.optim.lr_scheduler."""

from isoparam.schedules.base import Schedule, as_schedule
from isoparam.schedules.combined import ChainedScheduler, SequentialLR
from isoparam.schedules.cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from isoparam.schedules.cycles import CyclicLR, OneCycleLR
from isoparam.schedules.factors import ConstantLR, ExponentialLR, LambdaLR, LinearLR, MultiStepLR, PolynomialLR, StepLR
from isoparam.schedules.plateau import ReduceLROnPlateau
from isoparam.schedules.timetable import Timetable, Timetables, first_settings, with_settings

SCHEDULES: tuple[type[Schedule], ...] = (
    LambdaLR,
    StepLR,
    MultiStepLR,
    ConstantLR,
    LinearLR,
    ExponentialLR,
    PolynomialLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    OneCycleLR,
    CyclicLR,
    SequentialLR,
    ChainedScheduler,
    ReduceLROnPlateau,
)

__all__ = [
    "SCHEDULES",
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "Schedule",
    "SequentialLR",
    "StepLR",
    "Timetable",
    "Timetables",
    "as_schedule",
    "first_settings",
    "with_settings",
]
