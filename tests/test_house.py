"""What holds for the whole tree: exact pins, light imports, small modules, no ways around."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median

import pytest

from tests.conftest import LONGEST_FIRST, TESTS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dyod_studio"
REQUIREMENTS = ROOT / "requirements.txt"
PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[0-9][A-Za-z0-9.]*)")
LIGHT = ("services", "store", "ui", "cli", "errors.py", "settings.py")
LIGHT_JOBS = ("dyod_studio.jobs.worker", "dyod_studio.jobs.sampler_pool")
HEAVY = ("torch", "diffusers", "transformers", "accelerate", "peft")
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 40
MEDIAN_FUNCTION_LINES = 7
MAX_MODULES = 220
"""How many files the package may have, its empty ``__init__`` files left out."""
MAX_PACKAGE_LINES = 36_600
FORBIDDEN_CALLS = {"print", "eval", "exec"}
FORBIDDEN_IMPORTS = {"pickle", "marshal", "shelve", "dill"}

MODULES = sorted(PACKAGE.rglob("*.py"))


def pins(path: Path) -> dict[str, str]:
    """Name -> version of every line that is no comment and no -r; a line of another form raises."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        requirement = line.partition("#")[0].strip()
        if not requirement or requirement.startswith("-r "):
            continue
        match = PIN.fullmatch(requirement)
        assert match, f"{path.name}: {requirement!r} is not pinned exactly"
        found[match["name"]] = match["version"]
    return found


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def light_modules() -> Iterator[str]:
    for path in MODULES:
        parts = path.relative_to(PACKAGE).parts
        if "migrations" not in parts and (parts[0] in LIGHT or dotted(path) in LIGHT_JOBS):
            yield dotted(path)


@cache
def texts() -> dict[Path, str]:
    return {path: path.read_text(encoding="utf-8") for path in MODULES}


@cache
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(text) for path, text in texts().items()}


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(trees()[path]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def num_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from ``def`` to the end, the docstring's among them."""
    return (function.end_lineno or 0) - function.lineno + 1


def num_code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from ``def`` to the end, without the docstring's."""
    docstring = function.body[0] if ast.get_docstring(function) else None
    described = (docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0
    return num_lines(function) - described


def module_id(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned_exactly(name: str):
    assert len(pins(ROOT / name)) >= 5


def test_torch_is_the_release_that_still_has_kernels_for_pascal_cards():
    assert pins(REQUIREMENTS)["torch"] == "2.13.0"


def test_a_loose_requirement_is_reported(tmp_path: Path):
    loose = tmp_path / "requirements.txt"
    loose.write_text("numpy>=2  # arrays\n")
    with pytest.raises(AssertionError, match="'numpy>=2' is not pinned exactly"):
        pins(loose)


def test_the_package_asks_for_the_pythons_that_the_makefile_accepts():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    makefile = (ROOT / "Makefile").read_text()
    assert project["requires-python"] == ">=3.11,<3.14"
    assert "(3, 11) <= sys.version_info < (3, 14)" in makefile


def test_every_link_to_a_file_of_the_project_leads_somewhere():
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
    links = [
        (page, target)
        for page in pages
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
        if "://" not in target
    ]
    assert len(links) > 10
    assert [(page.name, to) for page, to in links if not (page.parent / to).exists()] == []


def test_the_architecture_names_files_that_are_there():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = {name for name in re.findall(r"`([a-z_]+(?:/[a-z_]+)*\.py)`", text)}
    assert len(named) > 40
    places = (PACKAGE, PACKAGE / "services", PACKAGE / "cli", ROOT)
    assert (
        sorted(name for name in named if not any((folder / name).exists() for folder in places))
        == []
    )


def test_the_files_that_are_tested_first_are_there():
    assert [name for name in LONGEST_FIRST if not (TESTS / name).is_file()] == []
    assert len(set(LONGEST_FIRST)) == len(LONGEST_FIRST)


def test_the_readme_stays_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150


def test_the_container_copies_only_what_the_build_context_holds():
    copied = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    sources = {Path(source).name for line in copied for source in line.split()}
    context = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sources == set(context)
    assert all((ROOT / source).exists() for source in sources)


def test_page_command_line_and_store_load_no_torch():
    names = sorted(light_modules())
    assert "dyod_studio.services.views" in names
    code = (
        "import importlib, sys\n"
        f"for name in {names}: importlib.import_module(name)\n"
        f"print(*sorted(set({HEAVY}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_every_module_stays_within_its_budget():
    lines = {module_id(path): len(texts()[path].splitlines()) for path in MODULES}
    assert {name: n for name, n in lines.items() if n >= MAX_MODULE_LINES} == {}


def test_every_function_stays_within_its_budget():
    named = {f"{module_id(path)}:{node.name}": node for path in MODULES for node in functions(path)}
    lengths = {name: num_lines(node) for name, node in named.items()}
    assert {name: n for name, n in lengths.items() if n > MAX_FUNCTION_LINES} == {}
    assert median(map(num_code_lines, named.values())) <= MEDIAN_FUNCTION_LINES


def test_the_package_stays_within_its_budget():
    assert len([path for path in MODULES if path.name != "__init__.py"]) < MAX_MODULES
    assert sum(len(text.splitlines()) for text in texts().values()) <= MAX_PACKAGE_LINES


def test_nothing_is_printed_evaluated_or_unpickled():
    offenders = {}
    for path in MODULES:
        nodes = list(ast.walk(trees()[path]))
        called = {
            node.func.id
            for node in nodes
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        imported = {
            alias.name.split(".")[0]
            for node in nodes
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        found = (called & FORBIDDEN_CALLS) | (imported & FORBIDDEN_IMPORTS)
        if found:
            offenders[module_id(path)] = found
    assert offenders == {}


def test_every_module_says_what_it_is():
    assert [
        module_id(path)
        for path in MODULES
        if texts()[path] and not ast.get_docstring(trees()[path])
    ] == []


def test_no_check_is_switched_off():
    assert [module_id(path) for path in MODULES if "noqa" in texts()[path]] == []


def test_docstrings_begin_with_the_noun_or_verb_of_the_thing():
    described = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    assert [
        f"{module_id(path)}:{getattr(node, 'name', 'module')}"
        for path in MODULES
        for node in ast.walk(trees()[path])
        if isinstance(node, described) and (ast.get_docstring(node) or "").startswith("What ")
    ] == []


def test_only_the_settings_read_the_environment_and_one_module_hands_it_on():
    readers = {
        module_id(path)
        for path, text in texts().items()
        if re.search(r"os\.(environ\b(?!\.update)|getenv)", text)
    }
    assert readers <= {"settings.py", "jobs/processes.py"}
