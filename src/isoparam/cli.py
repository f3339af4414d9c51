"""The command line: `isoparam train | parity | problems | doctor | ...`. What a command needs is imported when it runs."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isoparam.errors import Interrupted, IsoparamError, SpecError
from isoparam.files import check_files, write
from isoparam.lint.command import doctor
from isoparam.version import __version__

if TYPE_CHECKING:
    from isoparam.optimizers import Optimizer
    from isoparam.problem import Problem

BROKEN = 1  # exit code of a comparison over its budget
INTERRUPTED = 130  # exit code after Ctrl-C, as of a process that the signal ended
REFUSED = 2  # exit code of a request that cannot be carried out, as for an unknown option

app = typer.Typer(
    name="isoparam",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: half the time, and the same without a terminal
    context_settings={"help_option_names": ["-h", "--help"]},
)


app.command()(doctor)


def main() -> None:
    """Run the command line; an error of isoparam is one message and exit code 2."""
    try:
        if sys.argv[1:3] == ["doctor", "run"]:  # what follows is the script's own, options too
            sys.exit(run_under_doctor(sys.argv[3:]))
        app(prog_name="isoparam")
    except IsoparamError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(REFUSED)


def run_under_doctor(words: list[str]) -> int:
    """`isoparam doctor run SCRIPT [ARGUMENTS]...`: the script's exit code."""
    from isoparam.diagnosis.running import run_script

    if not words or words[0] in ("-h", "--help"):
        typer.echo("Usage: isoparam doctor run SCRIPT [ARGUMENTS]...\n\n  Run a script; report what the doctor saw to stderr.")
        return 0 if words else REFUSED
    return run_script(words[0], words[1:])


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C while training is one message and an exit code of its own."""
    try:
        yield
    except Interrupted as error:
        typer.echo(f"{error}", err=True)
        raise typer.Exit(INTERRUPTED) from None


class One(StrEnum):
    """One backend."""

    TORCH = "torch"
    JAX = "jax"


class Where(StrEnum):
    """The backends to train on."""

    TORCH = "torch"
    JAX = "jax"
    BOTH = "both"


class Dtype(StrEnum):
    """Dtype of the parameters."""

    FLOAT64 = "float64"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class Device(StrEnum):
    """Where to compute."""

    CPU = "cpu"
    CUDA = "cuda"


class Method(StrEnum):
    """How constraints are kept."""

    TRANSFORM = "transform"
    PROJECTED = "projected"


class Tables(StrEnum):
    """The tables of `isoparam pitfalls`."""

    CASES = "cases"
    CONTEST = "contest"


class Algorithm(StrEnum):
    """Optimizers, in the meaning of torch.optim."""

    SGD = "sgd"
    ADAM = "adam"
    ADAMW = "adamw"
    NADAM = "nadam"
    RADAM = "radam"
    ADAMAX = "adamax"
    ADAGRAD = "adagrad"
    ADADELTA = "adadelta"
    RMSPROP = "rmsprop"
    RPROP = "rprop"
    ASGD = "asgd"
    ADAFACTOR = "adafactor"
    MUON = "muon"
    SPARSEADAM = "sparseadam"
    LBFGS = "lbfgs"


class Numerics(StrEnum):
    """How numbers are rounded."""

    FAST = "fast"
    EXACT = "exact"


OptimizerOption = Annotated[
    Algorithm | None,
    typer.Option(
        "--optimizer",
        metavar="NAME",
        help=f"One of torch.optim, lbfgs with strong Wolfe; by default that of the recipe: {', '.join(Algorithm)}.",
    ),
]
LrOption = Annotated[float | None, typer.Option("--lr", help="Step size; by default that of the optimizer.")]
SeedOption = Annotated[int, typer.Option(help="Seed of the order of the data.")]
DeviceOption = Annotated[Device, typer.Option(help="Where to compute.")]
EveryOption = Annotated[
    int | None, typer.Option("--checkpoint-every", help="Save every so many steps; by default once a minute.")
]
MethodOption = Annotated[Method, typer.Option(help="Train raw, or the values and project them after each step.")]


@app.callback(invoke_without_command=True)
def isoparam(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)] = False,
) -> None:
    """Constrained parameters for PyTorch and JAX/Flax: one declaration, two native backends, measured equality."""
    if version:
        typer.echo(f"isoparam {__version__}")
        raise typer.Exit


@app.command()
def train(
    problem: Annotated[str, typer.Argument(help="A built-in problem, such as linkage.")],
    backend: Annotated[Where, typer.Option(help="Where to train; there is no default.")],
    steps: Annotated[int | None, typer.Option(help="Updates; by default steps and tolerance of the recipe.")] = None,
    optimizer: OptimizerOption = None,
    lr: LrOption = None,
    seed: SeedOption = 0,
    dtype: Annotated[Dtype | None, typer.Option(help="Dtype of the parameters; by default that of the recipe.")] = None,
    device: DeviceOption = Device.CPU,
    method: MethodOption = Method.TRANSFORM,
    numerics: Annotated[
        Numerics, typer.Option(help="exact: float32 with the same bits in both; starts itself anew with the variables for it.")
    ] = Numerics.FAST,
    checkpoint_dir: Annotated[
        Path | None, typer.Option("--checkpoint", metavar="DIR", help="Save the run here, for isoparam resume.")
    ] = None,
    checkpoint_every: EveryOption = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the result here.")] = None,
    plot_file: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Draw the run here: .png, .svg.")] = None,
) -> None:
    """Train a built-in problem on one backend, or on both and say how closely they agree."""
    from isoparam import console, problems
    from isoparam.backends import BACKENDS
    from isoparam.exact import restart
    from isoparam.plot import check_can_draw, draw
    from isoparam.train import train as fit

    chosen = problems.get(problem)
    check_files(json_file, plot_file)
    if plot_file is not None:
        check_can_draw(plot_file)
    if numerics is Numerics.EXACT:
        restart(["-m", "isoparam", *sys.argv[1:]])
    backends = BACKENDS if backend is Where.BOTH else (backend.value,)
    if checkpoint_dir is not None and len(backends) > 1:
        raise SpecError("--checkpoint saves one run; give --backend torch or --backend jax")
    asked = asked_optimizer(chosen, optimizer, lr)
    screen = console.screen()
    with interruptible():
        runs = [
            fit(
                chosen,
                name,
                asked,
                steps=steps,
                seed=seed,
                dtype=dtype and dtype.value,
                device=device.value,
                checkpoint_dir=checkpoint_dir,
                checkpoint_every=checkpoint_every,
                progress=screen.is_terminal,
                method=method.value,
                numerics=numerics.value,
            )
            for name in backends
        ]
    console.show_runs(screen, chosen, runs)
    write(json_file, json.dumps(console.runs_as_data(chosen, runs), indent=2) + "\n")
    if plot_file is not None:
        draw(runs, plot_file, chosen.published)


@app.command()
def resume(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where a run was saved.")],
    backend: Annotated[One, typer.Option(help="Where to go on, whichever began it; there is no default.")],
    steps: Annotated[int | None, typer.Option(help="Further steps; by default up to those of the run.")] = None,
    checkpoint_every: EveryOption = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the result here.")] = None,
    plot_file: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Draw the run here: .png, .svg.")] = None,
) -> None:
    """Go on with a saved run of a built-in problem, in either backend."""
    from isoparam import console, problems
    from isoparam.exact import restart
    from isoparam.plot import check_can_draw, draw
    from isoparam.resume import is_exact
    from isoparam.resume import resume as go_on

    check_files(json_file, plot_file)
    if plot_file is not None:
        check_can_draw(plot_file)
    if is_exact(folder):
        restart(["-m", "isoparam", *sys.argv[1:]])
    screen = console.screen()
    with interruptible():
        run = go_on(folder, backend.value, steps, checkpoint_every=checkpoint_every, progress=screen.is_terminal)
    chosen = problems.get(run.problem)
    console.show_runs(screen, chosen, [run])
    write(json_file, json.dumps(console.runs_as_data(chosen, [run]), indent=2) + "\n")
    if plot_file is not None:
        draw([run], plot_file, chosen.published)


@app.command()
def parity(
    problem: Annotated[str | None, typer.Argument(help="A built-in problem; by default all of them.")] = None,
    steps: Annotated[int, typer.Option(help="Updates of the longest run.")] = 1000,
    optimizer: OptimizerOption = None,
    lr: LrOption = None,
    seed: SeedOption = 0,
    dtype: Annotated[
        Dtype | None, typer.Option(help="Dtype of the parameters; by default float64, and float32 if exact.")
    ] = None,
    device: DeviceOption = Device.CPU,
    method: MethodOption = Method.TRANSFORM,
    numerics: Annotated[
        Numerics, typer.Option(help="exact: no bit may differ; starts itself anew with the variables for it.")
    ] = Numerics.FAST,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the reports here, as a list.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write the reports here, as a page.")] = None,
) -> None:
    """Compare torch and JAX stage by stage; exit code 1 when a number is over its budget."""
    from isoparam import problems
    from isoparam.exact import restart
    from isoparam.parity import compare
    from isoparam.parity.page import page

    chosen = [problems.get(name) for name in ([problem] if problem else problems.names())]
    check_files(json_file, html_file)
    if numerics is Numerics.EXACT:
        restart(["-m", "isoparam", *sys.argv[1:]])
    reports = []
    for each in chosen:
        asked = asked_optimizer(each, optimizer, lr)
        width = dtype and dtype.value
        settings: dict[str, Any] = {"method": method.value, "numerics": numerics.value}
        reports.append(compare(each, steps, width, asked, seed, device.value, **settings))
        typer.echo(f"{reports[-1]}\n")
    write(json_file, json.dumps([json.loads(report.to_json()) for report in reports], indent=2) + "\n")
    write(html_file, page(reports))
    if not all(report.ok for report in reports):
        raise typer.Exit(BROKEN)


@app.command()
def pitfalls(
    backend: Annotated[Where, typer.Option(help="Where to run the cases.")] = Where.BOTH,
    only: Annotated[Tables | None, typer.Option(help="One of the two tables of each backend.")] = None,
    steps: Annotated[int, typer.Option(help="Updates of each case.")] = 10_000,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the tables here.")] = None,
) -> None:
    """Run the stale parameter, its wrong fixes and its cures; then the smooth map against projection."""
    from isoparam import pitfalls
    from isoparam.backends import BACKENDS, load
    from isoparam.pitfalls.text import case_table, contest_table

    check_files(json_file)
    content: dict[str, Any] = {}
    for name in BACKENDS if backend is Where.BOTH else (backend.value,):
        title = f"{name} {load(name).train.versions()[name]}"
        content[name] = {}
        if only is not Tables.CONTEST:
            rows = pitfalls.run_all(name, steps)
            typer.echo("\n".join([*case_table(name, title, rows, steps), ""]))
            content[name]["cases"] = pitfalls.as_data(rows)
        if only is not Tables.CASES:
            laps = [lap for contest in pitfalls.CONTESTS for lap in pitfalls.laps(name, contest)]
            typer.echo("\n".join([*contest_table(title, laps), ""]))
            content[name]["contest"] = pitfalls.as_data(laps)
    write(json_file, json.dumps(content, indent=2) + "\n")


@app.command()
def problems(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="By default all of them.")] = None,
    backend: Annotated[Where, typer.Option(help="Where to train.")] = Where.BOTH,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the rows here, as a list.")] = None,
) -> None:
    """Train the built-in problems by their recipes: digits reached, and how closely torch and JAX agree."""
    from isoparam import problems
    from isoparam.backends import BACKENDS
    from isoparam.console import runs_as_data
    from isoparam.scores import heading, line
    from isoparam.train import train as fit

    chosen = [problems.get(name) for name in names or problems.names()]
    check_files(json_file)
    backends = BACKENDS if backend is Where.BOTH else (backend.value,)
    typer.echo(heading(backends))
    content = []
    for each in chosen:
        runs = [fit(each, name) for name in backends]
        typer.echo(line(each, runs))
        content.append(runs_as_data(each, runs))
    write(json_file, json.dumps(content, indent=2) + "\n")


@app.command()
def catalogue(
    spec: Annotated[str | None, typer.Argument(help="Show this spec in full.")] = None,
    backend: Annotated[One | None, typer.Option(help="Draw its map and derivative, computed there.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Write that picture here: .png, .svg, .pdf.")] = None,
) -> None:
    """List the constraints, or show one in full."""
    from isoparam import console

    screen = console.screen()
    if spec is None:
        if backend is not None or plot is not None:
            raise SpecError("a picture is of one spec: isoparam catalogue Interval --backend torch")
        console.show_catalogue(screen)
        return
    chosen = console.spec_named(spec)
    if plot is not None and backend is None:
        raise SpecError(f"--plot {plot} needs --backend torch or --backend jax, which computes what is drawn")
    check_files(plot)
    console.show_spec(screen, chosen)
    if backend is None:
        return
    from isoparam import sketch

    picture = sketch.sketch(chosen, backend.value)
    typer.echo("\n" + sketch.as_text(picture))
    if plot is not None:
        sketch.draw_sketch(picture, plot)


def asked_optimizer(problem: "Problem", algorithm: Algorithm | None, lr: float | None) -> "Optimizer | None":
    """The optimizer that the options ask for; None where they say nothing."""
    from isoparam.optimizers import LBFGS, OPTIMIZERS

    if algorithm is None and lr is None:
        return None
    classes: dict[Algorithm, Any] = {Algorithm(kind.__name__.lower()): kind for kind in OPTIMIZERS}
    classes[Algorithm.LBFGS] = partial(LBFGS, line_search_fn="strong_wolfe")
    if algorithm is not None:
        return classes[algorithm]() if lr is None else classes[algorithm](lr=lr)
    if problem.recipe is None:
        raise SpecError(f"--lr={lr} needs --optimizer, since problem {problem.name!r} has no recipe")
    return replace(problem.recipe.optimizer, lr=lr)
