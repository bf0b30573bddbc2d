"""Networks that follow lines: as diffusers runs them, gone without a trace, out and in again."""

import json
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import (
    ControlNetModel,
    DDIMScheduler,
    StableDiffusionAdapterPipeline,
    StableDiffusionControlNetPipeline,
    T2IAdapter,
)
from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file

from dyod_studio.datasets.lines import lines_of
from dyod_studio.errors import InvalidInputError
from dyod_studio.models.artifacts import Artifact, save_artifact
from dyod_studio.models.control import Control, as_hint, load_control, new_control
from dyod_studio.models.control_files import weights_of
from dyod_studio.models.customised import CustomisedModel, SamplingConfig, open_customised
from dyod_studio.models.foreign_files import read_part
from dyod_studio.models.foreign_headers import read_header
from dyod_studio.models.whole_unet import unet_tensors
from dyod_studio.services.exchange.export import part_files
from tests.models.parts import dreambooth_part, part, shaken

STEPS = 4
SAID = SamplingConfig(1, STEPS, 3.0, "a photo of a dog", timestep_spacing="scheduler")


def sketch(side):
    picture = Image.new("RGB", (side, side), "white")
    ImageDraw.Draw(picture).ellipse([side * 0.2, side * 0.2, side * 0.8, side * 0.8], width=3)
    return picture


def control_of(base, kind="controlnet", seed=0):
    """A network that does something, and the lines that it follows."""
    control = new_control(base, kind, seed)
    shaken(control.network.parameters(), 5)
    control.network.eval().requires_grad_(False)
    return control, as_hint([lines_of(sketch(base.resolution))])


def stored(base, control):
    return Artifact("control", base.ref, base.fingerprint, {}, control.facts(), control.tensors())


def drawn(base, control, reverse, seeds=(4,), parts=None):
    with ExitStack() as stack:
        if parts is not None:
            model = open_customised(stack, base, parts)
        else:
            model = CustomisedModel(base, control=control)
        images = model.sample("prompt", list(seeds), reverse)
    return np.stack([np.asarray(image, dtype=int) for image in images])


def test_a_new_control_net_changes_nothing_and_a_scale_of_zero_never_does(base):
    plain = drawn(base, None, SAID)
    fresh = new_control(base, "controlnet", 0)
    _, lines = control_of(base)
    assert np.array_equal(drawn(base, fresh, replace(SAID, control=Control(lines))), plain)
    control, lines = control_of(base)
    led = drawn(base, control, replace(SAID, control=Control(lines)))
    assert np.abs(led - plain).max() > 5
    nothing = replace(SAID, control=Control(lines, scale=0.0))
    assert np.array_equal(drawn(base, control, nothing), plain)
    never = replace(SAID, control=Control(lines, until=0.0))
    assert np.array_equal(drawn(base, control, never), plain)
    half = drawn(base, control, replace(SAID, control=Control(lines, until=0.5)))
    assert not np.array_equal(half, plain)
    assert not np.array_equal(half, led)
    assert np.array_equal(drawn(base, None, SAID), plain)
    assert not base.unet._forward_pre_hooks


def test_a_drawing_that_is_stopped_leaves_the_base_as_it_was(base):
    control, lines = control_of(base)
    model = CustomisedModel(base, control=control)

    def stop(step, total):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        model.sample("prompt", [1], replace(SAID, control=Control(lines)), on_step=stop)
    assert not base.unet._forward_pre_hooks


def test_each_picture_of_a_batch_is_the_one_that_it_is_alone(base):
    control, lines = control_of(base)
    led = replace(SAID, control=Control(lines))
    together = drawn(base, control, led, (4, 5))
    assert np.abs(together[1] - drawn(base, control, led, (5,))[0]).max() <= 1


@pytest.mark.parametrize("shape", ["sd15"])
def test_diffusers_draws_the_same_picture_with_the_same_control_net(base, base_folder, shape):
    control, lines = control_of(base)
    ours = drawn(base, control, replace(SAID, control=Control(lines, scale=0.7)))
    pipeline = StableDiffusionControlNetPipeline.from_pretrained(
        base_folder, controlnet=control.network, safety_checker=None
    )
    theirs = _by_diffusers(pipeline, base, lines, controlnet_conditioning_scale=0.7)
    assert np.abs(ours - theirs).max() <= 2


@pytest.mark.filterwarnings("ignore:The decode_latents method is deprecated:FutureWarning")
@pytest.mark.parametrize("shape", ["sd15"])
def test_diffusers_draws_the_same_picture_with_the_same_adapter(base, base_folder, shape):
    control, lines = control_of(base, "t2i-adapter")
    ours = drawn(base, control, replace(SAID, control=Control(lines, scale=0.7)))
    assert np.abs(ours - drawn(base, None, SAID)).max() > 5
    pipeline = StableDiffusionAdapterPipeline.from_pretrained(
        base_folder, adapter=control.network, safety_checker=None
    )
    theirs = _by_diffusers(pipeline, base, lines, adapter_conditioning_scale=0.7)
    assert np.abs(ours - theirs).max() <= 2


