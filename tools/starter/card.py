"""The model card, written from the figures and the log."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from tools.starter.compare import COMPARISON_NAME
from tools.starter.judge import GUIDANCE, PROMPTS
from tools.starter.loop import LOG_NAME
from tools.starter.packs import PACKS, Use
from tools.starter.record import LogRow, last_rows, read_rows_of, write_record

VERDICT_NAME = "verdict.md"
"""A text written by hand after looking at the sheet; the card takes it in as it is."""

_HEAD = """---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-image
---

# The starter base model

A small latent diffusion model of icons, {size} px, made to run on a laptop with no network. It
shows how the studio works; it is no substitute for Stable Diffusion.

```python
import torch
from diffusers import StableDiffusionPipeline

pipeline = StableDiffusionPipeline.from_pretrained(
    "assets/starter", safety_checker=None, dtype=torch.float32
)
pipeline("a red apple, noto style", guidance_scale={guidance}).images[0].save("apple.png")
```

Stored in half precision; run it in single precision on a CPU. The command that builds it is
`python -m tools.starter build --budget-minutes N`.
"""


def write_card(out: Path, figures: dict[str, float], work_dir: Path, device: str) -> None:
    """Write ``README.md`` beside the weights, and the record that it is written from."""
    rows = write_record(read_rows_of(work_dir / LOG_NAME), out)
    if (work_dir / COMPARISON_NAME).exists():
        shutil.copy(work_dir / COMPARISON_NAME, out)
    verdict_path = out / VERDICT_NAME
    verdict = verdict_path.read_text().strip() if verdict_path.exists() else "Not judged yet."
    parts = [
        _HEAD.format(size=128, guidance=GUIDANCE),
        _training(rows, device),
        *_comparison(out / COMPARISON_NAME),
        _figures(figures),
        _sheet(verdict),
        _data(),
    ]
    (out / "README.md").write_text("\n".join(parts))


def _training(rows: Sequence[LogRow], device: str) -> str:
    lines = [
        "## Training",
        "",
        f"Device: {device}.",
        "",
        "| stage | minutes | samples seen | samples/s | loss |",
        "|---|---|---|---|---|",
    ]
    for row in last_rows(rows):
        minutes = float(row["elapsed_s"]) / 60
        lines.append(
            f"| {row['stage']} | {minutes:.0f} | {row['samples']} | {row['samples_per_s']} "
            f"| {row['loss']} |"
        )
    return "\n".join([*lines, "", _curve(rows), _RECIPE])


def _curve(rows: Sequence[LogRow]) -> str:
    lines = ["Loss of the UNet, alone, then with the text encoder; a mean since the last each:"]
    lines += ["", "| stage | samples | loss |", "|---|---|---|"]
    for row in rows:
        if row["stage"] in ("unet", "joint"):
            lines.append(f"| {row['stage']} | {row['samples']} | {row['loss']:.4f} |")
    return "\n".join([*lines, ""])


def _comparison(path: Path) -> list[str]:
    if not path.exists():
        return []
    rows = json.loads(path.read_text())
    lines = [
        "Denoisers at the same minutes, each from nothing; the loss is that of the clean picture",
        "on the same held-back pictures and noises, so that v and epsilon compare:",
        "",
        "| widths | predicts | parameters | minutes | samples seen | samples/s | loss |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = (
            ", ".join(map(str, row["widths"])), row["predicts"],
            f"{row['parameters'] / 1e6:.1f} M", f"{row['minutes']:g}", row["samples"],
            f"{row['samples_per_s']:.0f}", f"{row['loss']:.4f}",
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return ["\n".join([*lines, ""])]


_RECIPE = """\
The autoencoder (AutoencoderKL, factor 8, 4 channels) is trained at factor 4 on half-size pictures
and grown by one outer stage. Its latents are whitened, the map folded into `quant_conv` and
`post_quant_conv`, so `scaling_factor` is 1. The tokenizer is a byte-level BPE of the captions
with 40 positions. A small CLIP (text 3 x 160, image 4 x 160, shared width 128) is trained on the
same pictures. The UNet predicts v, with the loss weighted min(SNR + 1, 5) / (SNR + 1), stratified
timesteps, a tenth of the captions empty, and averaged weights; first on the frozen text encoder,
then together with it, since contrast alone leaves things of one kind close together. After that
the CLIP's image side and both projections are trained once more, some of the pictures with
outlines added. Text and image embeddings share one space: `text_projection.safetensors` holds the
text side's projection.
"""


def _figures(figures: dict[str, float]) -> str:
    lines = ["## Figures", "", "| what | value |", "|---|---|"]
    lines += [f"| {_label(name)} | {value:g} |" for name, value in figures.items()]
    note = (
        "\nHeld-out icons are in `tools/starter/heldout.json`: 100 (style, name) pairs and 50\n"
        "whole names. Retrieval asks for a picture's own caption among those of all pictures of\n"
        "the row, judged by this model's own CLIP, which the UNet listens to: generated pictures\n"
        "can beat real ones there without looking better. KID, too, is measured with the features\n"
        "of this model's own CLIP, and only compares with itself; with so few pictures chance\n"
        "moves it by some units, as the rows of real icons show. All pictures were made\n"
        f"with DDIM and guidance {GUIDANCE:g}.\n"
    )
    return "\n".join([*lines, note])


def _label(name: str) -> str:
    if name.startswith("kid_"):
        style, _, kind = name.removeprefix("kid_").partition(" style")
        return f"KID x100 to other real icons of {style} style: {_KID_KINDS[kind]}"
    return _LABELS.get(name, name)


_KID_KINDS = {
    "": "generated pictures",
    " real": "as many real icons of the style",
    " other": "real icons of the other styles",
}
_LABELS = {
    "psnr_held_out_db": "autoencoder PSNR, held-out icons on white (dB)",
    "psnr_openmoji_db": "autoencoder PSNR, OpenMoji on white (dB)",
    "num_held_out": "icons of held-out pairs",
    "num_seen": "icons that were trained on, as many of each style",
    "num_unseen_style": "OpenMoji icons",
    "num_inference_steps": "DDIM steps of the pictures judged",
    "unet_call_s": "one UNet call at batch 1, 2 cores, single precision (s)",
    "real_held_out_top1": "retrieval, real icons of held-out pairs, top 1",
    "real_held_out_top5": "retrieval, real icons of held-out pairs, top 5",
    "generated_held_out_top1": "retrieval, generated pictures for held-out pairs, top 1",
    "generated_held_out_top5": "retrieval, generated pictures for held-out pairs, top 5",
    "real_seen_top1": "retrieval, real icons that were trained on, top 1",
    "real_seen_top5": "retrieval, real icons that were trained on, top 5",
    "generated_seen_top1": "retrieval, generated pictures for seen pairs, top 1",
    "generated_seen_top5": "retrieval, generated pictures for seen pairs, top 5",
    "image_to_image_top1": "retrieval, held-out icon to its name in another style, top 1",
    "image_to_image_top5": "retrieval, held-out icon to its name in another style, top 5",
}


def _sheet(verdict: str) -> str:
    prompts = "; ".join(PROMPTS)
    return (
        "## The sheet\n\n![Twelve prompts with four seeds each](sheet.webp)\n\n"
        f"Seeds 0 to 3, three prompts a row, in this order: {prompts}.\n\n{verdict}\n"
    )


def _data() -> str:
    lines = [
        "## Data and licences",
        "",
        "Icons rendered at 128 px; skin tones, flags, keycaps and clock faces left out.",
        "",
        "| pack | version | author | licence | used for |",
        "|---|---|---|---|---|",
    ]
    for pack in PACKS:
        lines.append(
            f"| [{pack.title}]({pack.url}) | {pack.version} | {pack.author} | {pack.licence} "
            f"| {_USES[pack.use]} |"
        )
    return "\n".join([*lines, "", _CREDITS])


_USES = {
    Use.EVERYTHING: "all parts",
    Use.AUTOENCODER: "the autoencoder",
    Use.TEST: "test only, never trained on",
}
_CREDITS = """Credits that the licences ask for: Twemoji graphics, copyright Twitter, Inc and other
contributors, [CC-BY 4.0](https://creativecommons.org/licenses/by/4.0/), changed by rendering,
recolouring and composing. Streamline Emojis and Streamline Ultimate Color by
[Streamline](https://streamlinehq.com), [CC-BY 4.0](https://creativecommons.org/licenses/by/4.0/),
changed likewise. Lucide, copyright Lucide Contributors, ISC. Tabler Icons, copyright Pawel Kuna,
MIT; both painted. Noto Emoji, copyright Google, Apache-2.0. Fluent Emoji, copyright Microsoft
Corporation, MIT. OpenMoji, [CC-BY-SA 4.0](https://creativecommons.org/licenses/by-sa/4.0/), only
measures the finished model: none of it was used for training.

## Limits

It knows simple icons in four styles (`noto style`, `twemoji style`, `flat style`, `glossy style`),
and nothing of photographs, people, scenes or letters. Words outside its captions mean little to it.
It has no safety checker, because its data holds nothing to check for.
"""
