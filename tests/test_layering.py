"""Imports point downwards only, are absolute, and every module has its place in the table."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "dyod_studio"

MODELS = {"diffusion", "errors"}
BELOW_STUDIO = {
    *MODELS,
    "settings",
    "models",
    "datasets",
    "training",
    "evaluation",
    "store",
    "jobs",
}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "settings": set(),
    "diffusion": {"errors"},
    "models": MODELS,
    "datasets": MODELS,
    "training": {*MODELS, "models", "datasets"},
    "evaluation": {*MODELS, "models", "datasets"},
    "store": {"errors"},
    "jobs": {*MODELS, "settings", "models", "datasets", "training", "evaluation", "store"},
    "services": BELOW_STUDIO,
    "ui": {"errors", "settings", "services"},
    "cli": {"errors", "settings", "services", "bootstrap"},
    "bootstrap": {*BELOW_STUDIO, "services", "ui"},
    "__main__": {"cli"},
}
"""Layer -> the other layers of the package that it may import."""

FOREIGN_TO = {
    "gradio": {"ui", "bootstrap"},
    "sqlalchemy": {"store", "jobs", "services", "bootstrap"},
    "alembic": {"store"},
    "typer": {"cli"},
    "diffusers": {"models", "training", "jobs"},
    "transformers": {"models", "training", "jobs"},
    "peft": {"models", "training"},
    "torch": {"diffusion", "models", "datasets", "training", "evaluation", "jobs", "services"},
}
"""Library -> the only layers that may name it in an import, wherever it stands."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_names(path: Path) -> set[str]:
    """Every dotted name that the module imports, at its top or inside a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def module_id(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def test_the_walk_finds_the_package():
    assert PACKAGE / "errors.py" in MODULES
    assert imported_names(PACKAGE / "settings.py") >= {"pathlib.Path"}


@pytest.mark.parametrize("path", MODULES, ids=module_id)
def test_imports_point_downwards(path: Path):
    layer = layer_of(path)
    names = imported_names(path)
    inside = {name.split(".")[1] for name in names if name.startswith("dyod_studio.")} - {
        "__version__"
    }
    assert layer in MAY_IMPORT or layer == "__init__", f"{layer} has no line in the table"
    assert inside - {layer} <= MAY_IMPORT.get(layer, set())


@pytest.mark.parametrize("path", MODULES, ids=module_id)
def test_each_library_is_known_only_to_its_layers(path: Path):
    libraries = {name.split(".")[0] for name in imported_names(path)}
    strangers = {
        library
        for library in libraries & set(FOREIGN_TO)
        if layer_of(path) not in FOREIGN_TO[library]
    }
    assert not strangers


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("__init__.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_package_files_are_empty_but_the_top_one(path: Path):
    if path.parent == PACKAGE:
        assert "import" not in path.read_text(encoding="utf-8")
    else:
        assert path.read_text(encoding="utf-8") == ""


@pytest.mark.parametrize("line", ["from . import errors", "from .store import files"])
def test_a_relative_import_is_reported(tmp_path: Path, line: str):
    module = tmp_path / "module.py"
    module.write_text(line)
    with pytest.raises(AssertionError, match="imports relatively"):
        imported_names(module)


def test_an_import_inside_a_function_is_seen(tmp_path: Path):
    module = tmp_path / "module.py"
    module.write_text("def late():\n    from dyod_studio.training import events\n")
    assert imported_names(module) == {"dyod_studio.training.run"}
