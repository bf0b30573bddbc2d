"""Out of memory: what is changed, that it changes nothing of what is learned, and that it helps."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from dyod_studio.errors import InvalidInputError, OutOfMemoryError
from dyod_studio.models.placeholder import with_placeholder
from dyod_studio.requests.part_kinds import training_methods
from dyod_studio.training import initial_vae
from dyod_studio.training.checkpoints import list_checkpoints
from dyod_studio.training.oom_fallbacks import is_out_of_memory, micro_batch, next_fallback
from dyod_studio.training.registry import load_method, parse_config
from dyod_studio.training.run import (
    Adjustments,
    ArtifactReady,
    CheckpointSaved,
    PreviewsReady,
    Run,
    StepDone,
)
from dyod_studio.training.textual_inversion import InversionTask, initial_vectors
from tests.training.needed import with_needed

METHODS = training_methods()
INVERSION, VAE = METHODS["inversion"], METHODS["vae"]
QUICK = {"preview_every": 10_000, "checkpoint_every": 4, "steps": 10, "seed": 3}
IMPOSSIBLE_BYTES = 2**60


def fallbacks(info, config, **options):
    """Every rung from the top of the ladder to its end: the adjustments and the sentences."""
    found = []
    adjustments = Adjustments()
    while fallback := next_fallback(info, config, adjustments, **options):
        adjustments, sentence = fallback
        found.append((adjustments, sentence))
    return found


def test_the_ladder_halves_the_batch_then_recomputes_then_drops_previews_then_shrinks():
    config = parse_config("inversion", {"batch_size": 5})
    found = fallbacks(INVERSION, config, resolution=512)
    assert [sentence for _, sentence in found] == [
        "Each batch of 5 is computed 3 at a time.",
        "Each batch of 5 is computed 2 at a time.",
        "Each batch of 5 is computed 1 at a time.",
        "Activations are computed twice instead of kept; steps take longer.",
        "No preview pictures are made.",
        "Pictures are trained on at 384 pixels.",
        "Pictures are trained on at 256 pixels.",
    ]
    assert found[-1][0] == Adjustments(8, True, False, 256)


def test_the_ladder_offers_a_method_only_what_it_can_do():
    config = parse_config("vae", {"batch_size": 2})
    assert [sentence for _, sentence in fallbacks(VAE, config, resolution=512)] == [
        "Each batch of 2 is computed 1 at a time.",
        "No preview pictures are made.",
    ]


def test_pictures_are_not_made_smaller_when_the_base_is_not_known():
    config = parse_config("inversion", {"batch_size": 1})
    assert all(found.resolution is None for found, _ in fallbacks(INVERSION, config))


def test_a_side_is_a_multiple_of_what_the_networks_halve():
    config = parse_config("inversion", {"batch_size": 1})
    found = fallbacks(INVERSION, config, resolution=128, resolution_multiple=32)
    assert [adjusted.resolution for adjusted, _ in found][-2:] == [96, 64]


def test_adjustments_come_back_from_json_as_they_were():
    adjustments = Adjustments(4, True, False, 384)
    assert Adjustments.from_dict(adjustments.as_dict()) == adjustments
    assert Adjustments.from_dict({}) == Adjustments()


def allocator_failure():
    """What PyTorch itself raises on the CPU."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(IMPOSSIBLE_BYTES, dtype=torch.uint8)
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"),
        MemoryError(),
        OSError(12, "Cannot allocate memory"),
        OutOfMemoryError("Step 3 did not fit.", 3),
    ],
    ids=["cuda", "cublas", "python", "system", "own"],
)
def test_every_way_of_running_out_of_memory_is_known(error):
    assert is_out_of_memory(error)
    assert is_out_of_memory(allocator_failure())


@pytest.mark.parametrize(
    "error", [RuntimeError("shape mismatch"), OSError(28, "No space left"), ValueError("memory")]
)
def test_another_error_is_not_taken_for_a_lack_of_memory(error):
    assert not is_out_of_memory(error)


def inversion_task(base, dataset, config):
    latents = list_value(dataset.prepare_latents(base))
    return InversionTask(base, latents, config)


def list_value(generator):
    """What a generator returns at its end."""
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value


def gradients(task, num_parts, step=3):
    """The loss of a step and the gradient it leaves."""
    losses = []
    for loss in task.losses(step, num_parts):
        losses.append(loss.item())
        loss.backward()
    found = [parameter.grad.clone() for parameter in task.parameters()]
    for parameter in task.parameters():
        parameter.grad = None
    return sum(losses), found


