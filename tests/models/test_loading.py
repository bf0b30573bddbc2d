import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

from dyod_studio.errors import BaseModelError
from dyod_studio.models.base import BaseModel
from dyod_studio.models.devices import DtypePolicy
from dyod_studio.models.loading import load_base
from dyod_studio.models.references import fingerprint_of
from dyod_studio.models.single_file import (
    SHIPPED_DIR,
    clip_tokenizer,
    load_single_file,
    predicts_noise,
    read_header,
)
from tests import bases
from tests.ldm_layout import write_single_file

CPU = torch.device("cpu")
NOWHERE = Path("nowhere")


@pytest.fixture(scope="module")
def sd21_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bases.sd21_shaped(tmp_path_factory.mktemp("bases") / "sd21")


@pytest.fixture
def copied(base_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base_folder, tmp_path / "base"))


def load(
    ref: str | Path, starter_dir: Path = NOWHERE, dtype: DtypePolicy | None = None
) -> BaseModel:
    return load_base(str(ref), starter_dir=starter_dir, device=CPU, dtype=dtype or DtypePolicy())


def compute(base: BaseModel) -> list[torch.Tensor]:
    """What a base makes of fixed input: conditioning, raw U-Net output, latents, image."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, *base.latent_shape, generator=generator)
    image = torch.rand(1, 3, base.resolution, base.resolution, generator=generator) * 2 - 1
    conditioning = base.encode_prompts(["a photo of my weird shoe"])
    latents = base.encode_images(image)
    return [
        conditioning,
        base.denoise(noise, 300, conditioning),
        latents,
        base.decode_latents(latents),
    ]


def assert_same(one: BaseModel, other: BaseModel, tolerance: float = 1e-5) -> None:
    for a, b in zip(compute(one), compute(other), strict=True):
        torch.testing.assert_close(a, b, atol=tolerance, rtol=tolerance)


def test_a_folder_loads_frozen_and_computes_like_diffusers(base_folder):
    base = load(base_folder)
    pipeline = StableDiffusionPipeline.from_pretrained(base_folder)
    conditioning, output, *_ = compute(base)
    tokens = pipeline.tokenizer(
        ["a photo of my weird shoe"], padding="max_length", return_tensors="pt"
    )
    with torch.no_grad():
        expected = pipeline.text_encoder(tokens.input_ids).last_hidden_state
        noise = torch.randn(1, *base.latent_shape, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(conditioning, expected)
        torch.testing.assert_close(output, pipeline.unet(noise, 300, expected).sample)
    for network in (base.unet, base.vae, base.text_encoder):
        assert not network.training
        assert not any(p.requires_grad for p in network.parameters())


def test_starter_is_the_folder_that_ships(base_folders):
    base = load("starter", starter_dir=base_folders["starter"])
    assert base.ref == "starter"
    assert base.schedule.prediction_type == "v_prediction"
    assert base.image_encoder is not None
    assert_same(base, load(base_folders["starter"]))


def test_the_starter_that_ships_loads_and_is_seen_to_predict_v():
    base = load("starter", starter_dir=SHIPPED_DIR.parent / "starter")
    assert base.schedule.prediction_type == "v_prediction"
    assert not predicts_noise(base.unet)
    assert all(tensor.isfinite().all() for tensor in compute(base))


def test_a_second_generation_base_keeps_v_prediction_and_its_tokenizer(sd21_folder):
    base = load(sd21_folder)
    assert base.schedule.prediction_type == "v_prediction"
    assert base.tokenizer.pad_token == "!"
    assert base.unet.config.use_linear_projection
    assert base.image_encoder is None


def test_half_precision_weights_become_full_ones_on_the_cpu(copied):
    for path in copied.rglob("*.safetensors"):
        save_file({k: v.half() for k, v in load_file(path).items()}, path, {"format": "pt"})
    base = load(copied)
    for network in (base.unet, base.vae, base.text_encoder):
        assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert all(tensor.dtype == torch.float32 for tensor in compute(base))


def test_weights_named_as_half_variant_are_found(copied):
    expected = load(copied)
    for path in copied.rglob("*.safetensors"):
        path.rename(path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")))
    assert_same(load(copied), expected)


def test_sharded_weights_load_as_one(copied):
    expected = load(copied)
    unet = UNet2DConditionModel.from_pretrained(copied / "unet")
    shutil.rmtree(copied / "unet")
    unet.save_pretrained(copied / "unet", max_shard_size="400KB")
    assert len(list((copied / "unet").glob("*.safetensors"))) > 2
    assert_same(load(copied), expected)


def test_half_storage_halves_the_unet_and_changes_little(base_folder):
    full = load(base_folder)
    half = load(base_folder, dtype=DtypePolicy(storage=torch.float16))
    assert half.dtype == torch.float32
    assert_same(half, full, tolerance=2e-2)
    num_bytes = [sum(p.nbytes for p in base.unet.parameters()) for base in (half, full)]
    assert num_bytes[0] < 0.52 * num_bytes[1]


def hub_cache(folder: Path, cache: Path, hub_id: str) -> None:
    """Lay the base out as the hub's library keeps what it has fetched."""
    repository = cache / f"models--{hub_id.replace('/', '--')}"
    shutil.copytree(folder, repository / "snapshots" / "0123abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123abc")


