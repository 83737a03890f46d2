"""The structure of the package: imports run downwards, files and folders stay small enough to be read."""

import ast
from pathlib import Path

import pytest

import minunet

ROOT = Path(minunet.__file__).parent
# From the ground up. A file may import from its own entry, and from those before it.
FLOORS = [
    "version",
    "device",
    "inputs",
    "files",
    "cuda",
    "precision",
    "cuda_graph",
    "cublas",
    "kernels",
    "autograd",
    "data.labels",
    "data.classes",
    "data.panoptic_ids",
    "ops",
    "nn",
    "clipping",
    "loss_scaling",
    "optim",
    "metrics",
    "models",
    "weights",
    "tasks",
    "data",
    "inference",
    "training",
    "checks",
    "learn",
    "cli",
    "",  # minunet/__init__.py, the table of contents
]
GROUND = {
    "minunet.data.labels",
    "minunet.files",
    "minunet.inputs",
    "minunet.device",
}  # all that data/ may import from outside
MOST_LINES, MOST_FILES = 300, 15
FILES = sorted(ROOT.rglob("*.py"))


def module_name(path):
    parts = ("minunet", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}
DOORS = {name for name in MODULES if name.endswith("__main__")}  # they are run, and nothing imports them


def imports(path):
    """The modules of minunet that a file imports, also inside functions."""
    found = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    conditions = [node for node in ast.walk(tree) if isinstance(node, ast.If)]
    for_type_checkers = [node for node in conditions if "TYPE_CHECKING" in ast.dump(node.test)]
    never_run = {id(inner) for node in for_type_checkers for inner in ast.walk(node)}
    for node in (node for node in ast.walk(tree) if id(node) not in never_run):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in inside}
    return {name for name in found if name.split(".")[0] == "minunet"}


def floor(name):
    """The number of a module's floor: that of the longest entry that it lies below."""
    inner = name.removeprefix("minunet").lstrip(".")
    matching = [entry for entry in FLOORS if inner == entry or (entry and inner.startswith(f"{entry}."))]
    assert matching, f"{name} has no floor: add it to FLOORS"
    return FLOORS.index(max(matching, key=len))


def test_imports_run_downwards():
    climbing = [
        f"{name} imports {other}"
        for name, path in MODULES.items()
        if name not in DOORS
        for other in imports(path)
        if floor(other) > floor(name)
    ]
    assert not climbing


def test_imports_have_no_cycles():
    # A package's __init__ is its table of contents: what it imports may not import it back.
    waiting = {name: imports(path) - {name} for name, path in MODULES.items()}
    while free := [name for name, needs in waiting.items() if not needs & set(waiting)]:
        for name in free:
            del waiting[name]
    assert not waiting


def test_data_stands_on_the_ground():
    for name, path in MODULES.items():
        if name.startswith("minunet.data") and name not in DOORS:
            outside = {other for other in imports(path) if not other.startswith("minunet.data")}
            assert outside <= GROUND, name


def test_the_test_sees_an_import_that_climbs():
    assert floor("minunet.ops.conv2d") < floor("minunet.nn.layers") < floor("minunet.training.loop") < floor("minunet")
    assert floor("minunet.data.labels") < floor("minunet.tasks.binary") < floor("minunet.data.pets")
    assert "minunet.ops" in imports(MODULES["minunet.nn.layers"])


@pytest.mark.parametrize("path", [*FILES, *sorted(ROOT.rglob("*.cu"))], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_can_be_read_in_one_sitting(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_folders_are_small():
    for folder in {path.parent for path in FILES} - {ROOT / "ops"}:
        assert len([path for path in FILES if path.parent == folder]) <= MOST_FILES, folder


def test_only_one_file_imports_cupy():
    importers = {
        name
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for module in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
        if module and module.split(".")[0] == "cupy"
    }
    assert importers == {"minunet.device"}


def test_the_map_in_the_readme_is_complete():
    """README.md names every file of the package but the tables of contents."""
    readme = ROOT.parent / "README.md"
    if not readme.is_file():
        pytest.skip("the README lies beside the package only in a clone")
    text = readme.read_text(encoding="utf-8").split("Each file imports only")[1].split("Arrays are channels last")[0]
    missing = [path.name for path in FILES if path.name not in ("__init__.py", "__main__.py") and path.stem not in text]
    assert not missing
