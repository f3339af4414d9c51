"""The doctor in PyTorch: finds stale graphs before training, while it runs, and after the exception."""

from isoparam.diagnosis import Diagnosis, Finding
from torch_impl.doctor.explain import explain, explaining
from torch_impl.doctor.scan import scan
from torch_impl.doctor.watch import Watch, watch

__all__ = ["Diagnosis", "Finding", "Watch", "explain", "explaining", "scan", "watch"]
