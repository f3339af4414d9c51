"""The sink that TensorBoard shows."""

import time
import weakref
from pathlib import Path

from isoparam.errors import BackendError, SpecError
from isoparam.sinks.base import Row, Sink, cells, check_open


class TensorBoard(Sink):
    """Writes scalars for TensorBoard, which shows them with `tensorboard --logdir FOLDER`; needs neither torch nor JAX.

    Each number is a tag: `loss`, `x`, `x.distance`; the entries of an array share a card, `w/0`, `w/0,1`.

    Args:
        folder: for the event file, which is a new one each time; a folder per run keeps runs apart.

    Raises:
        BackendError: without the package tensorboard.
        SpecError: for a folder that cannot be made, and a row after `close`.

    Limits: TensorBoard keeps float32. Rows reach the disk within a second, and all of them at `close`.

    Example:
        >>> import isoparam as iso, tempfile
        >>> with iso.sinks.TensorBoard(tempfile.mkdtemp()) as sink:
        ...     run = iso.train(iso.problems.get("scalar"), backend="torch", steps=2, callbacks=(sink,))
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]  made by protobuf
            from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ModuleNotFoundError as error:
            raise BackendError(f"TensorBoard needs {error.name}: pip install 'isoparam[tensorboard]'") from error
        self._event, self._summary = Event, Summary
        self._path = Path(folder)
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            self._writer = EventFileWriter(str(folder), max_queue_size=1000, flush_secs=1)
        except OSError as error:
            raise SpecError(f"cannot write into {str(folder)!r}: {error.strerror}; name a folder") from None
        self._close = weakref.finalize(self, self._writer.close)

    def write(self, row: Row) -> None:
        """Write the numbers of a row as one event at its step."""
        check_open(self._path, not self._close.alive)
        numbers = dict(cells(row, "/", ""))
        step = int(numbers.pop("step"))
        values = [self._summary.Value(tag=tag, simple_value=number) for tag, number in numbers.items()]
        self._writer.add_event(self._event(wall_time=time.time(), step=step, summary=self._summary(value=values)))

    def close(self) -> None:
        """Write what waits and close the event file."""
        self._close()