def assert_same(one, other):
    assert one[0] == pytest.approx(other[0], rel=1e-5)
    assert max(gradient.abs().max() for gradient in one[1]) > 0
    for left, right in zip(one[1], other[1], strict=True):
        torch.testing.assert_close(left, right, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("num_parts", [2, 3, 5])
@pytest.mark.parametrize("gamma", [0, 5], ids=["plain", "min-snr"])
def test_accumulation_gives_an_inversion_the_loss_and_gradient_of_the_whole_batch(
    base, dataset, num_parts, gamma
):
    config = parse_config("inversion", {"batch_size": 5, "min_snr_gamma": gamma})
    vectors = initial_vectors(base, "", config.num_vectors, config.seed)
    with with_placeholder(base, config.token, vectors) as extended:
        task = inversion_task(extended, dataset, config)
        assert len(list(task.losses(1, num_parts))) == -(-5 // micro_batch(5, num_parts))
        assert_same(gradients(task, num_parts), gradients(task, 1))


@pytest.mark.parametrize("num_parts", [2, 3, 7])
def test_accumulation_gives_a_vae_the_loss_and_gradient_of_the_whole_batch(
    base, dataset, num_parts
):
    config = parse_config("vae", {"batch_size": 7, "width": 8, "num_coordinates": 4})
    task = initial_vae.VaeTask(base, list_value(dataset.prepare_latents(base)), config)
    assert_same(gradients(task, num_parts), gradients(task, 1))


def test_computing_activations_twice_gives_the_same_loss_and_gradient(base, dataset):
    config = parse_config("inversion", {"batch_size": 3})
    vectors = initial_vectors(base, "", config.num_vectors, config.seed)
    with with_placeholder(base, config.token, vectors) as extended:
        task = inversion_task(extended, dataset, config)
        plain = gradients(task, 1)
        with extended.sparing_memory(recompute=True):
            assert_same(gradients(task, 1), plain)


class SmallMemory:
    """Put in place of a layer's forward: the real allocator fails for more than ``at_once``."""

    def __init__(self, layer, at_once, *, until=lambda: False):
        self.forward, self.at_once, self.until = layer.forward, at_once, until
        self.failures = 0
        layer.forward = self

    def __call__(self, images):
        if torch.is_grad_enabled() and len(images) > self.at_once and not self.until():
            self.failures += 1
            torch.empty(IMPOSSIBLE_BYTES, dtype=torch.uint8)
        return self.forward(images)


def run_down_the_ladder(method, base, dataset, run_dir, values):
    """As a job does it: at every failure the next rung, from the last checkpoint on."""
    config = parse_config(method, QUICK | values)
    adjustments, sentences, events = Adjustments(), [], []
    while True:
        saved = list_checkpoints(run_dir)
        run = Run(run_dir, saved[-1].path if saved else None, adjustments=adjustments)
        try:
            for event in load_method(method).run(config, base, dataset, run):
                events.append(event)
            return events, sentences
        except OutOfMemoryError:
            fallback = next_fallback(
                METHODS[method],
                config,
                adjustments,
                resolution=base.own_resolution,
                resolution_multiple=base.resolution_multiple,
            )
            if fallback is None:
                raise
            adjustments, sentence = fallback
            sentences.append(sentence)


def test_a_run_that_does_not_fit_finishes_with_a_smaller_batch_and_says_so(
    own_base, dataset, tmp_path
):
    small = SmallMemory(own_base.unet.conv_in, at_once=1)
    events, sentences = run_down_the_ladder(
        "inversion", own_base, dataset, tmp_path / "run", {"batch_size": 4}
    )
    assert small.failures == 2
    assert sentences == [
        "Each batch of 4 is computed 2 at a time.",
        "Each batch of 4 is computed 1 at a time.",
    ]
    assert [event.step for event in events if isinstance(event, StepDone)] == list(range(1, 11))
    assert isinstance(events[-1], ArtifactReady)


def test_memory_that_ends_in_the_middle_costs_no_more_than_the_steps_since_the_checkpoint(
    own_base, dataset, tmp_path
):
    small = SmallMemory(own_base.unet.conv_in, at_once=1)
    small.until = lambda: len(list_checkpoints(tmp_path / "run")) == 0
    events, sentences = run_down_the_ladder(
        "inversion", own_base, dataset, tmp_path / "run", {"batch_size": 2}
    )
    steps = [event.step for event in events if isinstance(event, StepDone)]
    assert steps == list(range(1, 11))
    assert sentences == ["Each batch of 2 is computed 1 at a time."]
    assert (
        '"accumulation": 2'
        in (list_checkpoints(tmp_path / "run")[-1].path / "state.json").read_text()
    )


def test_where_one_picture_is_too_much_activations_are_computed_twice(own_base, dataset, tmp_path):
    small = SmallMemory(own_base.unet.conv_in, at_once=0)
    small.until = lambda: own_base.unet.is_gradient_checkpointing
    events, sentences = run_down_the_ladder(
        "inversion", own_base, dataset, tmp_path / "run", {"batch_size": 1}
    )
    assert sentences == ["Activations are computed twice instead of kept; steps take longer."]
    assert isinstance(events[-1], ArtifactReady)
    assert not own_base.unet.is_gradient_checkpointing
    assert not own_base.unet.training


def test_at_the_last_rung_pictures_are_smaller_and_no_previews_are_made(
    own_base, dataset, tmp_path
):
    cells = own_base.latent_shape[-1]

    class OnlySmall(SmallMemory):
        def __call__(self, images):
            self.until = lambda: images.shape[-1] < cells
            return super().__call__(images)

    OnlySmall(own_base.unet.conv_in, at_once=0)
    events, sentences = run_down_the_ladder(
        "inversion", own_base, dataset, tmp_path / "run", {"batch_size": 1}
    )
    side = own_base.own_resolution - own_base.resolution_multiple
    assert sentences[-1] == f"Pictures are trained on at {side} pixels."
    assert not any(isinstance(event, PreviewsReady) for event in events)
    assert isinstance(events[-1], ArtifactReady)


def test_memory_that_suffices_for_nothing_ends_in_one_sentence(own_base, dataset, tmp_path):
    small = SmallMemory(own_base.unet.conv_in, at_once=0)
    with pytest.raises(
        OutOfMemoryError, match="Step 1 did not fit into memory with 1 of 2 pictures at a time"
    ) as caught:
        run_down_the_ladder("inversion", own_base, dataset, tmp_path / "run", {"batch_size": 2})
    assert caught.value.step == 1
    assert small.failures == 5
    assert all(parameter.grad is None for parameter in own_base.unet.parameters())


def test_a_failed_step_holds_no_activations(own_base, dataset, tmp_path):
    """Whoever tries again finds the memory that the failed attempt had taken."""
    config = parse_config("inversion", QUICK | {"batch_size": 2})
    SmallMemory(own_base.unet.conv_out, at_once=0)
    with pytest.raises(OutOfMemoryError) as caught:
        list(load_method("inversion").run(config, own_base, dataset, Run(tmp_path / "run")))
    assert caught.value.__cause__ is not None
    frame_values = []
    entry = caught.value.__cause__.__traceback__
    while entry is not None:
        frame_values += list(entry.tb_frame.f_locals.values())
        entry = entry.tb_next
    tensors = [value for value in frame_values if isinstance(value, torch.Tensor)]
    assert [tuple(tensor.shape) for tensor in tensors if tensor.requires_grad] == []


@pytest.mark.slow
@pytest.mark.parametrize("method", list(METHODS))
def test_after_a_rung_of_the_ladder_a_run_still_goes_on_bit_identical(
    own_base, dataset, tmp_path, method
):
    config = parse_config(method, with_needed(method, QUICK | {"batch_size": 4}))
    adjustments = Adjustments(
        accumulation=2,
        gradient_checkpointing=METHODS[method].can_checkpoint_gradients,
        previews=False,
    )
    run = Run(tmp_path / "whole", adjustments=adjustments)
    whole = list(load_method(method).run(config, own_base, dataset, run))
    saved = [event.path for event in whole if isinstance(event, CheckpointSaved)][1]
    again = replace(run, run_dir=tmp_path / "again", resume_from=saved)
    rest = list(load_method(method).run(config, own_base, dataset, again))
    one, other = (load_file(events[-1].path) for events in (whole, rest))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
@pytest.mark.parametrize("method", list(METHODS))
def test_any_checkpoint_can_be_finished_into_an_artifact_without_a_step(
    own_base, dataset, tmp_path, method
):
    config = parse_config(method, with_needed(method, QUICK))
    quick = Run(tmp_path / "whole", adjustments=Adjustments(previews=False))
    whole = list(load_method(method).run(config, own_base, dataset, quick))
    saved = [event for event in whole if isinstance(event, CheckpointSaved)]
    last, early = (
        list(
            load_method(method).run(
                config,
                own_base,
                dataset,
                Run(tmp_path / f"from {event.step}", event.path, finish_only=True),
            )
        )
        for event in (saved[-1], saved[-2])
    )
    assert [type(event) for event in early] == [ArtifactReady]
    finished, cut, complete = (load_file(e[-1].path) for e in (last, early, whole))
    assert all(torch.equal(finished[name], complete[name]) for name in complete)
    assert any(not torch.equal(cut[name], complete[name]) for name in complete)


def test_finishing_needs_a_checkpoint(own_base, dataset, tmp_path):
    with pytest.raises(InvalidInputError, match="no checkpoint to finish from"):
        list(
            load_method("vae").run(
                parse_config("vae", QUICK), own_base, dataset, Run(tmp_path, finish_only=True)
            )
        )
