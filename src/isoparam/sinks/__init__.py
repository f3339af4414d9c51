"""Sinks: where rows of numbers go while a model trains. Each is a callback of `train` and a sink of `Monitor` alike.

A row is a dict {column: number or array}, such as `train` gives its callbacks and `Monitor.record` returns. Every row of
one sink has the same columns. Entries of an array become columns of their own, `w[0]` or `w[0,1]`, but in `Memory` and
`JSONL`, which keep arrays.
"""

from isoparam.sinks.base import Memory, Sink
from isoparam.sinks.files import CSV, JSONL
from isoparam.sinks.tensorboard import TensorBoard
from isoparam.sinks.watched import Watched

__all__ = ["CSV", "JSONL", "Memory", "Sink", "TensorBoard", "Watched"]
