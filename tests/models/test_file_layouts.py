"""What goes out is what four other tools take: checks written after what each loader accepts.

A1111, ComfyUI and InvokeAI cannot be installed beside the studio, so their rules stand here in a
few lines each; diffusers itself loads every file and draws the same picture.
"""

import json
import re
from contextlib import ExitStack

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from safetensors import safe_open
from safetensors.torch import load_file

from dyod_studio.models.artifacts import Artifact, save_artifact
from dyod_studio.models.customised import SamplingConfig, open_customised
from dyod_studio.models.foreign_files import header_for, read_part
from dyod_studio.models.foreign_headers import read_header
from dyod_studio.models.lora import plain_layers
from dyod_studio.models.placeholder import inversion_header
from dyod_studio.services.exchange.export import part_files
from tests.ldm_layout import _unet_key
from tests.models.parts import dreambooth_part

TOKEN = "<toy>"
LAYERS_OF_LDM = re.compile(r"(input_blocks|middle_block|output_blocks|time_embed|out)\.")


@pytest.fixture
def shape():
    return "sd15"


@pytest.fixture
def inversion(base):
    width = base.text_encoder.get_input_embeddings().embedding_dim
    vectors = 0.1 * torch.randn(2, width, generator=torch.Generator().manual_seed(9))
    config = {"token": TOKEN}
    return Artifact("inversion", base.ref, base.fingerprint, config, {}, {"emb_params": vectors})


@pytest.fixture
def files(base, inversion, tmp_path):
    """Every file that goes out, by its name."""
    stored = tmp_path / "stored.safetensors"
    for artifact, word in ((inversion, "toy"), (dreambooth_part(base), "my dog")):
        save_artifact(artifact, stored, header_for(artifact, base))
        for name, content in part_files(artifact.kind, stored, word):
            target = tmp_path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    return {
        "inversion": tmp_path / "toy.safetensors",
        "of diffusers": tmp_path / "diffusers" / "toy" / "learned_embeds.safetensors",
        "lora": tmp_path / "my-dog-dreambooth.safetensors",
    }


def read_by_a1111(path, width):
    """modules/textual_inversion: the one tensor of the file, whatever its key; else skipped."""
    data = load_file(path)
    assert not {"string_to_param", "clip_l", "clip_g"} & data.keys()
    assert len(data) == 1
    (vectors,) = data.values()
    vectors = vectors.unsqueeze(0) if vectors.ndim == 1 else vectors
    assert vectors.shape[-1] == width
    return vectors


def read_by_comfyui(path, width):
    """comfy/sd1_clip.py, load_embed: the first value, unless it knows a key better."""
    data = load_file(path)
    vectors = data["string_to_param"] if "string_to_param" in data else next(iter(data.values()))
    assert vectors.shape[-1] == width
    return vectors


def read_by_invokeai(path, width):
    """configs/textual_inversion.py: the base by the last axis, for ``emb_params`` alone."""
    data = load_file(path)
    assert path.stat().st_size < 10 << 20
    assert data.keys() & {"string_to_param", "emb_params", "clip_g"}
    assert data["emb_params"].shape[-1] == width
    return data["emb_params"]


def test_the_word_goes_out_in_the_layout_that_three_tools_read(base, inversion, files):
    width = base.text_encoder.get_input_embeddings().embedding_dim
    for read in (read_by_a1111, read_by_comfyui, read_by_invokeai):
        assert torch.equal(read(files["inversion"], width), inversion.tensors["emb_params"])
    for read in (read_by_a1111, read_by_comfyui):
        assert torch.equal(read(files["of diffusers"], width), inversion.tensors["emb_params"])
    assert list(load_file(files["of diffusers"])) == [TOKEN]
    assert load_file(files["inversion"])["emb_params"].dtype == torch.float32
    with safe_open(files["of diffusers"], framework="pt") as file:
        assert file.metadata() == {"format": "pt"}
    header = read_header(files["inversion"]).metadata
    assert header["modelspec.trigger_phrase"] == TOKEN
    assert header["modelspec.architecture"] == f"latent-diffusion-{width}/textual-inversion"
    assert json.loads(header["dyod.config"])["token"] == TOKEN


@pytest.mark.parametrize(("width", "version"), [(768, "v1"), (1024, "v2")])
def test_the_header_of_a_word_names_the_generation_of_its_base(width, version):
    architecture = inversion_header(width, TOKEN)["modelspec.architecture"]
    assert architecture == f"stable-diffusion-{version}/textual-inversion"


