"""torch_impl and jax_impl are read side by side: same files, same public names in the same order, same signatures.

Read from the source (AST), so that nothing has to be importable. A missing twin is a failure, never a skip; what cannot be
equal stands in `twin_exceptions.EXCEPTIONS` with its reason, and a row that is no longer needed fails.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import isoparam
from twin_exceptions import EXCEPTIONS

SOURCE = Path(isoparam.__file__).parent.parent
TORCH, JAX = SOURCE / "torch_impl", SOURCE / "jax_impl"
# What the doctor looks into is each framework's own: graphs that autograd recorded there, programs that are traced here.
OWN = "doctor/"
FACADES = {"torch.py", "jax.py"}
FRAMEWORKS = {"torch", "jax", "jaxlib", "flax", "optax", "orbax", "equinox"}


def modules(package: Path) -> list[str]:
    return sorted(str(path.relative_to(package)) for path in package.rglob("*.py") if path.parent != package / OWN)


FILES = sorted({*modules(TORCH), *modules(JAX)})
each_file = pytest.mark.parametrize("file", FILES)


def is_public(name: str) -> bool:
    return not name.startswith("_") or (name.startswith("__") and name.endswith("__"))


def outline(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(dotted name, outline) of every public class, function and method, in the order of the file."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and is_public(node.name):
            bases = ", ".join(map(ast.unparse, [*node.bases, *node.keywords]))
            yield prefix + node.name, f"class {node.name}({bases})"
            yield from outline(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and is_public(node.name):
            kinds = [ast.unparse(entry) for entry in node.decorator_list]
            marks = [f"@{kind} " for kind in kinds if kind in ("staticmethod", "classmethod", "property")]
            returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
            yield prefix + node.name, f"{''.join(marks)}def {node.name}({ast.unparse(node.args)}){returns}"


def outlines(package: Path, file: str) -> dict[str, str]:
    path = package / file
    return dict(outline(ast.parse(path.read_text()))) if path.exists() else {}


def differences(file: str) -> dict[str, tuple[str | None, str | None]]:
    torch_side, jax_side = outlines(TORCH, file), outlines(JAX, file)
    names = {*torch_side, *jax_side}
    return {name: (torch_side.get(name), jax_side.get(name)) for name in names if torch_side.get(name) != jax_side.get(name)}


def twin_notes(path: Path) -> list[str]:
    """Every `# twin:` sentence of a file, which may go on over further comment lines; spaces do not count."""
    notes, current = [], None
    for line in [*path.read_text().splitlines(), ""]:
        comment = line.strip()
        if comment.startswith("# twin:"):
            notes.extend([current] if current is not None else [])
            current = comment
        elif current is not None and comment.startswith("#"):
            current += comment[1:]
        elif current is not None:
            notes.append(current)
            current = None
    return [re.sub(r"\s+", " ", note) for note in notes]


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports, anywhere in it, by statement or by `import_module("...")`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            found |= {argument.value.partition(".")[0] for argument in node.args if isinstance(argument, ast.Constant)}
    return found


def test_the_packages_have_the_same_files() -> None:
    assert modules(TORCH) == modules(JAX)


@each_file
def test_outlines_are_equal(file: str) -> None:
    surprises = {name: pair for name, pair in differences(file).items() if (file, name) not in EXCEPTIONS}
    shown = "\n".join(f"  {name}\n    torch: {left}\n    jax:   {right}" for name, (left, right) in sorted(surprises.items()))
    assert not surprises, f"{file}: make these equal, or add a row with the reason to tests/twin_exceptions.py\n{shown}"


@each_file
def test_the_order_is_equal(file: str) -> None:
    excepted = {name for excepted_file, name in EXCEPTIONS if excepted_file == file}
    torch_order = [name for name in outlines(TORCH, file) if name not in excepted]
    jax_order = [name for name in outlines(JAX, file) if name not in excepted]
    assert torch_order == jax_order


def test_every_exception_is_needed_and_has_a_reason() -> None:
    stale = [row for row in EXCEPTIONS if row[0] not in FILES or row[1] not in differences(row[0])]
    assert not stale, f"these rows of tests/twin_exceptions.py are no longer needed: {stale}"
    assert all(len(reason.split()) >= 4 for reason in EXCEPTIONS.values())


@each_file
def test_twin_notes_stand_on_both_sides(file: str) -> None:
    assert sorted(twin_notes(TORCH / file)) == sorted(twin_notes(JAX / file))


@each_file
def test_documented_twins_are_documented_on_both_sides(file: str) -> None:
    def documented(package: Path) -> set[str]:
        body = ast.parse((package / file).read_text()).body
        public = [node for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef) and is_public(node.name)]
        return {node.name for node in public if ast.get_docstring(node)}

    excepted = {name for excepted_file, name in EXCEPTIONS if excepted_file == file}
    assert documented(TORCH) - excepted == documented(JAX) - excepted


def test_both_packages_export_the_same_names() -> None:
    def exported(package: Path) -> list[str]:
        for node in ast.parse((package / "__init__.py").read_text()).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                excepted = {name for _, name in EXCEPTIONS}
                return [name for name in ast.literal_eval(node.value) if name not in excepted]
        raise AssertionError(f"{package.name} has no __all__")

    assert exported(TORCH) == exported(JAX)
    assert len(exported(TORCH)) == len(set(exported(TORCH)))


@pytest.mark.parametrize("path", sorted((SOURCE / "isoparam").rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_the_shared_part_imports_no_framework(path: Path) -> None:
    backends = {"torch_impl", "jax_impl"}
    allowed = {f"{path.stem}_impl"} if path.parent.name == "isoparam" and path.name in FACADES else set()
    assert not imported(path) & (FRAMEWORKS | backends - allowed)


@pytest.mark.parametrize("file", modules(TORCH))
def test_the_torch_backend_knows_nothing_of_jax(file: str) -> None:
    assert not imported(TORCH / file) & ((FRAMEWORKS - {"torch"}) | {"jax_impl"})


@pytest.mark.parametrize("file", modules(JAX))
def test_the_jax_backend_knows_nothing_of_torch(file: str) -> None:
    assert not imported(JAX / file) & {"torch", "torch_impl"}


TESTS = Path(__file__).parent.parent
FORBIDDEN = {
    "torch_only": {"jax", "jaxlib", "flax", "optax", "jax_impl"},
    "jax_only": {"torch", "torch_impl"},
    "isoparam_only": {"torch_impl", "jax_impl", *FRAMEWORKS},
}
ONE_SIDED = [path for folder in FORBIDDEN for path in sorted((TESTS / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", ONE_SIDED, ids=lambda path: str(path.relative_to(TESTS)))
def test_one_sided_tests_import_one_side(path: Path) -> None:
    assert not imported(path) & FORBIDDEN[path.relative_to(TESTS).parts[0]]


def test_each_backend_is_tested_by_the_same_files() -> None:
    """A test of one backend without its twin would let the other go untested."""
    assert {path.name for path in (TESTS / "torch_only").glob("test_verbs*.py")} == {
        path.name for path in (TESTS / "jax_only").glob("test_verbs*.py")
    }
    assert {path.name for path in (TESTS / "torch_only").glob("test_oracle*.py")} == {
        path.name for path in (TESTS / "jax_only").glob("test_oracle*.py")
    }