def test_a_hub_model_that_was_fetched_before_loads_without_a_network(
    base_folders, tmp_path, monkeypatch
):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    hub_cache(base_folders["sd15"], tmp_path, "someone/tiny-model")
    base = load("someone/tiny-model")
    assert base.ref == "someone/tiny-model"
    assert base.fingerprint == fingerprint_of(base_folders["sd15"])
    with pytest.raises(BaseModelError, match="cannot be reached"):
        load("someone/other-model")


def test_a_hub_model_that_was_fetched_in_part_is_one_sentence(base_folders, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    part = shutil.copytree(
        base_folders["sd15"], tmp_path / "part", ignore=shutil.ignore_patterns("*.safetensors")
    )
    hub_cache(Path(part), tmp_path, "someone/tiny-model")
    with pytest.raises(BaseModelError, match="'someone/tiny-model' is incomplete"):
        load("someone/tiny-model")


def test_the_guidance_scale_that_suits_a_base_is_read_from_its_index(copied):
    assert load(copied).guidance_scale == 7.5
    index = copied / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "_guidance_scale": 2.5}))
    assert load(copied).guidance_scale == 2.5
    assert StableDiffusionPipeline.from_pretrained(copied).unet is not None


def test_a_fingerprint_follows_the_weights_and_not_the_place(base_folders, tmp_path):
    folder = base_folders["sd15"]
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    assert load(copy).fingerprint == fingerprint_of(folder) == fingerprint_of(copy)
    path = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    weights["down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight"] += 0.01
    save_file(weights, path, {"format": "pt"})
    assert fingerprint_of(copy) != fingerprint_of(folder)
    assert fingerprint_of(base_folders["starter"]) != fingerprint_of(folder)


def test_damaged_weights_are_one_sentence(copied):
    path = copied / "unet" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(BaseModelError, match="cannot be loaded"):
        load(copied)


def test_weights_that_do_not_fit_their_configuration_are_one_sentence(copied):
    config = copied / "unet" / "config.json"
    values = json.loads(config.read_text())
    config.write_text(json.dumps({**values, "cross_attention_dim": 40}))
    with pytest.raises(BaseModelError, match="cannot be loaded"):
        load(copied)


@pytest.mark.parametrize("family", ["sd1", "sd2"])
def test_a_single_file_computes_like_the_folder_it_was_written_from(
    base_folders, sd21_folder, tmp_path, family
):
    folder = base_folders["sd15"] if family == "sd1" else sd21_folder
    path = write_single_file(folder, tmp_path / "mine.safetensors")
    assert read_header(path).family == family
    shutil.copytree(folder, tmp_path / "mine", ignore=shutil.ignore_patterns("*.safetensors"))
    single = load(path)
    assert_same(single, load(folder))
    assert single.schedule.prediction_type == load(folder).schedule.prediction_type
    assert single.fingerprint == fingerprint_of(path)


def test_a_single_file_in_half_precision_becomes_float32(base_folders, tmp_path):
    path = write_single_file(base_folders["sd15"], tmp_path / "mine.safetensors")
    save_file({key: value.half() for key, value in load_file(path).items()}, path)
    shutil.copytree(
        base_folders["sd15"], tmp_path / "mine", ignore=shutil.ignore_patterns("*.safetensors")
    )
    base = load(path)
    for network in (base.unet, base.vae, base.text_encoder):
        assert {p.dtype for p in network.parameters()} == {torch.float32}