def _by_diffusers(pipeline, base, lines, **options):
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    noise = torch.randn(base.latent_shape, generator=torch.Generator().manual_seed(4))
    made = pipeline(
        SAID.prompt, image=lines, latents=noise.unsqueeze(0), num_inference_steps=STEPS,
        guidance_scale=3.0, height=base.resolution, width=base.resolution, **options,
    )  # fmt: skip
    return np.asarray(made.images[0], dtype=int)[None]


@pytest.mark.parametrize("shape", ["sd15"])
@pytest.mark.parametrize(("kind", "calls"), [("controlnet", STEPS), ("t2i-adapter", 1)])
def test_an_adapter_reads_the_lines_once_a_picture(base, kind, calls, shape):
    control, lines = control_of(base, kind)
    seen = []
    control.network.register_forward_hook(lambda *_: seen.append(1))
    drawn(base, control, replace(SAID, control=Control(lines)))
    assert len(seen) == calls


@pytest.mark.parametrize("shape", ["starter"])
def test_an_adapter_refuses_a_base_that_it_cannot_join(base, shape):
    with pytest.raises(InvalidInputError, match="first block has none: train a control net"):
        new_control(base, "t2i-adapter", 0)


def test_it_goes_with_a_lora_and_with_a_whole_unet_of_ones_own(base):
    control, lines = control_of(base)
    led = replace(SAID, control=Control(lines))
    mine = stored(base, control)
    whole = {name: 1.01 * tensor for name, tensor in unet_tensors(base.unet).items()}
    others = {
        "dreambooth": dreambooth_part(base),
        "lora": part(base, "lora", whole, {}, {"prompt": ""}),
    }
    for name, other in others.items():
        both = drawn(base, None, led, parts={"control": mine, name: other})
        alone = drawn(base, None, SAID, parts={"control": mine, name: other})
        assert np.abs(both - alone).max() > 5
        assert np.abs(both - drawn(base, None, led, parts={"control": mine})).max() > 0


def test_without_a_network_lines_are_refused(base):
    _, lines = control_of(base)
    with pytest.raises(InvalidInputError, match="train 'control' first"):
        drawn(base, None, replace(SAID, control=Control(lines)))


@pytest.mark.parametrize("shape", ["sd15"])
@pytest.mark.parametrize("kind", ["controlnet", "t2i-adapter"])
def test_what_goes_out_is_loaded_by_diffusers_and_comes_in_again(base, kind, shape, tmp_path):
    control, lines = control_of(base, kind)
    path = save_artifact(stored(base, control), tmp_path / "stored.safetensors")
    for name, content in part_files("control", path, "my set"):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    folder = tmp_path / "diffusers" / "my-set-control"
    theirs = (ControlNetModel if kind == "controlnet" else T2IAdapter).from_pretrained(folder)
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(tensor, control.tensors()[name])
    again = read_part(
        weights_of(folder), read_header(weights_of(folder)), base, token="", title="x"
    )
    assert_same(again, control)
    save_file(theirs.state_dict(), folder / "diffusion_pytorch_model.safetensors")
    foreign = weights_of(folder)
    assert_same(read_part(foreign, read_header(foreign), base, token="", title="x"), control)
    led = replace(SAID, control=Control(lines))
    assert np.array_equal(drawn(base, load_control(again, base), led), drawn(base, control, led))


def assert_same(artifact, control):
    assert artifact.kind == "control"
    configs = [
        json.dumps(facts["network_config"], sort_keys=True)
        for facts in (artifact.facts, control.facts())
    ]
    assert configs[0] == configs[1]
    assert artifact.tensors.keys() == control.tensors().keys()
    assert all(torch.equal(t, control.tensors()[n]) for n, t in artifact.tensors.items())


@pytest.mark.parametrize("shape", ["sd15"])
def test_the_file_for_a1111_has_the_first_implementation_s_names(base, shape, tmp_path):
    control, _ = control_of(base)
    path = save_artifact(stored(base, control), tmp_path / "stored.safetensors")
    files = dict(part_files("control", path, "x"))
    (tmp_path / "ldm.safetensors").write_bytes(files["a1111/x-control.safetensors"])
    tensors = load_file(tmp_path / "ldm.safetensors")
    assert "control_model.input_hint_block.14.weight" in tensors  # a hint shrunk by eight
    assert all(name.startswith("control_model.") for name in tensors)
    back = convert_controlnet_checkpoint(dict(tensors), control.network.config)
    assert back.keys() == control.tensors().keys()
    assert all(torch.equal(back[name], control.tensors()[name]) for name in back)
    ldm = tmp_path / "ldm.safetensors"
    assert_same(read_part(ldm, read_header(ldm), base, token="", title="x"), control)


def test_a_network_for_another_base_and_a_folder_without_one_are_refused(base_models, tmp_path):
    control, _ = control_of(base_models["sd15"])
    path = tmp_path / "theirs.safetensors"
    save_file(control.tensors(), path)
    with pytest.raises(InvalidInputError, match="theirs.safetensors is a network for a base model"):
        read_part(path, read_header(path), base_models["starter"], token="", title="x")
    with pytest.raises(InvalidInputError, match="holds no diffusion_pytorch_model.safetensors"):
        weights_of(tmp_path)
