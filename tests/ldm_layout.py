"""A diffusers base written as one file in the original Stable Diffusion layout, for the tests."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file
from torch import Tensor

NUM_LEVELS = 4
Rules = Sequence[tuple[str, str]]

RESNET: Rules = [
    ("norm1", "in_layers.0"),
    ("conv1", "in_layers.2"),
    ("norm2", "out_layers.0"),
    ("conv2", "out_layers.3"),
    ("time_emb_proj", "emb_layers.1"),
    ("conv_shortcut", "skip_connection"),
]
UNET_ENDS: Rules = [
    (r"^time_embedding\.linear_1", "time_embed.0"),
    (r"^time_embedding\.linear_2", "time_embed.2"),
    (r"^conv_in", "input_blocks.0.0"),
    (r"^conv_norm_out", "out.0"),
    (r"^conv_out", "out.2"),
    (r"^mid_block\.resnets\.0", "middle_block.0"),
    (r"^mid_block\.attentions\.0", "middle_block.1"),
    (r"^mid_block\.resnets\.1", "middle_block.2"),
]
VAE: Rules = [
    ("conv_norm_out", "norm_out"),
    ("conv_shortcut", "nin_shortcut"),
    (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
    (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
    (r"mid_block\.attentions\.0\.to_([qkv])", r"mid.attn_1.\1"),
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"down_blocks\.(\d)\.resnets", r"down.\1.block"),
    (r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample"),
]
OPEN_CLIP: Rules = [
    (r"^embeddings\.token_embedding", "token_embedding"),
    (r"^embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"^final_layer_norm", "ln_final"),
    (r"^encoder\.layers", "transformer.resblocks"),
    ("layer_norm1", "ln_1"),
    ("layer_norm2", "ln_2"),
    (r"mlp\.fc1", "mlp.c_fc"),
    (r"mlp\.fc2", "mlp.c_proj"),
    ("self_attn", "attn"),
]


def write_single_file(folder: Path, path: Path, metadata: dict[str, str] | None = None) -> Path:
    """Write the base in ``folder`` as Stable Diffusion 1.x, or 2.x if it projects linearly."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder)
    is_second = pipeline.unet.config.use_linear_projection
    text = {
        key.removeprefix("text_model."): value
        for key, value in pipeline.text_encoder.state_dict().items()
        if not key.endswith("position_ids")
    }
    text = (
        _with_prefix("cond_stage_model.model.", _open_clip(text))
        if is_second
        else _with_prefix("cond_stage_model.transformer.text_model.", text)
    )
    weights = {
        **_what_checkpoints_carry_besides(is_second),
        **_with_prefix("model.diffusion_model.", _unet(pipeline.unet.state_dict())),
        **_with_prefix("first_stage_model.", _vae(pipeline.vae.state_dict())),
        **text,
    }
    save_file({key: value.contiguous() for key, value in weights.items()}, path, metadata)
    return path


def _what_checkpoints_carry_besides(is_second: bool) -> dict[str, Tensor]:
    """Tensors of the original training code that no network wants."""
    weights = {"betas": torch.rand(1000), "model_ema.num_updates": torch.ones(())}
    if is_second:
        return {**weights, "cond_stage_model.model.logit_scale": torch.ones(())}
    positions = "cond_stage_model.transformer.text_model.embeddings.position_ids"
    return {**weights, positions: torch.arange(77)[None]}


def _unet(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {_unet_key(key): value for key, value in weights.items()}


def _unet_key(key: str) -> str:
    match = re.match(r"(down|up)_blocks\.(\d)\.(\w+)\.(\d)\.(?:conv\.(?=\w+$))?(.*)", key)
    if match is None or match[3] not in ("resnets", "attentions", "downsamplers", "upsamplers"):
        key = _rename(key, UNET_ENDS)
        return _rename(key, RESNET) if re.match(r"middle_block\.[02]", key) else key
    way, level, kind, place, rest = match[1], int(match[2]), match[3], int(match[4]), match[5]
    first = 3 * level + 1 if way == "down" else 3 * level
    block = "input_blocks" if way == "down" else "output_blocks"
    if kind == "downsamplers":
        return f"{block}.{first + 2}.0.op.{rest}"
    if kind == "upsamplers":
        return f"{block}.{first + 2}.{1 if level == 0 else 2}.conv.{rest}"
    if kind == "attentions":
        return f"{block}.{first + place}.1.{rest}"
    return f"{block}.{first + place}.0.{_rename(rest, RESNET)}"


def _vae(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for key, value in weights.items():
        is_attention_matrix = "attentions" in key and value.ndim == 2
        renamed[_vae_key(key)] = value[:, :, None, None] if is_attention_matrix else value
    return renamed


def _vae_key(key: str) -> str:
    def up(match: re.Match[str]) -> str:
        part = "block" if match[2] == "resnets" else "upsample"
        return f"up.{NUM_LEVELS - 1 - int(match[1])}.{part}"

    key = re.sub(r"up_blocks\.(\d)\.(resnets|upsamplers\.0)", up, key)
    return _rename(key, VAE)


def _open_clip(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    joined = {}
    for key, value in weights.items():
        match = re.match(r"(.*self_attn)\.([qkv])_proj\.(weight|bias)", key)
        if match is None:
            joined[_rename(key, OPEN_CLIP)] = value
        elif match[2] == "q":
            rows = [weights[f"{match[1]}.{part}_proj.{match[3]}"] for part in "qkv"]
            joined[_rename(f"{match[1]}.in_proj_{match[3]}", OPEN_CLIP)] = torch.cat(rows)
    return joined


def _rename(key: str, rules: Rules) -> str:
    for pattern, new in rules:
        key = re.sub(pattern, new, key)
    return key


def _with_prefix(prefix: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in weights.items()}
