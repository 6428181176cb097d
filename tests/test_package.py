"""What holds for the package as a whole: its public names, and the direction of its imports."""

import ast
import sys
from pathlib import Path

import pytest
from setuptools import find_packages

import plstm_graph

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(plstm_graph.__file__).parent

#: Each part may import the parts named here, and itself.
ALLOWED = {
    "user_cache": set(),
    "native": {"user_cache"},
    "text": set(),
    "cores": set(),
    "console": {"text"},
    "graph": {"native"},
    "ops": {"user_cache", "native", "graph"},
    "experimental": {"graph", "ops"},
    "transforms": {"graph"},
    "datasets": {"text", "console", "cores", "user_cache", "graph", "transforms"},
    "nn": {"graph", "ops"},
    "loader": {"graph"},
    "testing": {"graph", "ops"},
    "viz": {"text", "graph", "ops", "nn"},
    "config": {"text", "datasets"},
    "tasks": {"text", "graph", "nn", "transforms", "datasets", "config", "viz"},
    "report": {"text", "console", "datasets", "viz", "tasks"},
    "train": {
        *("text", "console", "graph", "ops", "nn", "transforms", "datasets", "viz"),
        *("config", "tasks", "report", "machine", "cores"),
    },
    "predict": {
        *("text", "console", "graph", "nn", "transforms", "datasets", "viz", "config", "tasks", "report", "train"),
        "machine",
    },
    "machine": {"user_cache", "console", "cores", "native", "ops"},
    "cli": {
        *("text", "console", "graph", "ops", "nn", "transforms", "datasets", "viz", "config", "tasks", "train"),
        *("predict", "machine"),
    },
}

#: Data sets, and what reads tables, each of which knows files and none of the others.
STORED = (
    *("architectures", "circuits", "dag_folder", "images", "molecules", "ogb_code2", "pedigrees", "sentiment"),
    *("table", "terrain", "workflows"),
)

#: Within a part: each folder may import the folders named here, itself, and the files that stand beside the folders.
#: Those files import no folder, unless they are named here too.
FOLDERS = {
    "datasets": {
        "storage": set(),
        **{name: {"storage"} for name in STORED},
        "benchmark": {"molecules"},
    },
    "graph": {
        "multitree": set(),
        "orientation": set(),
        "blocks": set(),
        "line_graph": {"multitree", "blocks"},
        "safe_files": {"blocks"},
    },
    "nn": {"baselines": set(), "vision": set()},
    "ops": {"dag": set(), "chain": set(), "grid2d": set()},
}


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module


@pytest.mark.parametrize("part", ALLOWED)
def test_imports_run_one_way(part):
    files = sorted((ROOT / part).rglob("*.py")) if (ROOT / part).is_dir() else [ROOT / f"{part}.py"]
    assert files
    for path in files:
        for module in imported_modules(path):
            top, *rest = module.split(".")
            if top == "plstm_graph" and rest and rest[0] != part:
                assert rest[0] in ALLOWED[part], f"{path.relative_to(ROOT)} imports {module}"
            if part in ("native", "graph", "ops"):
                assert top not in ("torch_geometric", "numpy", "lightning"), f"{path.name} imports {module}"
            if part != "train" and part != "cli":
                assert top != "lightning", f"{path.relative_to(ROOT)} imports {module}"


@pytest.mark.parametrize("part", FOLDERS)
def test_folders_of_a_part_import_one_way(part):
    allowances = FOLDERS[part]
    folders = {path.parent.name for path in (ROOT / part).glob("*/__init__.py")}
    assert folders == {name for name in allowances if (ROOT / part / name).is_dir()}
    for path in (ROOT / part).rglob("*.py"):
        inside = path.relative_to(ROOT / part).parts
        if inside == ("__init__.py",):
            continue  # it lists the public names of folders too
        top = inside[0].removesuffix(".py")
        allowed = {top, *allowances.get(top, ())}
        for module in imported_modules(path):
            names = module.split(".")
            if names[:2] == ["plstm_graph", part] and len(names) > 2 and names[2] in folders:
                assert names[2] in allowed, f"{path.relative_to(ROOT)} imports {module}"


def test_every_part_is_covered():
    parts = {p.name for p in ROOT.iterdir() if (p / "__init__.py").exists()} | {p.stem for p in ROOT.glob("[!_]*.py")}
    assert parts == set(ALLOWED)


def test_everything_is_printed_by_one_console():
    """Rich's own console and columns would take ``[x]`` in a name for markup."""
    for path in ROOT.rglob("*.py"):
        if path.name == "console.py":
            continue
        modules = set(imported_modules(path))
        assert not modules & {"rich", "rich.console", "rich.markup", "rich.markdown", "rich.text"}, path
        names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        assert "TextColumn" not in names, path
        # cli.py must not import rich for a message.
        assert "print" not in names or path.name == "cli.py", path


def test_the_wheel_holds_the_package_alone():
    """Benchmarks, results and tests stay in the repository."""
    table = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    found = find_packages(str(ROOT.parent), **table)
    expected = {".".join(path.parent.relative_to(ROOT.parent).parts) for path in ROOT.rglob("__init__.py")}
    assert set(found) == expected and not any("bench" in name.split(".")[1:] for name in found)
    for outside in ("benchmarks", "benchmarks.operators", "results", "tests"):
        assert outside in find_packages(str(ROOT.parent)) and outside not in found


def test_the_package_knows_nothing_beside_it():
    """It runs where only the wheel is installed."""
    for path in ROOT.rglob("*.py"):
        assert not {module.partition(".")[0] for module in imported_modules(path)} & {"benchmarks", "results", "tests"}


def test_public_names():
    from plstm_graph import PLSTM, CycleError, LineGraph, PLSTMConv, plstm  # noqa: F401

    assert plstm_graph.__version__
    assert (ROOT / "py.typed").exists()
