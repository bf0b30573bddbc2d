"""Which trained parts a request draws with, and what is refused before a row is made."""

import json

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from dyod_studio.bootstrap import build_studio
from dyod_studio.errors import InvalidInputError
from dyod_studio.requests.part_kinds import default_parts
from dyod_studio.requests.sampling import (
    InterpolationRequest,
    SampleRequest,
    TraversalRequest,
    condition_inputs,
    read_request,
)
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.requests import SampleRequestRepository
from tests.services.rows import rows_in


@pytest.fixture
def train(storage, shoes):
    """Puts a trained part of the kind into the project; returns its hash."""

    def put(kind, config=None):
        path = storage.temporary_dir / f"{kind}.safetensors"
        tensors = {"kl": np.ones(4, np.float32), "kind": np.frombuffer(kind.encode(), np.uint8)}
        save_file(tensors, path, metadata={"dyod.config": json.dumps(config or {})})
        with storage.files.guard(), storage.database.session() as session:
            stored = storage.files.add_file(path)
            ArtifactRepository(session).add(
                shoes.id, kind, stored, base_fingerprint="f", config=config or {}
            )
        return stored.sha256

    return put


@pytest.fixture
def ask(settings, storage):
    """A studio whose sampler only notes what it is asked: the last request's row."""
    requests = []
    noting = build_studio(settings, storage, requests.append)

    def draw(how, *arguments):
        getattr(noting.sampling, how)(*arguments)
        with storage.database.session() as session:
            repository = SampleRequestRepository(session)
            row = repository.get(requests[-1])
            return read_request(row.kind, row.parameters), repository.inputs(row.id)

    return draw


@pytest.fixture
def picture(tmp_path):
    def draw(name, colour):
        path = tmp_path / f"{name}.png"
        Image.new("RGB", (48, 40), colour).save(path)
        return path

    return draw


@pytest.mark.parametrize(
    ("trained", "usual"),
    [
        ((), ()),
        (("inversion",), ("inversion",)),
        (("vae", "inversion"), ("inversion", "vae")),
        (("anl", "dreambooth", "inversion", "vae"), ("inversion", "vae")),
        (("anl", "vae"), ("anl", "vae")),
        (("custom-diffusion", "dreambooth", "anl"), ("dreambooth",)),
        (("embedding", "lora"), ("lora",)),
        (("embedding", "vae"), ("embedding", "vae")),
        (("control",), ()),
        (("control", "lora", "vae"), ("lora", "vae")),
    ],
)
def test_nothing_said_means_word_and_shapes_or_what_stands_in_for_the_word(trained, usual):
    assert default_parts(trained) == usual


def test_a_later_method_changes_nothing_for_who_does_not_name_it(train, ask, shoes):
    word, shapes = train("inversion", {"token": "<shoes>"}), train("vae")
    train("dreambooth")
    train("anl")
    asked, _ = ask("sample", shoes.id, SampleRequest(kind="prompt"))
    assert asked.artifacts == {"inversion": word, "vae": shapes}
    assert asked.adapter_strength == 1


def test_only_the_named_parts_are_used_with_their_newest_files_and_the_strength(train, ask, shoes):
    train("inversion", {"token": "<shoes>"})
    train("dreambooth", {"rank": 4})
    newest = train("dreambooth", {"rank": 8})
    settings = SampleRequest(kind="prompt", use=("dreambooth",), adapter_strength=0.25)
    asked, inputs = ask("sample", shoes.id, settings)
    assert asked.artifacts == {"dreambooth": newest}
    assert (asked.adapter_strength, inputs) == (0.25, {})


def test_naming_no_part_draws_with_the_base_alone(train, ask, shoes):
    train("inversion", {"token": "<shoes>"})
    asked, _ = ask("sample", shoes.id, SampleRequest(kind="prompt", use=()))
    assert asked.artifacts == {}


