"""Trained parts made elsewhere: every layout that other tools write, and what is refused."""

import json
import struct

import pytest
import torch
from diffusers import StableDiffusionPipeline
from diffusers.utils import convert_state_dict_to_kohya
from peft import get_peft_model_state_dict
from safetensors.torch import save_file

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.artifacts import save_artifact
from dyod_studio.models.foreign_files import header_for, read_part
from dyod_studio.models.foreign_headers import parse_lora_key, read_header
from dyod_studio.models.lora import plain_layers, with_lora
from dyod_studio.models.lora_files import known_names, read_layers
from tests.ldm_layout import _unet_key
from tests.models.parts import anl_part, dreambooth_part


@pytest.fixture
def shape():
    return "sd15"


@pytest.fixture
def kohya(base):
    """A LoRA on both networks, in the layout that the studio writes."""
    return dict(dreambooth_part(base).tensors)


def brought_in(base, path, token="<style>"):
    return read_part(path, read_header(path), base, token=token, title="a title")


def imported(base, tensors, path, metadata=None):
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, path, metadata)
    return brought_in(base, path)


def assert_same_layers(one, other):
    """alpha / r up @ down of every layer."""
    one, other = read_layers(one), read_layers(other)
    assert one.keys() == other.keys()
    for name, weights in one.items():
        theirs = other[name]
        ours = weights.alpha / weights.rank * weights.up.flatten(1) @ weights.down.flatten(1)
        them = theirs.alpha / theirs.rank * theirs.up.flatten(1) @ theirs.down.flatten(1)
        torch.testing.assert_close(ours, them)


def test_kohya_s_own_layout_comes_in_as_it_is_and_out_again(base, kohya, tmp_path):
    half = {key: tensor.to(torch.bfloat16) for key, tensor in kohya.items()}
    part = imported(base, half, tmp_path / "a.safetensors", {"modelspec.trigger_phrase": "a b dog"})
    assert (part.kind, part.facts["prompt"]) == ("lora", "a b dog")
    assert all(torch.equal(part.tensors[key], half[key].float()) for key in kohya)
    out = save_artifact(part, tmp_path / "out.safetensors", header_for(part, base))
    assert read_header(out).metadata["ss_network_module"] == "networks.lora"
    again = brought_in(base, out)
    assert (again.kind, dict(again.facts)) == ("lora", dict(part.facts))
    assert_same_layers(again.tensors, half)


def test_names_of_the_original_u_net_are_those_of_diffusers_layers(base, kohya, tmp_path):
    paths = {f"lora_unet_{p.replace('.', '_')}": p for p in plain_layers(base.unet)}
    old = {}
    for key, tensor in kohya.items():
        name, _, part = key.partition(".")
        if name in paths:
            ldm = _unet_key(f"{paths[name]}.weight").removesuffix(".weight")
            name = "lora_unet_" + ldm.replace(".", "_")
        old[f"{name}.{part}"] = tensor
    assert any("input_blocks_1_1" in key for key in old)
    assert not any("down_blocks" in key for key in old)
    assert_same_layers(imported(base, old, tmp_path / "old.safetensors").tensors, kohya)


def test_every_layer_of_the_u_net_is_known_by_its_old_name(base):
    own = {"unet": plain_layers(base.unet)}
    known = known_names(base, own)
    for path in own["unet"]:
        old = _unet_key(f"{path}.weight").removesuffix(".weight").replace(".", "_")
        assert known[f"lora_unet_{old}"] == f"lora_unet_{path.replace('.', '_')}"


def diffusers_files(base, base_folder, kohya, tmp_path):
    """What diffusers itself saves of a LoRA that it has loaded."""
    save_file(kohya, tmp_path / "kohya.safetensors")
    pipeline = StableDiffusionPipeline.from_pretrained(base_folder, safety_checker=None)
    pipeline.load_lora_weights(tmp_path / "kohya.safetensors")
    unet = get_peft_model_state_dict(pipeline.unet, adapter_name="default_0")
    text = get_peft_model_state_dict(pipeline.text_encoder, adapter_name="default_0")
    config = {"lora_alpha": 2, "r": 2}
    StableDiffusionPipeline.save_lora_weights(
        tmp_path / "diffusers",
        unet_lora_layers=unet,
        text_encoder_lora_layers=text,
        unet_lora_adapter_metadata=config,
        text_encoder_lora_adapter_metadata=config,
    )
    yield tmp_path / "diffusers" / "pytorch_lora_weights.safetensors"
    save_file({f"base_model.model.{k}": t for k, t in unet.items()}, tmp_path / "peft.safetensors")
    yield tmp_path / "peft.safetensors"
    both = {f"unet.{k}": t for k, t in unet.items()}
    both |= {f"text_encoder.{k}": t for k, t in text.items()}
    save_file(convert_state_dict_to_kohya(both), tmp_path / "again.safetensors")
    yield tmp_path / "again.safetensors"


