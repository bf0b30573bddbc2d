"""The whole chain: icons to a base model on disk. Each stage goes on from its last checkpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import CLIPTokenizer

from tools.starter.autoencoder import (
    grow,
    make_autoencoder,
    train_autoencoder,
    train_decoder,
)
from tools.starter.clip import SmallClip, train_clip
from tools.starter.corpus import Sheet, autoencoder_pixels, drawable, open_corpus, render_corpus
from tools.starter.export import Parts, text_encoder_of, write_part, write_pipeline
from tools.starter.heldout import HeldOut
from tools.starter.joint import train_jointly
from tools.starter.latents import (
    Moments,
    encode_pictures,
    encode_texts,
    fold_whitening,
    measure,
    tabulate,
)
from tools.starter.loop import Schedule, fingerprint
from tools.starter.packs import Pack, fetch
from tools.starter.pictures import hash_rows, read_images, read_rows, write_pictures
from tools.starter.recipe import Recipe
from tools.starter.tokenizer import train_tokenizer
from tools.starter.unet import TrainingData, make_unet, train_unet

CACHE_NAME = "cache.safetensors"


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where a build works, with what, and on which device."""

    work_dir: Path
    packs: Sequence[Pack]
    held_out: HeldOut
    recipe: Recipe
    device: torch.device
    threads: int = 2
    """Processor cores to use; training on a processor takes one thread a copy of the model."""

    @property
    def packs_dir(self) -> Path:
        """The unpacked icon packs."""
        return self.work_dir / "packs"

    @property
    def corpus_dir(self) -> Path:
        """The rendered icons."""
        return self.work_dir / "corpus"

    def sheets(self) -> list[Sheet]:
        """The rendered packs."""
        return open_corpus(self.packs, self.corpus_dir)


def build(
    shop: Workshop,
    budget_minutes: float,
    out: Path,
    stage_minutes: Mapping[str, float] | None = None,
) -> None:
    """Run every stage that is not finished, and write the model to ``out``."""
    torch.manual_seed(0)
    plan = shop.recipe.planned(budget_minutes, shop.device.type, shop.threads, stage_minutes)
    prepare(shop)
    torch.set_num_threads(1)
    autoencoder = autoencoder_stage(shop, plan)
    torch.set_num_threads(shop.threads)
    clip = clip_stage(shop, plan["clip"])
    data = cache(shop, autoencoder, clip)
    torch.set_num_threads(1)
    unet = unet_stage(shop, plan, data, clip)
    torch.set_num_threads(shop.threads)
    clip = image_side_stage(shop, plan["clip-image"], clip)
    out.mkdir(parents=True, exist_ok=True)
    write_pipeline(Parts(autoencoder, clip, unet, shop.work_dir / "tokenizer"), out)


def train_decoder_on(shop: Workshop, schedule: Schedule, model_dir: Path) -> None:
    """Train a finished model's decoder on; its encoder, and so every latent, stays as it is."""
    sheets = shop.sheets()
    torch.set_num_threads(1)
    finished = AutoencoderKL.from_pretrained(model_dir / "vae", torch_dtype=torch.float32)
    pixels = autoencoder_pixels(sheets, _hidden(shop, sheets))
    trained = train_decoder(finished, pixels, schedule, shop.work_dir, shop.device)
    write_part(trained, model_dir / "vae")


def prepare(shop: Workshop) -> None:
    """Fetch, render and compose whatever is missing."""
    fetch(shop.packs, shop.packs_dir)
    render_corpus(shop.packs, shop.packs_dir, shop.corpus_dir, shop.recipe.size_px)
    icons = drawable(shop.sheets())
    write_pictures(icons, shop.held_out, shop.work_dir, num_pairs=shop.recipe.num_pairs)


