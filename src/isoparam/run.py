"""Run: what `train` gives back. Evaluation: one look at values, loss and gradients. All in numpy."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from isoparam.errors import SpecError
from isoparam.optimizers import Optimizer

Stopped = Literal["steps", "tol_grad", "callback", "non_finite", "interrupted"]


class Evaluation(NamedTuple):
    """Values, loss and the gradient of the loss with respect to raw, at one point.

    Attributes:
        values: {name: constrained value}.
        loss: a 0-d array.
        grads: {name: gradient of raw}, of the shapes of raw.
    """

    values: dict[str, np.ndarray]
    loss: np.ndarray
    grads: dict[str, np.ndarray]


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """The result of a training.

    Attributes:
        values: {name: constrained value} after the last update.
        raw: {name: raw parameter} after the last update, with the same keys. In projected training nothing but the values
            is trained: raw holds the same numbers.
        variables: {name: array} of what the loss of a module carries besides its parameters, such as batch statistics,
            after the last update; {} for a plain loss.
        history: {"step", "loss", "grad_norm", and a name for each recorded value}: arrays whose first axis counts the
            rows. Row k holds what was there **before** update `step[k]`; `grad_norm` is the 2-norm of the gradient of
            all raw parameters together; in projected training, of x - project(x - gradient).
        problem: name of the problem.
        backend: "torch" or "jax".
        steps: steps done, those of the runs that it went on with among them.
        stopped: what ended the run: "steps", "tol_grad", "callback", "non_finite" or "interrupted".
        optimizer: the optimizer as asked for.
        seed: seed of the run.
        dtype: dtype of the run; bfloat16 results come as float32 arrays.
        method: "transform" or "projected".
        versions: {package: version} of what ran.
        seconds: wall time of the run, in seconds.
        compile_seconds: the part of it that went into preparing and compiling, in seconds.
        skipped: steps without an update, since their loss or gradient was not finite.
        average: {name: constrained value} of the average of the parameters that `train(average=...)` keeps; None without one,
            or where no step is in it yet.
        checkpoint: what `save` writes besides the history.
    """

    values: dict[str, np.ndarray]
    raw: dict[str, np.ndarray]
    variables: dict[str, np.ndarray]
    history: dict[str, np.ndarray]
    problem: str
    backend: str
    steps: int
    stopped: Stopped
    optimizer: Optimizer
    seed: int
    dtype: str
    method: str
    versions: dict[str, str]
    seconds: float
    compile_seconds: float
    skipped: int = 0
    average: dict[str, np.ndarray] | None = None
    checkpoint: Any = None

    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Save everything that it takes to go on with the run in either backend: `isoparam.resume(folder, backend=...)`.

        The state that the directory holds of this run so far is kept beside it, as previous.json.

        Args:
            folder: a directory; it is made where it is missing.
            overwrite: whether it may hold the checkpoint of another run, or a later one of this run, which becomes
                previous.json, and is gone after the next save.

        Raises:
            SpecError: for what is no path.
            CheckpointError: where it cannot be written, or holds the checkpoint of another run, or a later one; it is as
                before then.

        Example:
            >>> import isoparam as iso, tempfile
            >>> folder = tempfile.mkdtemp()
            >>> iso.train(iso.problems.get("linkage"), backend="torch", steps=100).save(folder)
            >>> iso.resume(folder, backend="jax", steps=50).steps
            150
        """
        from isoparam.arguments import place
        from isoparam.checkpoints.keeper import save

        save(place("save: folder", folder), self.checkpoint, self.history, overwrite=overwrite)

    def export(
        self, path: str | Path, format: Literal["torch", "orbax", "npz"], what: Literal["values", "raw", "all"] = "values"
    ) -> None:
        """Write the numbers of the run for other programs. `save` is what a run goes on from.

        Args:
            path: the file, or for Orbax a directory that is not there yet.
            format: "torch": a state_dict, for `torch.load(path, weights_only=True)`; "orbax": a checkpoint of Orbax, in
                which "a.b" is the entry "b" of "a"; "npz": a file for `numpy.load`.
            what: "values": the constrained values, for a plain module; "raw": what is trained, where that of a constrained
                x is called `x_raw`, as in a module with `Constrained`; either with the variables. "all": everything that
                `save` writes, with the history.

        Raises:
            SpecError: for another format or content.
            CheckpointError: where it cannot be written.
            BackendError: for a framework that is not installed.

        Example:
            >>> import isoparam as iso, numpy as np, tempfile, pathlib
            >>> file = pathlib.Path(tempfile.mkdtemp()) / "run.npz"
            >>> run = iso.train(iso.problems.get("linkage"), backend="torch", steps=100)
            >>> run.export(file, "npz", what="raw")
            >>> np.load(file).files
            ['t_raw']
        """
        from isoparam.arguments import place
        from isoparam.checkpoints.export import export

        export(self, place("export: path", path, "a file, such as 'run.npz'"), format, what)

    @property
    def optimizer_state(self) -> Any:
        """The state of the optimizer by names of torch, for `from_neutral`: a loop of your own goes on from here.

        Example:
            >>> import isoparam as iso
            >>> run = iso.train(iso.problems.get("linkage"), backend="torch", optimizer=iso.Adam(), steps=7)
            >>> {entry: array.shape for entry, array in run.optimizer_state.entries["t"].items()}
            {'step': (), 'exp_avg': (), 'exp_avg_sq': ()}
        """
        from isoparam.handover import from_snapshot

        return from_snapshot(self.optimizer, self.checkpoint, tuple(self.raw))

    def summary(self) -> str:
        """The run in a few lines, for a terminal."""
        projected = "projected " if self.method == "projected" else ""
        lines = [
            f"{self.problem} on {self.backend}, {self.dtype}: {self.steps} {projected}steps of {type(self.optimizer).__name__} "
            f"in {self.seconds:.2f} s ({self.compile_seconds:.2f} s compiling), stopped by {self.stopped}"
        ]
        if len(self.history["loss"]):
            rows = self.history
            lines.append(f"loss {rows['loss'][0]:.6g} -> {rows['loss'][-1]:.6g}, gradient norm {rows['grad_norm'][-1]:.3g}")
        lines += [f"{name} = {_shown(value)}" for name, value in self.values.items()]
        return "\n".join(lines)

    def plot(
        self, other: "Run | None" = None, path: str | Path | None = None, published: Mapping[str, Any] | None = None
    ) -> Any:
        """Draw loss, gradient norm and the recorded values over the steps; needs `pip install 'isoparam[plot]'`.

        Args:
            other: a second run of the problem, such as that of the other backend, to draw over this one, with a panel of
                how far the two are apart.
            path: write the picture here too, as .png, .svg or .pdf.
            published: {name: value} to draw as dotted lines, such as `problem.published`.

        Returns:
            The matplotlib Figure, whose axes may be changed further.

        Raises:
            BackendError: without matplotlib.
            SpecError: for a run that recorded nothing, another problem's run, or a file that cannot be written.

        Example:
            >>> import isoparam as iso
            >>> problem = iso.problems.get("scalar")
            >>> torch, jax = (iso.train(problem, backend=backend) for backend in ("torch", "jax"))
            >>> figure = torch.plot(jax, published=problem.published)
            >>> [axes.get_ylabel() for axes in figure.axes]
            ['loss', 'gradient norm', 'x', 'largest relative difference']
        """
        from isoparam.plot import draw  # matplotlib is slow to import, and may be missing

        if not (other is None or isinstance(other, Run)):
            raise SpecError(f"plot: other={other!r} must be a second Run; for a file write run.plot(path='run.png')")
        return draw([self] if other is None else [self, other], path, published)

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={_shown(value)}" for name, value in self.values.items())
        return f"Run({self.problem!r}, {self.backend!r}, steps={self.steps}, stopped={self.stopped!r}, {values})"


def _shown(value: Any) -> str:
    if value.ndim == 0:
        return repr(float(value))
    if value.size <= 8:
        return np.array2string(value, separator=", ").replace("\n", "")
    return f"{value.dtype.name} {value.shape} in [{value.min():.4g}, {value.max():.4g}]"
