"""What happens between a gradient and the parameters after it, besides the optimizer's own step."""

from isoparam.updates.averaging import EMA, SWA, Average
from isoparam.updates.clipping import Clip, ClipByNorm, ClipByValue
from isoparam.updates.scaling import GradScaler
from isoparam.updates.segments import Segment, grouped, rules_for, segments_of

UPDATES = (ClipByNorm, ClipByValue, EMA, SWA, GradScaler)

__all__ = [
    "EMA",
    "SWA",
    "UPDATES",
    "Average",
    "Clip",
    "ClipByNorm",
    "ClipByValue",
    "GradScaler",
    "Segment",
    "grouped",
    "rules_for",
    "segments_of",
]
