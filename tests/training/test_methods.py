from collections.abc import Callable
from contextlib import closing
from itertools import cycle

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from dyod_studio.datasets.images import prepare, read_image
from dyod_studio.errors import InvalidInputError, TrainingDivergedError
from dyod_studio.models.artifacts import load_artifact
from dyod_studio.models.base import to_pictures, to_tensor
from dyod_studio.requests.part_kinds import training_methods
from dyod_studio.training.data import TrainingSet, batch_indices
from dyod_studio.training.registry import load_method, parse_config
from dyod_studio.training.run import (
    ArtifactReady,
    CheckpointSaved,
    PicturesPrepared,
    PreviewsReady,
    Run,
    RunControl,
    StepDone,
)
from tests.training.needed import with_needed

QUICK = {"preview_every": 10_000, "checkpoint_every": 10_000}


def run(method, base, dataset, run_dir, resume_from=None, **values):
    """All events of a run."""
    config = parse_config(method, with_needed(method, QUICK | values))
    return list(load_method(method).run(config, base, dataset, Run(run_dir, resume_from)))


def mean_loss(events, steps: Callable[[int], bool]):
    losses = [event.loss for event in events if isinstance(event, StepDone) and steps(event.step)]
    return sum(losses) / len(losses)


def weights_of(base):
    modules = {"unet": base.unet, "vae": base.vae, "text": base.text_encoder}
    return {
        f"{part}.{name}": tensor.clone()
        for part, module in modules.items()
        for name, tensor in module.state_dict().items()
    }


@pytest.mark.slow
def test_inversion_lowers_the_loss_on_fixed_noise_and_changes_only_its_vectors(
    base, dataset, tmp_path
):
    before = weights_of(base)
    events = run("inversion", base, dataset, tmp_path / "run", steps=60, learning_rate=0.02)
    artifact = load_artifact(events[-1].path, "inversion")
    facts = artifact.facts
    assert facts["fixed_loss_after"] < 0.999 * facts["fixed_loss_before"]
    assert list(artifact.tensors) == ["emb_params"]
    width = base.text_encoder.get_input_embeddings().embedding_dim
    assert artifact.tensors["emb_params"].shape == (2, width)
    assert artifact.tensors["emb_params"].dtype == torch.float32
    after = weights_of(base)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    modules = (base.unet, base.vae, base.text_encoder)
    assert not any(p.grad is not None for module in modules for p in module.parameters())


@pytest.mark.parametrize("space", ["latents", "pixels"])
def test_the_vae_overfits_four_pictures(base, dataset, tmp_path, space):
    options = {"space": space, "side_px": 16, "width": 8, "num_coordinates": 4, "beta": 1}
    events = run("vae", base, dataset, tmp_path / "run", steps=150, batch_size=8, **options)
    assert mean_loss(events, lambda s: s > 140) < 0.5 * mean_loss(events, lambda s: s <= 10)
    artifact = load_artifact(events[-1].path, "vae")
    assert artifact.tensors["kl"].shape == (4,)
    assert artifact.tensors["kl"].max() > 0.5


def test_events_come_in_order_and_their_files_are_complete(base, dataset, tmp_path):
    values = {"steps": 4, "preview_every": 2, "checkpoint_every": 3, "initializer": "disc"}
    events = run("inversion", base, dataset, tmp_path / "run", **values)
    kinds = [type(event) for event in events]
    assert kinds == [
        *[PicturesPrepared, StepDone, StepDone, PreviewsReady],
        *[StepDone, PreviewsReady, CheckpointSaved],
        *[StepDone, PreviewsReady, CheckpointSaved, ArtifactReady],
    ]
    previews = [event for event in events if isinstance(event, PreviewsReady)]
    for path in (path for event in previews for path in event.paths):
        with Image.open(path) as image:
            assert image.size == (base.resolution, base.resolution)
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize(
    ("method", "values"),
    [
        ("lora", {}),
        ("anl", {}),
        ("vae", {"space": "latents", "width": 4}),
        ("vae", {"space": "pixels", "width": 4, "side_px": 32}),
    ],
)
def test_a_preview_shows_a_picture_of_the_set_beside_what_is_drawn(
    own_base, dataset, tmp_path, method, values
):
    quick = {"steps": 1, "preview_every": 1, "batch_size": 2}
    events = run(method, own_base, dataset, tmp_path / "run", **quick, **values)
    (previews,) = (event for event in events if isinstance(event, PreviewsReady))
    side = own_base.resolution
    squares = [prepare(read_image(each.path), each.crop, side) for each in dataset.pictures]
    latents = own_base.encode_images(to_tensor(squares))
    own = np.stack([np.asarray(p) for p in to_pictures(own_base.decode_latents(latents))])
    assert len(previews.paths) == 4
    for path in previews.paths:
        with Image.open(path) as pair:
            assert pair.size == (2 * side, side)
            left = np.asarray(pair.crop((0, 0, side, side)), np.float32)
        assert np.abs(own - left).mean(axis=(1, 2, 3)).min() < 2


