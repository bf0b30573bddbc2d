"""Imports point downwards only, within services and ui as well; no module leads back to itself."""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "dyod_studio"

LEAVES = {"diffusion", "disk", "errors", "requests"}
BELOW_SERVICES = {
    *LEAVES,
    "settings",
    "models",
    "datasets",
    "training",
    "evaluation",
    "store",
    "jobs",
}
MAY_IMPORT: dict[str, set[str]] = {
    "disk": set(),
    "errors": set(),
    "settings": set(),
    "requests": {"errors"},
    "diffusion": {"errors"},
    "models": LEAVES,
    "datasets": LEAVES,
    "training": {*LEAVES, "models", "datasets"},
    "evaluation": {*LEAVES, "models", "datasets"},
    "store": {"disk", "errors"},
    "jobs": {*LEAVES, "settings", "models", "datasets", "training", "evaluation", "store"},
    "services": BELOW_SERVICES,
    "ui": {"errors", "requests", "settings", "services"},
    "cli": {"errors", "requests", "settings", "services", "bootstrap"},
    "bootstrap": {*BELOW_SERVICES, "services", "ui"},
    "__main__": {"cli"},
}
"""Layer -> the other layers of the package that it may import."""

SERVICE_FOLDERS: dict[str, set[str]] = {
    "augmentation": set(),
    "sampling": set(),
    "training": set(),
    "evaluation": {"training"},
    "gallery": {"sampling"},
    "explore": {"sampling", "gallery"},
    "exchange": {"gallery", "explore"},
}
"""Folder of services -> the other folders it may import; each may import the modules above them."""

SCREENS: dict[str, set[str]] = {
    "draw": {"sampling", "evaluation"},
    "evaluate": {"evaluation"},
    "explore": {"explore"},
    "gallery": {"gallery", "exchange"},
    "guide": {"training"},
    "pictures": set(),
    "train": {"training"},
}
"""Screen of the page -> the folders of services it is made of; of the page, itself and common."""

MADE_OF = {"guide": {"pictures", "train"}}
"""Screen -> the other screens that it shows pieces of."""
SHARED_UI = {"common", "links"}

FOREIGN_TO = {
    "gradio": {"ui", "bootstrap"},
    "sqlalchemy": {"store"},
    "alembic": {"store"},
    "typer": {"cli"},
    "pydantic": {"requests", "settings", "training", "evaluation", "services", "cli"},
    "diffusers": {"models", "training", "jobs"},
    "transformers": {"models", "training", "jobs"},
    "peft": {"models", "training"},
    "torch": {"diffusion", "models", "datasets", "training", "evaluation", "jobs", "services"},
}
"""Library -> the only layers that may name it in an import, wherever it stands."""

TABLES = "dyod_studio.store.tables"

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


@cache
def imports() -> dict[Path, set[str]]:
    return {path: imported_names(path) for path in MODULES}


def module_id(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def inside(layer: str) -> Iterator[tuple[Path, str, set[str]]]:
    """Each module in a folder of the layer: its path, folder and what it imports of the layer."""
    prefix = f"dyod_studio.{layer}."
    for path, names in imports().items():
        parts = path.relative_to(PACKAGE).parts
        if parts[0] == layer and len(parts) == 3:
            yield path, parts[1], {name for name in names if name.startswith(prefix)}


def rooms(names: set[str]) -> set[str]:
    """The folder, or the module at the top of the layer, that each name belongs to."""
    return {name.split(".")[2] for name in names}


def test_the_walk_finds_the_package():
    assert PACKAGE / "errors.py" in MODULES
    assert imported_names(PACKAGE / "settings.py") >= {"pathlib.Path"}
    assert {path.parent.name for path, _, _ in inside("ui")} == {*SCREENS, "common"}
    assert {path.parent.name for path, _, _ in inside("services")} == set(SERVICE_FOLDERS)


def test_imports_point_downwards():
    offenders = {}
    for path, names in imports().items():
        layer = layer_of(path)
        assert layer in MAY_IMPORT or layer == "__init__", f"{layer} has no line in the table"
        own = {name.split(".")[1] for name in names if name.startswith("dyod_studio.")}
        upward = own - {layer, "__version__"} - MAY_IMPORT.get(layer, set())
        if upward:
            offenders[module_id(path)] = upward
    assert offenders == {}


def test_a_folder_of_services_uses_only_those_below_it():
    offenders = {}
    for path, folder, names in inside("services"):
        allowed = {folder, *SERVICE_FOLDERS[folder]}
        strangers = (rooms(names) & {*SERVICE_FOLDERS, "studio"}) - allowed
        if strangers:
            offenders[module_id(path)] = strangers
    assert offenders == {}
    TopologicalSorter(SERVICE_FOLDERS).prepare()


def test_a_screen_knows_itself_its_services_and_what_all_screens_share():
    offenders = {}
    for path, screen, names in inside("ui"):
        services = {name for name in imports()[path] if name.startswith("dyod_studio.services.")}
        strangers = rooms(names) - SHARED_UI - {screen} - MADE_OF.get(screen, set())
        strangers |= (rooms(services) & set(SERVICE_FOLDERS)) - SCREENS.get(screen, set())
        if strangers:
            offenders[module_id(path)] = strangers
    assert offenders == {}


def test_no_table_is_known_outside_the_store():
    assert [
        module_id(path)
        for path, names in imports().items()
        if layer_of(path) != "store" and any(name.startswith(TABLES) for name in names)
    ] == []


def test_no_import_leads_back_to_where_it_began():
    dotted = {
        ".".join(("dyod_studio", *path.relative_to(PACKAGE).with_suffix("").parts)): path
        for path in MODULES
    }
    graph = {
        name: {
            target
            for imported in imports()[path]
            for target in (imported, imported.rpartition(".")[0])
            if target in dotted and target != name
        }
        for name, path in dotted.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as exc:
        pytest.fail(" -> ".join(exc.args[1]))


def test_each_library_is_known_only_to_its_layers():
    offenders = {}
    for path, names in imports().items():
        libraries = {name.split(".")[0] for name in names} & set(FOREIGN_TO)
        strangers = {name for name in libraries if layer_of(path) not in FOREIGN_TO[name]}
        if strangers:
            offenders[module_id(path)] = strangers
    assert offenders == {}


def test_package_files_are_empty_but_the_top_one():
    top = PACKAGE / "__init__.py"
    assert "import" not in top.read_text(encoding="utf-8")
    others = [path for path in PACKAGE.rglob("__init__.py") if path != top]
    assert [module_id(path) for path in others if path.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize("line", ["from . import errors", "from .store import files"])
def test_a_relative_import_is_reported(tmp_path: Path, line: str):
    module = tmp_path / "module.py"
    module.write_text(line)
    with pytest.raises(AssertionError, match="imports relatively"):
        imported_names(module)


def test_an_import_inside_a_function_is_seen(tmp_path: Path):
    module = tmp_path / "module.py"
    module.write_text("def late():\n    from dyod_studio.training import run\n")
    assert imported_names(module) == {"dyod_studio.training.run"}
