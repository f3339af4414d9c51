"""Kill a run that saves at every step, at random moments, again and again: `python -m benchmarks.kills --kills 100`.

After each SIGKILL the directory is read: its state has to be whole, and no older than the one seen before. The next process
goes on with it; at the end of the run everything has to have the bits of the run that nobody killed.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np

import isoparam as iso
from isoparam.backends import load
from isoparam.checkpoints.store import Stored, read

STEPS = 400
LONGEST = 0.25  # seconds from the first save of a process to its end
BACKENDS = ("torch", "jax")


def problem() -> iso.Problem:
    """Minibatches, so that the place in the data counts, and momentum, so that the state does."""
    data = {"y": np.random.default_rng(1).normal(2.0, 1.0, (64, 3))}
    return iso.Problem(
        name="killed",
        constraints={"weights": iso.Simplex(), "scale": iso.Positive()},
        init={"weights": np.array([0.2, 0.3, 0.5]), "scale": 1.0},
        loss=lambda values, batch: ((values["scale"] * values["weights"] - batch["y"]) ** 2).mean(),
        data=data,
        batch_size=8,
    )


def life(folder: Path, backend: str) -> None:
    """What one process does: begin the run, or go on with what is saved of it."""
    if (folder / "checkpoint.json").exists():
        iso.resume(folder, backend, problem=problem())
    else:
        iso.train(problem(), backend, iso.Adam(lr=0.01), steps=STEPS, checkpoint_dir=folder, checkpoint_every=1)


def child(work: Callable[[], None]) -> int:
    """Do this in a process of its own; its number."""
    number = os.fork()
    if number:
        return number
    try:
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def killed(folder: Path, backend: str, rng: np.random.Generator) -> bool:
    """Let a process live for a while after its first save. Whether it was killed; False: it had come to its end."""
    before = _stamp(folder)
    number = child(lambda: life(folder, backend))
    while _stamp(folder) == before and os.waitpid(number, os.WNOHANG) == (0, 0):
        time.sleep(0.001)
    time.sleep(rng.uniform(0.0, LONGEST))
    try:
        os.kill(number, signal.SIGKILL)
        status = os.waitpid(number, 0)[1]
    except (ProcessLookupError, ChildProcessError):
        raise SystemExit(f"a process of {backend} failed") from None
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"a process of {backend} failed")
    return os.WIFSIGNALED(status)


def _stamp(folder: Path) -> int:
    path = folder / "checkpoint.json"
    return path.stat().st_mtime_ns if path.exists() else 0


def equal(ours: Stored, theirs: Stored) -> bool:
    """Whether two states have the same bits, their histories too."""
    return all(
        list(a) == list(b) and all(a[name].tobytes() == b[name].tobytes() for name in a)
        for a, b in ((ours.state, theirs.state), (ours.history, theirs.history))
    )


def series(backend: str, kills: int, seed: int) -> str:
    """Kill a run so many times, beginning another when one has come to its end."""
    if backend == "torch":
        import torch

        torch.set_num_threads(1)
        load(backend)  # once: the processes inherit it. JAX has threads, which a fork does not survive: each imports it
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place) / "whole"
        number = child(lambda: iso.train(problem(), backend, iso.Adam(lr=0.01), steps=STEPS).save(whole))
        if os.waitpid(number, 0)[1]:
            raise SystemExit(f"the run of {backend} that nobody kills failed")
        wanted, done, runs, last = read(whole), 0, 0, -1
        folder = Path(place) / "run-0"
        while done < kills or last < STEPS:
            if done < kills:
                done += killed(folder, backend, rng)
            else:
                os.waitpid(child(lambda folder=folder: life(folder, backend)), 0)
            stored = read(folder)
            if (folder / "previous.json").exists():
                read(folder / "previous.json")
            if stored.settings["step"] < last:
                raise SystemExit(f"step {last} had been saved, and now it is {stored.settings['step']}")
            last = stored.settings["step"]
            if last == STEPS and stored.settings["stopped"] == "steps":
                if not equal(stored, wanted):
                    raise SystemExit(f"after {done} kills the run of {backend} ended with other bits")
                runs += 1
                if done < kills:
                    folder, last = Path(place) / f"run-{runs}", -1
    return (
        f"{backend}: {done} processes killed, every state they left was whole, and {runs} runs of {STEPS} steps ended with the "
        f"bits of the one that nobody killed"
    )


def main() -> None:
    """Read the options and print a line per backend."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--kills", type=int, default=100, help="of each backend")
    parser.add_argument("--backend", choices=BACKENDS, action="append", help="by default both")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for backend in options.backend or BACKENDS:
        print(series(backend, options.kills, options.seed))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