def autoencoder_stage(shop: Workshop, plan: dict[str, Schedule]) -> AutoencoderKL:
    """Train small, grow, train on, then the decoder alone; whitening is folded in by ``cache``."""
    sheets, recipe = shop.sheets(), shop.recipe
    pixels = autoencoder_pixels(sheets, _hidden(shop, sheets))
    widths = recipe.autoencoder_widths
    small = make_autoencoder(widths, recipe.size_px // 2)
    if not (shop.work_dir / "autoencoder.pt").exists():
        small = train_autoencoder(
            small, pixels, plan["autoencoder-small"], shop.work_dir, shop.device, shrink=2
        )
    grown = train_autoencoder(
        grow(small, widths, recipe.size_px), pixels, plan["autoencoder"], shop.work_dir, shop.device
    )
    return train_decoder(grown, pixels, plan["decoder"], shop.work_dir, shop.device)


def _hidden(shop: Workshop, sheets: Sequence[Sheet]) -> frozenset[tuple[str, str]]:
    """(pack, name) of the icons that no stage may see."""
    return frozenset(
        (sheet.pack.key, name)
        for sheet in sheets
        for name in sheet.names
        if shop.held_out.hides(sheet.pack.key, name)
    )


def clip_stage(shop: Workshop, schedule: Schedule) -> SmallClip:
    """Train the tokenizer once, then both encoders."""
    tokenizer = _tokenizer(shop)
    model = SmallClip(shop.recipe.clip, tokenizer)
    rows, images = read_rows(shop.work_dir), read_images(shop.work_dir)
    return train_clip(model, tokenizer, rows, images, schedule, shop.work_dir, shop.device)


def image_side_stage(shop: Workshop, schedule: Schedule, clip: SmallClip) -> SmallClip:
    """Bring pictures and text into one space again: the denoiser has changed the text encoder."""
    rows, images = read_rows(shop.work_dir), read_images(shop.work_dir)
    place = (schedule, shop.work_dir, shop.device)
    return train_clip(clip, _tokenizer(shop), rows, images, *place, is_image_side=True)


def cache(shop: Workshop, autoencoder: AutoencoderKL, clip: SmallClip) -> TrainingData:
    """Latents and text embeddings of every picture and caption; whitens the autoencoder."""
    rows = read_rows(shop.work_dir)
    table = tabulate(rows)
    path = shop.work_dir / CACHE_NAME
    stands_on = f"{fingerprint(autoencoder.encoder)} {hash_rows(rows)}"
    if _stands_on(path) != stands_on:
        latents = encode_pictures(autoencoder, read_images(shop.work_dir), shop.device)
        moments = measure(latents)
        white = (latents.float() - moments.mean.view(1, -1, 1, 1)) / moments.std.view(1, -1, 1, 1)
        encoder = text_encoder_of(clip).to(shop.device)
        embeddings = encode_texts(encoder, _tokenizer(shop), table.texts, shop.device)
        made = {
            "latents": white.half(),
            "embeddings": embeddings,
            "mean": moments.mean,
            "std": moments.std,
        }
        save_file(made, path, {"stands_on": stands_on})
    cached = load_file(path)
    fold_whitening(autoencoder, Moments(cached["mean"], cached["std"]))
    return open_cache(shop)


def open_cache(shop: Workshop) -> TrainingData:
    """What :func:`cache` wrote."""
    rows, cached = read_rows(shop.work_dir), load_file(shop.work_dir / CACHE_NAME)
    weights = torch.tensor([row.weight for row in rows])
    return TrainingData(cached["latents"], weights, tabulate(rows), cached["embeddings"])


def _stands_on(path: Path) -> str | None:
    """What a cache was made from, or None when there is none."""
    if not path.exists():
        return None
    with safe_open(path, "pt") as cached:
        return (cached.metadata() or {}).get("stands_on")


def unet_stage(
    shop: Workshop, plan: dict[str, Schedule], data: TrainingData, clip: SmallClip
) -> UNet2DConditionModel:
    """Train the denoiser on the cache, then on together with the text encoder in ``clip``."""
    model = make_unet(shop.recipe.unet, data.latents.shape[-1], data.texts.shape[-1])
    unet = train_unet(model, data, plan["unet"], shop.work_dir, shop.device)
    tokenizer = _tokenizer(shop)
    return train_jointly(unet, clip, tokenizer, data, plan["joint"], shop.work_dir, shop.device)


def _tokenizer(shop: Workshop) -> CLIPTokenizer:
    folder = shop.work_dir / "tokenizer"
    if (folder / "vocab.json").exists():
        return CLIPTokenizer.from_pretrained(folder)
    texts = [text for row in read_rows(shop.work_dir) for text in row.captions]
    return train_tokenizer(texts, folder)