def test_a_single_file_of_the_wrong_size_is_one_sentence(base_folders, tmp_path):
    path = write_single_file(base_folders["sd15"], tmp_path / "mine.safetensors")
    with pytest.raises(BaseModelError, match="cannot be loaded"):
        load(path)


@pytest.mark.parametrize(
    "keys", [["something.else"], ["model.diffusion_model.input_blocks.0.0.weight"]]
)
def test_a_single_file_of_something_else_is_refused(tmp_path, keys):
    path = tmp_path / "lora.safetensors"
    save_file({key: torch.zeros(2, 4, 3, 3) for key in keys}, path)
    with pytest.raises(BaseModelError, match=r"is not a whole Stable Diffusion 1.x or 2.x"):
        load(path)


def test_a_file_that_is_no_safetensors_is_one_sentence(tmp_path):
    path = tmp_path / "renamed.safetensors"
    path.write_bytes(b"\x80\x04 a pickle under another name")
    with pytest.raises(BaseModelError, match="no whole safetensors file"):
        load(path)


class ReturnsItsInput(torch.nn.Module):
    """Behaves like a trained U-Net at the last timestep: noise in, noise or v out."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.config = UNet2DConditionModel(
            block_out_channels=(8, 8), norm_num_groups=4, layers_per_block=1,
            down_block_types=("DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"), cross_attention_dim=8,
        ).config  # fmt: skip

    def forward(self, latents, timestep, encoder_hidden_states):
        assert timestep == 999
        other = torch.randn(latents.shape, generator=torch.Generator().manual_seed(5))
        output = self.share * latents + (1 - self.share) * other
        return type("Output", (), {"sample": output})()


def test_noise_and_v_prediction_are_told_apart_by_what_the_network_does():
    assert predicts_noise(ReturnsItsInput(0.95))
    assert not predicts_noise(ReturnsItsInput(0.05))


@pytest.mark.parametrize(
    ("metadata", "yaml", "expected"),
    [
        ({"modelspec.prediction_type": "v"}, None, "v_prediction"),
        ({"modelspec.prediction_type": "epsilon"}, None, "epsilon"),
        ({}, 'model:\n  params:\n    parameterization: "v"\n', "v_prediction"),
        ({}, "model:\n  params:\n    timesteps: 1000\n", "epsilon"),
        ({}, None, "v_prediction"),
    ],
)
def test_the_prediction_type_of_a_single_file_is_what_it_says_or_does(
    sd21_folder, tmp_path, monkeypatch, metadata, yaml, expected
):
    path = write_single_file(sd21_folder, tmp_path / "mine.safetensors", metadata)
    if yaml is not None:
        path.with_suffix(".yaml").write_text(yaml)
    shipped = tmp_path / "shipped"
    shutil.copytree(sd21_folder, shipped / "sd2")
    monkeypatch.setattr("dyod_studio.models.single_file.SHIPPED_DIR", shipped)
    _, scheduler = load_single_file(path)
    assert scheduler["prediction_type"] == expected


def test_the_shipped_tokenizer_is_clips():
    tokenizer = clip_tokenizer()
    assert len(tokenizer) == 49_408
    assert tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert tokenizer.model_max_length == 77
    assert clip_tokenizer(pad_token="!")("", padding="max_length").input_ids[-1] == 0


@pytest.mark.parametrize(
    ("family", "unet", "vae", "text"),
    [
        ("sd1", 859_520_964, 83_653_863, 123_060_480),
        ("sd2", 865_910_724, 83_653_863, 340_387_840),
    ],
)
def test_the_shipped_shapes_are_those_of_stable_diffusion(family, unet, vae, text):
    def num_parameters(network: torch.nn.Module) -> int:
        return sum(p.numel() for p in network.parameters())

    with torch.device("meta"):
        folder = SHIPPED_DIR / family
        networks = [
            kind.from_config(kind.load_config(folder, subfolder=part))
            for kind, part in ((UNet2DConditionModel, "unet"), (AutoencoderKL, "vae"))
        ]
        encoder = CLIPTextModel(CLIPTextConfig.from_pretrained(folder / "text_encoder"))
    assert [num_parameters(n) for n in (*networks, encoder)] == [unet, vae, text]