def test_comfyui_finds_a_layer_for_every_key_of_the_lora_and_leaves_none(base, files):
    """comfy/lora.py: a map from the model's own layers to names, then down, up and alpha."""
    names = {f"lora_unet_{path.replace('.', '_')}" for path in plain_layers(base.unet)}
    text = (p.removeprefix("text_model.") for p in plain_layers(base.text_encoder))
    names |= {f"lora_te_text_model_{path.replace('.', '_')}" for path in text}
    data, loaded = load_file(files["lora"]), set()
    for name in names:
        keys = {f"{name}.{part}" for part in ("lora_up.weight", "lora_down.weight", "alpha")}
        if f"{name}.lora_up.weight" in data:
            assert keys <= data.keys()
            loaded |= keys
    assert data.keys() == loaded


def test_a1111_translates_every_layer_of_the_lora_to_one_of_the_original_u_net(base, files):
    """extensions-builtin/Lora/networks.py turns diffusers' names into those of the original."""
    paths = {p.replace(".", "_"): p for p in plain_layers(base.unet)}
    names = {key.split(".")[0] for key in load_file(files["lora"])}
    of_unet = [n.removeprefix("lora_unet_") for n in names if n.startswith("lora_unet_")]
    assert of_unet
    assert all(LAYERS_OF_LDM.match(_unet_key(f"{paths[name]}.weight")) for name in of_unet)
    of_text = re.compile(
        r"lora_te_text_model_encoder_layers_\d+_(self_attn_(q|k|v|out)_proj|mlp_fc[12])"
    )
    rest = [name for name in names if not name.startswith("lora_unet_")]
    assert rest
    assert all(of_text.fullmatch(name) for name in rest)


def test_invokeai_learns_the_base_from_the_cross_attention_of_the_lora(base, files):
    """configs/lora.py and lora_token_vector_length in util/model_util.py."""
    widths = {
        tensor.shape[1]
        for key, tensor in load_file(files["lora"]).items()
        if re.search(r"lora_unet_.*_attn2_to_[kv]\.lora_down\.weight", key)
    }
    assert widths == {base.unet.config.cross_attention_dim}
    header = read_header(files["lora"]).metadata
    minimum = ("ss_v2", "ss_base_model_version", "ss_network_module", "ss_network_dim")
    assert all(header[key] for key in (*minimum, "ss_network_alpha", "ss_network_args"))


def test_both_layouts_of_the_word_and_the_lora_draw_the_same_picture_in_diffusers(
    base, base_folder, inversion, files
):
    prompt = f"a photo of {TOKEN}"
    noise = torch.randn(base.latent_shape, generator=torch.Generator().manual_seed(4))

    def theirs(path, lora, **options):
        pipeline = StableDiffusionPipeline.from_pretrained(base_folder, safety_checker=None)
        pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
        pipeline.set_progress_bar_config(disable=True)
        pipeline.load_textual_inversion(path, **options)
        pipeline.load_lora_weights(lora)
        return pipeline(
            prompt, latents=noise.unsqueeze(0), num_inference_steps=5, guidance_scale=3.0
        ).images[0]

    def ours(parts):
        with ExitStack() as stack:
            model = open_customised(stack, base, parts)
            return model.sample(
                "prompt", [4], SamplingConfig(1, 5, 3.0, prompt, timestep_spacing="scheduler")
            )[0]

    def brought_in(path):
        return read_part(path, read_header(path), base, token=TOKEN, title="")

    parts = {"inversion": inversion, "dreambooth": dreambooth_part(base)}
    expected = np.asarray(ours(parts), dtype=int)
    embedding, lora = brought_in(files["of diffusers"]), brought_in(files["lora"])
    assert (embedding.kind, lora.kind) == ("embedding", "dreambooth")
    pictures = [
        theirs(files["inversion"], files["lora"], token=TOKEN),
        theirs(files["of diffusers"], files["lora"]),
        ours({"embedding": embedding, "dreambooth": lora}),
    ]
    for picture in pictures:
        assert np.abs(np.asarray(picture, dtype=int) - expected).max() <= 2
    plain = np.asarray(ours({"inversion": inversion}), dtype=int)
    assert np.abs(plain - expected).max() > 10