@pytest.mark.parametrize(
    ("how", "settings_"),
    [
        ("sample", SampleRequest(kind="distribution", use=("dreambooth",), adapter_strength=0.5)),
        ("interpolate", InterpolationRequest(a="seed:1", b="seed:2", use=("dreambooth",))),
        ("traverse", TraversalRequest(coordinate=1, use=("dreambooth",))),
    ],
)
def test_what_starts_from_a_shape_takes_the_vae_beside_the_named_parts(
    train, ask, shoes, how, settings_
):
    files = {"dreambooth": train("dreambooth"), "vae": train("vae")}
    train("inversion", {"token": "<shoes>"})
    asked, _ = ask(how, shoes.id, settings_)
    assert asked.artifacts == files
    assert asked.adapter_strength == settings_.adapter_strength


def test_a_drawing_brings_the_part_that_follows_lines_and_nothing_else_does(
    train, ask, shoes, picture
):
    style, network = train("lora"), train("control")
    lines = {"control": picture("lines", "white")}
    asked, inputs = ask("sample", shoes.id, SampleRequest(kind="prompt", inputs=lines))
    assert asked.artifacts == {"lora": style, "control": network}
    assert (asked.control_scale, asked.control_until, set(inputs)) == (1.0, 1.0, {"control"})
    asked, _ = ask("sample", shoes.id, SampleRequest(kind="prompt", inputs=lines, use=()))
    assert asked.artifacts == {"control": network}
    asked, _ = ask("sample", shoes.id, SampleRequest(kind="prompt"))
    assert asked.artifacts == {"lora": style}
    with pytest.raises(InvalidInputError, match="control follows the lines of a drawing: give one"):
        ask("sample", shoes.id, SampleRequest(kind="prompt", use=("control",)))


def test_new_shapes_lie_near_the_references_where_there_are_some(train, ask, shoes, picture):
    train("anl", {"variant": "conditional"})
    train("vae")
    after = {"inputs": condition_inputs([picture("boot", "red")]), "use": ("anl", "vae")}
    asked, _ = ask("sample", shoes.id, SampleRequest(kind="distribution", **after))
    assert (asked.codes, asked.t0) == ("reference", 0.6)
    for codes in ("prior", "set"):
        request = SampleRequest(kind="distribution", codes=codes, **after)
        assert ask("sample", shoes.id, request)[0].codes == codes
    alone, _ = ask("sample", shoes.id, SampleRequest(kind="distribution", use=("anl", "vae")))
    assert alone.codes == "near"
    with pytest.raises(InvalidInputError, match="near a reference need one"):
        ask("sample", shoes.id, SampleRequest(kind="distribution", codes="reference"))


def test_lines_lead_only_where_that_was_learned(ask, shoes, picture):
    lines = {"control": picture("lines", "white")}
    with pytest.raises(InvalidInputError, match="no trained control yet: train 'control' first"):
        ask("sample", shoes.id, SampleRequest(kind="prompt", inputs=lines))