VARIANTS = [
    *((method, {}) for method in training_methods()),
    ("dreambooth", {"layers": "all", "train_text_encoder": True}),
    ("anl", {"variant": "unconditional"}),
]
ON_EITHER_SHAPE = [
    (*which, shape) for which, shape in zip(VARIANTS, cycle(("starter", "sd15")), strict=False)
]
"""Each of them on one shape of base in turn: what is resumed does not depend on the shape."""


@pytest.mark.parametrize(("method", "variant", "shape"), ON_EITHER_SHAPE)
def test_a_run_that_goes_on_from_a_checkpoint_ends_bit_identical(
    base, dataset, tmp_path, method, variant
):
    values = {"steps": 6, "checkpoint_every": 4, "seed": 3} | variant
    whole = run(method, base, dataset, tmp_path / "whole", **values)
    paused = paused_after(3, method, base, dataset, tmp_path / "paused", **values)
    rest = run(method, base, dataset, tmp_path / "rest", resume_from=paused, **values)
    steps = [event.step for event in rest if isinstance(event, StepDone)]
    assert steps == list(range(4, 7))
    one, other = (load_file(events[-1].path) for events in (whole, rest))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def paused_after(number, method, base, dataset, run_dir, **values):
    """The checkpoint of a run that was asked to pause after so many steps, and left then."""
    config = parse_config(method, with_needed(method, QUICK | values))
    seen: list[int] = []

    def asked():
        return RunControl(pause=len(seen) == number)

    events = load_method(method).run(config, base, dataset, Run(run_dir, control=asked))
    with closing(events):
        for event in events:
            seen += [event.step] if isinstance(event, StepDone) else []
            if isinstance(event, CheckpointSaved):
                return event.path
    raise AssertionError("The run did not pause.")


def test_the_latents_are_encoded_once_for_each_base(base, dataset, tmp_path):
    first = run("vae", base, dataset, tmp_path / "one", steps=1)
    second = run("vae", base, dataset, tmp_path / "two", steps=1)
    assert [type(event) for event in (first[0], second[0])] == [PicturesPrepared, StepDone]


def test_a_loss_that_is_not_finite_stops_the_run_with_advice(base, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "dyod_studio.training.textual_inversion.denoising_loss",
        lambda output, target, weights=None: output.mean() * float("nan"),
    )
    with pytest.raises(TrainingDivergedError, match="Loss became nan at step 1: lower"):
        run("inversion", base, dataset, tmp_path / "run", steps=3)


def test_vectors_never_grow_beyond_their_bound(base, dataset, tmp_path):
    events = run(
        "inversion", base, dataset, tmp_path / "run", steps=20, learning_rate=0.5, max_norm=1.0
    )
    longest = base.text_encoder.get_input_embeddings().weight.norm(dim=1).max()
    vectors = load_artifact(events[-1].path, "inversion").tensors["emb_params"]
    assert vectors.norm(dim=1).max() <= longest * 1.0001


def test_every_epoch_sees_each_picture_once_in_another_order():
    orders = [
        [index for step in (1, 2, 3) for index in batch_indices(9, 3, seed, step)]
        for seed in (0, 0, 1)
    ]
    assert sorted(orders[0]) == list(range(9))
    assert orders[0] == orders[1] != orders[2]
    second_epoch = [index for step in (4, 5, 6) for index in batch_indices(9, 3, 0, step)]
    assert sorted(second_epoch) == list(range(9))
    assert second_epoch != orders[0]
    assert len(batch_indices(2, 5, 0, 1)) == 5


@pytest.mark.parametrize(
    ("method", "values", "message"),
    [
        ("inversion", {"stepz": 3}, "inversion has no setting 'stepz': it knows steps, seed"),
        ("inversion", {"steps": 0}, r"steps must lie in \[1, 100000\], got 0"),
        ("vae", {"beta": "much"}, "beta: input should be a valid number.*got 'much'"),
        ("vae", {"space": "words"}, "space must be one of latents, pixels, got 'words'"),
        ("vae", {"learning_rate": "nan"}, "learning_rate must .*got nan"),
        ("inversion", {"token": "two words"}, "token: .*got 'two words'"),
        ("magic", {}, "There is no method 'magic': choose one of inversion, lora, vae"),
    ],
)
def test_a_wrong_setting_is_one_sentence(method, values, message):
    with pytest.raises(InvalidInputError, match=message):
        parse_config(method, values)


def test_settings_may_come_as_text():
    config = parse_config("vae", {"steps": "25", "beta": "0.5", "space": "pixels"})
    assert (config.steps, config.beta, config.space) == (25, 0.5, "pixels")


def test_a_set_without_pictures_cannot_be_trained_on(tmp_path):
    with pytest.raises(InvalidInputError, match="no pictures yet"):
        TrainingSet([], tmp_path)
