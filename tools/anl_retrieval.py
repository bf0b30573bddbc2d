"""Measure whether an ANL draws after the picture that it is given, and what the mask rate does.

``python -m tools.anl_retrieval PICTURES --out DIR`` trains an ANL on a folder of pictures through
the product's own commands, draws a few pictures after each of 50 of them at several mask rates, and
asks a CLIP which of the 50 each is nearest to. It writes ``table.md``, ``figures.json``, a plot and
a sheet of the pictures. Where it is broken off, the same command goes on.

Sec. 3.3 and Appendix A of "Transferring pretrained diffusion probabilistic models" (ANL). N
conditions, k pictures after each, P numbers of the CLIP.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from dyod_studio.datasets.images import read_image
from dyod_studio.models.base import fit, to_tensor
from dyod_studio.models.clip import Clip, load_clip
from dyod_studio.settings import STARTER_DIR
from tools.commands import Commands

RATES = (0.0, 0.3, 0.5, 0.7, 0.9)
CELL, SHOWN = 96, 8


@dataclass(frozen=True, slots=True)
class Row:
    """What was seen at one mask rate.

    Args:
        hits: of the first picture after each condition, how many are nearest to their own.
        top5: how many have their own among the five nearest.
        rate_of_all: share of hits among all k pictures after each condition.
        own, other: mean cosine similarity to the own condition and to the others.
        spread: mean cosine distance of two pictures after the same condition.
    """

    name: str
    hits: int
    top5: int
    rate_of_all: float
    own: float
    other: float
    spread: float


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    out = options.out.resolve()
    conditions = _one_folder_each(options.pictures, options.count, out / "conditions")
    command = Commands(options.storage or out / "storage")
    _train(command, options)
    clip = load_clip(STARTER_DIR, "starter", torch.device("cpu"))
    shown = embed(clip, [next(folder.iterdir()) for folder in conditions])
    rows, drawn = [], {}
    for name, more in _runs(options):
        folder = out / name.replace(" ", "-")
        command.run(
            *("augment", options.project, "--data", out / "conditions", "--out", folder, *more),
            *("--per-class", options.each, "--steps", options.sample_steps),
        )
        made = [sorted((folder / c.name).glob("*.png"))[: options.each] for c in conditions]
        embeddings = [embed(clip, files) for files in made]
        rows.append(figures_of(name, shown, torch.stack(embeddings)))
        drawn[name] = [files[0] for files in made]
        print(rows[-1], flush=True)
        _write(out, rows, options.count)
    _sheet(out / "sheet.webp", [next(folder.iterdir()) for folder in conditions], drawn)


def figures_of(name: str, conditions: Tensor, made: Tensor) -> Row:
    """The figures of one mask rate.

    Args:
        conditions: (N, P) unit vectors. made: (N, k, P) unit vectors.
    """
    number, each, _ = made.shape
    similar = torch.einsum("nkp,mp->nkm", made, conditions)
    nearest = similar.argmax(dim=-1)
    own = torch.arange(number)
    places = similar[:, 0].argsort(dim=-1, descending=True)[:, :5]
    is_own = torch.eye(number, dtype=torch.bool)[:, None, :].expand_as(similar)
    among = torch.einsum("nkp,nlp->nkl", made, made)
    pairs = ~torch.eye(each, dtype=torch.bool).expand_as(among)
    return Row(
        name=name,
        hits=int((nearest[:, 0] == own).sum()),
        top5=int((places == own[:, None]).any(dim=1).sum()),
        rate_of_all=float((nearest == own[:, None]).float().mean()),
        own=float(similar[is_own].mean()),
        other=float(similar[~is_own].mean()),
        spread=float(1 - among[pairs].mean()),
    )


def embed(clip: Clip, paths: Sequence[Path]) -> Tensor:
    """(N, P) unit vectors of the middles of some pictures."""
    return clip.embed_images(to_tensor([fit(read_image(p), clip.side_px) for p in paths]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path, help="folder of pictures in one style")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--storage", type=Path, help="one that holds the trained project already")
    parser.add_argument("--project", default="anl-retrieval", help="its name")
    parser.add_argument("--steps", type=int, default=2500, help="updates of the ANL")
    parser.add_argument("--count", type=int, default=50, help="conditions")
    parser.add_argument("--each", type=int, default=2, help="pictures after each")
    parser.add_argument("--sample-steps", type=int, default=12)
    return parser


def _runs(options: argparse.Namespace) -> list[tuple[str, tuple[object, ...]]]:
    """Each mask rate, and the base model alone, which cannot know the condition."""
    rates = [(f"mask rate {rate:g}", ("--mask-rate", rate)) for rate in RATES]
    return [*rates, ("without the ANL", ("--mask-rate", 0.0, "--strength", 0.0))]


def _one_folder_each(pictures: Path, count: int, target: Path) -> list[Path]:
    """Evenly chosen pictures, each as the only one of a class of its own."""
    files = sorted(path for path in pictures.rglob("*") if path.is_file())
    if len(files) < count:
        raise SystemExit(f"{pictures} holds {len(files)} files, {count} are needed.")
    folders = []
    for number in range(count):
        file = files[number * len(files) // count]
        folder = target / f"{number:02d}-{file.stem}"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, folder / file.name)
        folders.append(folder)
    return folders


def _train(command: Commands, options: argparse.Namespace) -> None:
    """Make the project and train it, unless that was done before."""
    projects = command.run("project", "list")["projects"]
    assert isinstance(projects, list)
    known = {project["name"]: project for project in projects}
    if options.project not in known:
        command.run("project", "create", options.project, "--base", "starter")
        command.run("dataset", "add", options.project, options.pictures)
    if "anl" not in command.run("project", "show", options.project)["artifacts"]:
        settings = (f"steps={options.steps}", "checkpoint_every=500", "preview_every=1000")
        command.run(
            "train", options.project, "anl", *(v for s in settings for v in ("--set", s)), "--wait"
        )


def _write(out: Path, rows: Sequence[Row], count: int) -> None:
    lines = [
        f"| | nearest of {count} | among 5 nearest | hits of all | own | others | spread |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {r.name} | {r.hits} | {r.top5} | {r.rate_of_all:.2f} | {r.own:.3f} | {r.other:.3f} "
        f"| {r.spread:.3f} |"
        for r in rows
    ]
    chance = f"By chance: {1 / count:.2f} of all. Similarities and spread: cosine, starter's CLIP."
    (out / "table.md").write_text("\n".join([*lines, "", chance, ""]), encoding="utf-8")
    document = {"count": count, "rows": [asdict(row) for row in rows]}
    (out / "figures.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    _plot(out / "plot.svg", [row for row in rows if row.name.startswith("mask rate")], count)


def _plot(path: Path, rows: Sequence[Row], count: int) -> None:
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    left = figure.subplots()
    right = left.twinx()
    rates = RATES[: len(rows)]
    left.plot(rates, [row.rate_of_all for row in rows], "o-", color="#1f5fa8")
    left.axhline(1 / count, color="#1f5fa8", linestyle=":", linewidth=1)
    right.plot(rates, [row.spread for row in rows], "s--", color="#b3541e")
    left.set(xlabel="mask rate δ", ylim=(0, None))
    left.set_ylabel(f"nearest of {count} is its own (dotted: chance)", color="#1f5fa8")
    right.set_ylabel("spread (cosine distance)", color="#b3541e")
    right.set_ylim(0, None)
    figure.savefig(path)


def _sheet(path: Path, conditions: Sequence[Path], drawn: dict[str, list[Path]]) -> None:
    """The first conditions in a row, and below them what was drawn after each."""
    rows = [list(conditions), *drawn.values()]
    sheet = Image.new("RGB", (CELL * SHOWN, CELL * len(rows)), "white")
    for line, files in enumerate(rows):
        for place, file in enumerate(files[:: max(1, len(files) // SHOWN)][:SHOWN]):
            sheet.paste(fit(read_image(file), CELL), (place * CELL, line * CELL))
    sheet.save(path, "WEBP", quality=85)


if __name__ == "__main__":
    main()