def test_condition_pictures_are_stored_in_their_order_beside_a_sketch(train, ask, shoes, picture):
    train("anl", {"variant": "conditional"})
    colours = ["red", "green", "blue"]
    settings = SampleRequest(
        kind="image",
        inputs={
            "image": picture("sketch", "white"),
            **condition_inputs(picture(colour, colour) for colour in colours),
        },
        use=("anl",),
        condition_text="a boot",
        mask_rate=0.5,
        text_weight=0.2,
    )
    asked, inputs = ask("sample", shoes.id, settings)
    assert set(inputs) == {"image", "condition", "condition_2", "condition_3"}
    assert len({file.sha256 for file in inputs.values()}) == 4
    assert (asked.condition_text, asked.mask_rate, asked.text_weight) == ("a boot", 0.5, 0.2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"use": ("magic",)}, "use must name parts among .*dreambooth.*, got 'magic'"),
        ({"adapter_strength": 1.2}, r"strength must lie in \[0, 1\], got 1.2"),
        ({"adapter_strength": float("nan")}, r"strength must lie in \[0, 1\], got nan"),
        ({"mask_rate": 1.0}, r"mask_rate must lie in \[0, 1\), got 1"),
        ({"mask_rate": -0.1}, r"mask_rate must lie in \[0, 1\), got -0.1"),
        ({"mask_rate": 0.5}, "how freely condition pictures are read: give at least one"),
        ({"text_weight": 2.0}, r"text_weight must lie in \[0, 1\], got 2"),
        ({"condition_text": "x" * 1001}, "condition_text must be at most 1000"),
    ],
)
def test_a_wrong_wish_is_one_sentence(values, message):
    with pytest.raises(InvalidInputError, match=message):
        SampleRequest(kind="prompt", **values).check_inputs()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"use": ("custom-diffusion",)}, "no trained custom-diffusion yet: train 'custom"),
        ({"use": ("dreambooth",), "kind": "distribution"}, "no trained vae yet"),
        ({"condition_text": "a boot"}, "Only an anl draws after .*: train 'anl' first"),
        ({"use": ("anl",), "condition_text": "a boot"}, "was trained without a condition"),
    ],
)
def test_parts_that_cannot_do_it_are_refused_before_a_row_is_made(
    studio, settings, shoes, train, values, message
):
    train("inversion", {"token": "<shoes>"})
    train("dreambooth")
    train("anl", {"variant": "unconditional"})
    before = rows_in(settings)
    with pytest.raises(InvalidInputError, match=message):
        studio.sampling.sample(shoes.id, SampleRequest(**{"kind": "prompt", **values}))
    assert rows_in(settings) == before


def test_two_parts_that_taught_the_same_word_are_refused_before_a_row_is_made(
    studio, settings, shoes, train
):
    for kind in ("inversion", "custom-diffusion"):
        train(kind, {"token": "<shoes>"})
    before = rows_in(settings)
    both = SampleRequest(kind="prompt", use=("inversion", "custom-diffusion"))
    with pytest.raises(InvalidInputError, match="both taught <shoes>: use one of them"):
        studio.sampling.sample(shoes.id, both)
    assert rows_in(settings) == before


def test_a_condition_that_is_no_picture_is_refused_by_name(
    studio, settings, shoes, train, tmp_path, picture
):
    train("anl")
    (tmp_path / "notes.txt").write_text("no picture")
    before = rows_in(settings)
    conditions = (picture("red", "red"), tmp_path / "notes.txt")
    with pytest.raises(InvalidInputError, match="notes.txt is not an image"):
        studio.sampling.sample(
            shoes.id,
            SampleRequest(kind="prompt", use=("anl",), inputs=condition_inputs(conditions)),
        )
    assert rows_in(settings) == before


def test_a_word_that_was_learned_is_looked_up_for_the_run_whose_prompt_says_it(
    studio, storage, shoes, train, picture
):
    studio.projects.add_pictures(shoes.id, [picture("shoe", "red")])
    says = {"prompt": f"a {shoes.token}", "variant": "unconditional"}
    with pytest.raises(InvalidInputError, match=f"says {shoes.token}, which this project has not"):
        studio.training.start(shoes.id, "anl", says)
    learned = train("inversion", {"token": shoes.token})
    assert studio.training.start(shoes.id, "anl", says).settings["word"] == learned
    silent = studio.training.start(shoes.id, "anl", {"variant": "unconditional"})
    assert silent.settings["word"] == ""
    concept = studio.training.start(shoes.id, "custom-diffusion", {"class_noun": "dog"})
    assert concept.settings["token"] == "<concept>"
    assert studio.training.start(shoes.id, "inversion", {}).settings["token"] == shoes.token


def test_a_part_that_was_trained_beside_a_word_is_used_beside_it(studio, train, shoes, ask):
    train("anl", {"prompt": f"a {shoes.token}", "word": "ab" * 32})
    train("inversion", {"token": shoes.token})
    with pytest.raises(InvalidInputError, match="anl was trained beside the word of an inversion"):
        studio.sampling.sample(shoes.id, SampleRequest(kind="prompt", use=("anl",)))
    found, _ = ask("sample", shoes.id, SampleRequest(kind="prompt", use=("anl", "inversion")))
    assert set(found.artifacts) == {"anl", "inversion"}