def test_what_diffusers_and_peft_write_comes_in(base, base_folder, kohya, tmp_path):
    unet_only = {key: t for key, t in kohya.items() if key.startswith("lora_unet_")}
    for path in diffusers_files(base, base_folder, kohya, tmp_path):
        whole = unet_only if path.stem == "peft" else kohya
        assert_same_layers(brought_in(base, path).tensors, whole)


def test_alpha_beside_the_tensors_counts(base, kohya, tmp_path):
    layer = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
    path = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
    pair = {
        f"{path}.lora_A.weight": kohya[f"{layer}.lora_down.weight"],
        f"{path}.lora_B.weight": kohya[f"{layer}.lora_up.weight"],
    }
    metadata = {"lora_adapter_metadata": json.dumps({"unet.lora_alpha": 8, "unet.r": 2})}
    told = imported(base, pair, tmp_path / "told.safetensors", metadata)
    untold = imported(base, pair, tmp_path / "untold.safetensors")
    alphas = [float(part.tensors[f"{layer}.alpha"]) for part in (told, untold)]
    assert alphas == [8, 2]
    scaled = {"lora_adapter_metadata": json.dumps({"unet.lora_alpha": 8, "unet.use_rslora": True})}
    with pytest.raises(InvalidInputError, match="scales its layers in a way"):
        imported(base, pair, tmp_path / "scaled.safetensors", scaled)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("unet.mid_block.x.to_q.lora.down.weight", ("lora_unet_mid_block_x_to_q", "down")),
        ("unet.mid_block.x.processor.to_q_lora.up.weight", ("lora_unet_mid_block_x_to_q", "up")),
        ("unet.x.processor.to_out_lora.down.weight", ("lora_unet_x_to_out_0", "down")),
        (
            "text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.up.weight",
            ("lora_te_text_model_encoder_layers_0_self_attn_q_proj", "up"),
        ),
        (
            "text_encoder.encoder.layers.0.mlp.fc1.lora_B.default.weight",
            ("lora_te_text_model_encoder_layers_0_mlp_fc1", "up"),
        ),
        ("diffusion_model.input_blocks.1.1.proj_in.alpha", ("lora_unet_input_blocks_1_1_proj_in",)),
        ("transformer.blocks.0.lora_A.weight", None),
        ("lora_unet_x.hada_w1_a", None),
        ("emb_params", None),
    ],
)
def test_a_key_is_read_as_kohya_would_write_it(key, expected):
    found = parse_lora_key(key)
    if expected is None:
        assert found is None
    else:
        parts = {"down": "lora_down.weight", "up": "lora_up.weight"}
        assert found == (expected[0], parts[expected[1]] if len(expected) == 2 else "alpha")


def test_a_one_by_one_convolution_fits_where_a_linear_layer_was_trained(base, tmp_path):
    path = "mid_block.attentions.0.proj_in"
    weight = base.unet.get_submodule(path).weight
    assert weight.ndim == 4
    name = f"lora_unet_{path.replace('.', '_')}"
    tensors = {
        f"{name}.lora_down.weight": torch.ones(1, weight.shape[1]),
        f"{name}.lora_up.weight": torch.ones(weight.shape[0], 1),
    }
    part = imported(base, tensors, tmp_path / "linear.safetensors")
    assert part.tensors[f"{name}.lora_down.weight"].ndim == 4
    with with_lora(base, part.tensors):
        pass


@pytest.mark.parametrize("key", ["emb_params", "emp_params", "*", "<toy>", "string_to_param.*"])
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_every_layout_of_a_textual_inversion_comes_in(base, tmp_path, key, rows):
    width = base.text_encoder.get_input_embeddings().embedding_dim
    vectors = 0.1 * torch.randn(*([rows] if rows else []), width)
    part = imported(base, {key: vectors.half()}, tmp_path / "toy.safetensors")
    assert (part.kind, part.config["token"]) == ("embedding", "<style>")
    expected = vectors.half().float().reshape(max(1, rows), width)
    assert torch.equal(part.tensors["emb_params"], expected)
    assert header_for(part, base)["modelspec.trigger_phrase"] == "<style>"


