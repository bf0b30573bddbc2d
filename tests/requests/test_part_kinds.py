"""The table of kinds: every list is made of it, and its references lead somewhere."""

import subprocess
import sys

import pytest

from dyod_studio.errors import InvalidInputError
from dyod_studio.requests import part_kinds as table
from dyod_studio.requests.part_kinds import (
    PART_KINDS,
    check_known,
    check_tokens,
    default_parts,
    registered,
)
from dyod_studio.requests.part_records import PartKind

TOY = PartKind("toy", "Toy", attach="nowhere:attach", teaches_token=True, can_be_imported=True)
LISTS = (
    table.part_kinds,
    table.unet_kinds,
    table.token_kinds,
    table.baseline_kinds,
    table.selectable_kinds,
    table.default_kinds,
    table.standalone_kinds,
)


def test_the_kinds_and_the_order_in_which_they_are_attached():
    assert table.part_kinds() == (
        "inversion",
        "custom-diffusion",
        "embedding",
        "dreambooth",
        "lora",
        "anl",
        "full-finetune",
        "scratch",
        "vae",
        "control",
    )
    assert table.token_kinds() == ("inversion", "custom-diffusion", "embedding")
    assert table.baseline_kinds() == ("full-finetune", "scratch")
    assert table.default_kinds() == ("inversion", "lora", "vae")
    assert table.usual_methods() == ("lora", "vae")
    imported = {name for name, kind in PART_KINDS.items() if kind.can_be_imported}
    assert imported == {"lora", "embedding", "control"}
    led = {name for name, kind in PART_KINDS.items() if kind.follows_lines}
    assert led == {"control"}
    assert set(table.part_kinds()) - set(table.selectable_kinds()) == {"vae", "control"}
    assert set(PART_KINDS) - set(table.training_methods()) == {"embedding"}
    assert table.standalone_kinds() == (
        "dreambooth",
        "custom-diffusion",
        "anl",
        "lora",
        "full-finetune",
        "scratch",
        "embedding",
    )


@pytest.mark.parametrize("kind", PART_KINDS.values(), ids=lambda kind: kind.name)
def test_every_reference_of_a_kind_leads_somewhere(kind):
    assert callable(table.load_reference(kind.attach))
    if kind.method is not None:
        assert callable(table.load_reference(kind.method.footprint))
        fields = table.load_reference(kind.method.config).model_fields
        assert {*kind.method.memory_settings} <= set(fields)
        assert kind.method.noun_setting in {"", *fields}


@pytest.mark.parametrize(
    ("trained", "imported", "used"),
    [
        ("inversion vae", "", "inversion vae"),
        ("inversion vae lora", "", "lora vae"),
        ("inversion vae lora", "lora", "inversion vae"),
        ("vae lora", "lora", "lora vae"),
        ("vae lora dreambooth", "", "lora vae"),
        ("lora embedding", "lora embedding", "lora"),
        ("dreambooth vae", "", "dreambooth vae"),
        ("vae", "", "vae"),
        ("", "", ""),
    ],
)
def test_the_style_of_the_set_takes_the_place_of_its_word_unless_it_was_made_elsewhere(
    trained, imported, used
):
    assert default_parts(trained.split(), imported.split()) == tuple(used.split())


def test_a_kind_registered_later_is_in_every_list_that_it_belongs_to_and_gone_afterwards():
    before = [kinds() for kinds in LISTS]
    with registered(TOY), pytest.raises(InvalidInputError, match="a kind 'toy' already"):
        table.register_part_kind(TOY)
    with registered(TOY):
        having = {kinds.__name__ for kinds in LISTS if "toy" in kinds()}
        assert table.title_of("toy") == "Toy"
        assert default_parts(["toy", "vae"]) == ("toy", "vae")
        check_known(["toy"])
    assert having == {
        "part_kinds",
        "token_kinds",
        "selectable_kinds",
        "standalone_kinds",
    }
    assert [kinds() for kinds in LISTS] == before
    assert table.title_of("toy") == "toy"


def test_a_token_is_taught_once_and_the_one_that_a_part_was_trained_beside_is_there():
    check_tokens({"inversion": {"token": "<a>"}, "custom-diffusion": {"token": "<b>"}})
    check_tokens({"anl": {"word": "f" * 64}, "inversion": {"token": "<a>"}})
    with pytest.raises(InvalidInputError, match="inversion and the embedding both taught <a>"):
        check_tokens({"embedding": {"token": "<a>"}, "inversion": {"token": "<a>"}})
    with pytest.raises(InvalidInputError, match="The anl was trained beside the word"):
        check_tokens({"anl": {"word": "f" * 64}})


def test_reading_the_table_needs_no_torch():
    code = "import sys, dyod_studio.requests.part_kinds; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
