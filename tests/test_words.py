"""The names of the package are the field's: none of the private words that it once had is left."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "dyod_studio"

WORDS = {
    "desk", "errand", "film", "films", "fulfil", "hear", "heard", "hearing", "hears",
    "heart", "keeper", "ladder", "lane", "obey", "obeyed", "patiently", "pulse", "rung", "rungs",
    "said", "stubbornly", "told", "walk", "walks", "wanted", "way", "ways", "wish", "wishes",
}  # fmt: skip
"""Words that may not be part of a name."""
NAMES = {
    "Asked", "CHANGING", "Drawn", "MAIN", "Place", "Reverse", "Shown", "TwoTerms", "dangers",
    "first_words", "hold_back", "knowing_word", "run_apart", "spared", "taught_words",
    "usual_parts", "with_word",
}  # fmt: skip
"""Names that may not stand for anything."""
MODULES = {
    "again", "apart", "calm", "carrying", "found", "gathering", "hand", "judging", "pairing",
    "presses", "recalling", "showing", "sweeping",
}  # fmt: skip
"""Names that no module may have."""
STORED = {"anl_hears"}
"""Names that stand in databases and files of users."""


def names_in(tree: ast.AST) -> Iterator[str]:
    """Every name that the module gives: of classes, functions, arguments, variables, fields."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def words_of(name: str) -> set[str]:
    """The words of a snake_case or CamelCase name, in small letters."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def test_a_name_falls_into_its_words():
    assert words_of("_read_HTMLFile2") == {"read", "html", "file"}
    assert words_of("MAX_STEPS") == {"max", "steps"}


def test_no_name_is_made_of_a_private_word():
    offenders = set()
    for path in PACKAGE.rglob("*.py"):
        if "migrations" in path.parts:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for name in {path.stem, *names_in(tree)} - STORED:
            if words_of(name) & WORDS or name in NAMES or path.stem in MODULES:
                offenders.add(f"{path.relative_to(PACKAGE)}: {name}")
    assert sorted(offenders) == []