def test_a_part_that_the_studio_wrote_keeps_its_kind_on_its_own_base(base, tmp_path, base_models):
    own = dreambooth_part(base)
    path = save_artifact(own, tmp_path / "own.safetensors", header_for(own, base))
    assert brought_in(base, path).kind == "dreambooth"
    starter = base_models["starter"]
    path = save_artifact(anl_part(starter), tmp_path / "anl.safetensors")
    assert brought_in(starter, path).kind == "anl"
    with pytest.raises(InvalidInputError, match="belongs to no LoRA"):
        brought_in(base, path)


WRONG = {
    "wrong width": ({"emb_params": torch.ones(2, 768)}, r"tokens have width 24: use it with the"),
    "two tensors": ({"emb_params": torch.ones(1, 24), "emb_params_out": torch.ones(1, 24)},
                    "'emb_params_out' beside the vectors"),
    "stable diffusion xl": ({"clip_g": torch.ones(1, 1280), "clip_l": torch.ones(1, 768)},
                            "was made for Stable Diffusion XL"),
    "an xl lora": ({"lora_te2_x.lora_down.weight": torch.ones(1, 2)}, "Stable Diffusion XL"),
    "a whole model": ({"model.diffusion_model.out.2.bias": torch.ones(4)}, "a whole base model"),
    "another kind": ({f"lora_unet_x.hada_w1_{part}": torch.ones(2, 2) for part in "ab"},
                     "'lora_unet_x.hada_w1_[ab]', which belongs to no LoRA"),
    "a matrix": ({"weight": torch.ones(2, 2, 2)}, "'weight', which belongs to no LoRA"),
    "not finite": ({"emb_params": torch.full((1, 24), torch.inf)}, "not finite"),
    "nothing": ({}, "holds no tensors"),
    "half a layer": ({"lora_unet_conv_in.lora_down.weight": torch.ones(1, 4, 3, 3)},
                     "lora_unet_conv_in is incomplete"),
    "another layer": ({"lora_unet_x.lora_down.weight": torch.ones(1, 2),
                       "lora_unet_x.lora_up.weight": torch.ones(2, 1)}, "does not have: use it"),
    "another base": ({"lora_unet_conv_in.lora_down.weight": torch.ones(1, 9, 3, 3),
                      "lora_unet_conv_in.lora_up.weight": torch.ones(320, 1, 1, 1)},
                     r"conv_in of shape \(320, 9, 3, 3\), this base model's is \(16, 4, 3, 3\)"),
    "too long a word": ({"emb_params": torch.ones(76, 24)}, "76 vectors"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_belong_is_one_sentence_and_the_base_stays(base, tmp_path, case):
    tensors, message = WRONG[case]
    kinds = [type(module) for module in base.unet.modules()]
    with pytest.raises(InvalidInputError, match=message) as caught:
        imported(base, tensors, tmp_path / "wrong.safetensors")
    assert "\n" not in str(caught.value)
    assert kinds == [type(module) for module in base.unet.modules()]


def test_pickles_and_damaged_files_are_refused_before_anything_large_is_read(tmp_path):
    for suffix in (".pt", ".bin", ".ckpt", ".PTH"):
        path = tmp_path / f"pickled{suffix}"
        torch.save({"emb_params": torch.ones(1, 2)}, path)
        with pytest.raises(InvalidInputError, match="pickled weights can run any program"):
            read_header(path)
    damaged = {
        "a pickle under another name": (tmp_path / "pickled.pt").read_bytes(),
        "empty": b"",
        "a header larger than the file": struct.pack("<Q", 1 << 40) + b"{}",
        "no json": struct.pack("<Q", 4) + b"nope",
        "a list": struct.pack("<Q", 2) + b"[]",
        "rows that are none": struct.pack("<Q", 9) + b'{"a": 12}',
        "deep": struct.pack("<Q", 200_000) + b"[" * 200_000,
    }
    for reason, content in damaged.items():
        path = tmp_path / "damaged.safetensors"
        path.write_bytes(content)
        with pytest.raises(InvalidInputError, match="not a readable .safetensors file"):
            pytest.fail(f"{reason}: {read_header(path)}")
    with pytest.raises(InvalidInputError, match="There is no file"):
        read_header(tmp_path / "nowhere.safetensors")
    (tmp_path / "picture.png").write_bytes(b"x")
    with pytest.raises(InvalidInputError, match="picture.png is no trained part"):
        read_header(tmp_path / "picture.png")


def test_a_header_that_lies_about_its_tensors_is_refused(base, tmp_path):
    path = tmp_path / "cut.safetensors"
    save_file({"emb_params": torch.ones(2, 24)}, path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InvalidInputError, match="not a readable .safetensors file"):
        brought_in(base, path)
