"""Modules import downwards only, use no private names of others, and are of a size that can be read."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import mica_lake

ROOT = Path(__file__).resolve().parent.parent
MOST_LINES = 500
# From below; what is on one line may import its own line, but for the last two.
LAYERS = (
    ("errors", "times", "products", "buffers", "output", "terminal", "drawn", "pixels"),
    ("store", "formats", "tables", "sql"),
    ("catalog",),
    ("forked", "direct", "opened", "query", "lake", "export", "nothing", "reading", "spark"),
    ("aca_image", "flicker", "quaternion", "common", "utils", "bad_obsids", "regression"),
    ("archive", "gathering", "stats", "vv", "starcheck", "ingest"),
    ("per_file", "as_mica", "simulate"),
    ("explore", "fetch"),
    ("cli",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
# The drop-in package finds any of its modules by name.
ANYTHING = {"", "as_mica"}
APART = ({"archive", "stats", "vv"}, {"ingest"})


@cache
def modules() -> dict[str, Path]:
    found = {}
    for folder, package in ((ROOT / "mica_lake", "mica_lake"), (ROOT / "ingest", "mica_lake.ingest")):
        for path in folder.rglob("*.py"):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


def imported(module: str, *, at_once: bool = False) -> Iterator[tuple[str, str]]:
    """Module and name of each import from the project; those at the top of the module only, if `at_once`."""
    for node in tree(module).body if at_once else ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.split(".")[0] == "mica_lake")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "mica_lake":
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield (whole, "") if whole in modules() else (str(node.module), alias.name)


def top(module: str) -> str:
    return [*module.split("."), ""][1]


def test_each_module_has_its_layer() -> None:
    assert {top(module) for module in modules()} - {""} == set(LEVEL) - {"sql"}


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_go_down(module: str) -> None:
    if top(module) in ANYTHING:
        return
    for other, name in imported(module):
        if top(other) == "" and not name:
            continue
        if top(other) == "":
            assert module.split(".")[1] in ("cli", "explore", "simulate"), f"{module} imports {name} from the package"
            continue
        assert LEVEL[top(other)] <= LEVEL[top(module)], f"{module} imports {other}"
        for these, those in (APART, APART[::-1]):
            assert not (top(module) in these and top(other) in those), f"{module} imports {other}"


@pytest.mark.parametrize("module", sorted(modules()))
def test_no_private_name_is_imported(module: str) -> None:
    assert [f"{other}.{name}" for other, name in imported(module) if name.startswith("_") and name[:2] != "__"] == []


@pytest.mark.parametrize("module", sorted(modules()))
def test_a_module_can_be_read(module: str) -> None:
    assert len(modules()[module].read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_there_is_no_circle() -> None:
    graph = {module: {other for other, _ in imported(module, at_once=True)} - {module} for module in modules()}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            for other in graph.get(module, ()):
                visit(other, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_the_package_lists_its_names_before_they_are_imported() -> None:
    listed = "import mica_lake; print(*dir(mica_lake))"
    found = subprocess.run([sys.executable, "-c", listed], capture_output=True, text=True, check=True).stdout.split()
    assert {"Lake", "demo_lake", "install_as_mica"} <= set(found)
    assert all(hasattr(mica_lake, name) for name in found)
