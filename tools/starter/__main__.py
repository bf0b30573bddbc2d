"""The command line: ``python -m tools.starter build|corpus|figures|compare|pack|...``."""

import argparse
import json
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from tools.starter.adopt import adopt
from tools.starter.build import Workshop, build, open_cache, prepare, train_decoder_on
from tools.starter.card import write_card
from tools.starter.compare import compare
from tools.starter.corpus import drawable, open_corpus
from tools.starter.figures import (
    Icons,
    in_other_styles,
    measure_model,
    pick_icons,
    pick_per_style,
)
from tools.starter.heldout import (
    ALWAYS_SEEN,
    HELD_OUT_PATH,
    draw_held_out,
    read_held_out,
    write_held_out,
)
from tools.starter.judge import STEPS, draw_sheet, open_judge
from tools.starter.names import is_kept
from tools.starter.packs import PACKS, Use, fetch, find_pack, read_pack
from tools.starter.recipe import TOY, Recipe
from tools.starter.render import write_pngs
from tools.starter.travel import read_data, write_data

log = logging.getLogger("starter")


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse and run one command."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = _parser().parse_args(arguments)
    options.run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.starter", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for name, run, text in (
        ("build", _build, "the whole chain, from icons to the model and its card"),
        ("adopt", _adopt, "put the finished model in --out back into --work-dir, to train it on"),
        ("decoder", _decoder, "train the decoder of the adopted model on, all else as it is"),
        ("corpus", _corpus, "fetch and render the icons, and compose the pictures"),
        ("figures", _figures, "measure a finished model and write its sheet and card"),
        ("compare", _compare, "train other denoisers for a few minutes each on a build's cache"),
        ("pack", _pack, "put the fetched icons into one small file, for --data elsewhere"),
    ):
        command = commands.add_parser(name, help=text)
        _add_shop_options(command)
        command.set_defaults(run=run)
    _add_held_out_command(commands)
    render = commands.add_parser("render", help="icons of one pack as PNG files on white")
    render.add_argument("pack")
    render.add_argument("--out", type=Path, required=True)
    render.add_argument("--work-dir", type=Path, default=Path("storage/starter"))
    render.add_argument("--size", type=int, default=256)
    render.add_argument("--limit", type=int)
    render.add_argument("--names-file", type=Path, help="one name a line")
    render.add_argument("--categories", nargs="*", help='such as "Food Drink"')
    render.set_defaults(run=_render)
    return parser


def _add_held_out_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("held-out", help="draw the held-out list anew")
    _add_shop_options(command)
    command.add_argument("--num-pairs", type=int, default=100)
    command.add_argument("--num-names", type=int, default=50)
    command.set_defaults(run=_held_out)


def _add_shop_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--work-dir", type=Path, default=Path("storage/starter"))
    command.add_argument("--out", type=Path, default=Path("assets/starter"))
    command.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    command.add_argument("--budget-minutes", type=float, default=120)
    command.add_argument("--data", type=Path, help="icons in one file, from `pack`")
    command.add_argument("--minutes", type=float, default=3, help="of each one compared")
    command.add_argument(
        "--stage-minutes", nargs="*", default=[], metavar="STAGE=MINUTES",
        help="minutes of single stages over all sittings, in place of their share of the budget",
    )  # fmt: skip
    command.add_argument("--resume", action="store_true", help="go on from the last checkpoints")
    command.add_argument("--toy", action="store_true", help="tiny widths, for trying the chain")
    command.add_argument("--count", type=int, default=100, help="icons in each figure")
    command.add_argument("--machine", help="how the card describes the device")
    command.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    command.add_argument("--steps", type=int, default=STEPS, help="DDIM steps of the pictures")
    command.add_argument("--held-out", type=Path, default=HELD_OUT_PATH)
    command.add_argument("--packs", nargs="*", default=[pack.key for pack in PACKS])


def _shop(options: argparse.Namespace) -> Workshop:
    options.work_dir.mkdir(parents=True, exist_ok=True)
    if options.data:
        read_data(options.data, options.work_dir / "packs")
    recipe = TOY if options.toy else Recipe()
    device = torch.device(options.device)
    held_out = read_held_out(options.held_out)
    packs = [find_pack(key) for key in options.packs]
    return Workshop(options.work_dir, packs, held_out, recipe, device, options.threads)


def _build(options: argparse.Namespace) -> None:
    shop = _shop(options)
    if not options.resume:
        for old in (*options.work_dir.glob("*.pt"), *options.work_dir.glob("cache.*")):
            old.unlink()
        shutil.rmtree(options.work_dir / "tokenizer", ignore_errors=True)
    build(shop, options.budget_minutes, options.out, _stage_minutes(options))
    _figures(options)


def _stage_minutes(options: argparse.Namespace) -> dict[str, float]:
    return {name: float(value) for name, value in (x.split("=") for x in options.stage_minutes)}


def _adopt(options: argparse.Namespace) -> None:
    shop = _shop(options)
    adopt(options.out, shop.recipe.clip, shop.work_dir)


def _decoder(options: argparse.Namespace) -> None:
    shop = _shop(options)
    plan = shop.recipe.planned(
        options.budget_minutes, options.device, options.threads, _stage_minutes(options)
    )
    train_decoder_on(shop, plan["decoder"], options.out)


def _compare(options: argparse.Namespace) -> None:
    shop = _shop(options)
    torch.set_num_threads(1 if options.device == "cpu" else options.threads)
    rows = compare(shop.recipe, open_cache(shop), options.minutes, options.work_dir, shop.device)
    log.info("%s", json.dumps(rows))


def _pack(options: argparse.Namespace) -> None:
    packs = [find_pack(key) for key in options.packs]
    packs_dir = options.work_dir / "packs"
    fetch(packs, packs_dir)
    path = options.work_dir / "icons.tar.xz"
    log.info("%d bytes in %s", write_data(packs, packs_dir, path), path)


def _corpus(options: argparse.Namespace) -> None:
    prepare(_shop(options))


def _held_out(options: argparse.Namespace) -> None:
    packs = [find_pack(key) for key in options.packs]
    sheets = open_corpus(packs, options.work_dir / "corpus")
    icons = [(sheet.pack.key, sheet.names[i]) for sheet, i in drawable(sheets)]
    drawn = draw_held_out(
        icons, num_pairs=options.num_pairs, num_names=options.num_names, never=ALWAYS_SEEN
    )
    write_held_out(drawn, options.held_out)


def _figures(options: argparse.Namespace) -> None:
    shop = _shop(options)
    torch.set_num_threads(options.threads)
    judge = open_judge(options.out)
    draw_sheet(judge.pipeline, steps=options.steps).save(options.out / "sheet.webp", quality=80)
    sheets = shop.sheets()
    icons = drawable(sheets)
    labels = [(sheet.pack.key, sheet.names[i]) for sheet, i in icons]
    hidden = [icon for icon, pair in zip(icons, labels, strict=True) if pair in shop.held_out.pairs]
    seen = [
        icon for icon, pair in zip(icons, labels, strict=True) if not shop.held_out.hides(*pair)
    ]
    held_out = pick_icons(hidden, options.count)
    chosen = Icons(
        held_out,
        in_other_styles(held_out, seen),
        pick_per_style(seen, options.count),
        seen,
        pick_icons(drawable(sheets, Use.TEST), options.count),
    )
    figures = measure_model(judge, chosen, options.steps)
    (options.out / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    machine = options.machine or f"{options.device}, {options.threads} threads"
    write_card(options.out, figures, options.work_dir, machine)
    log.info("%s", json.dumps(figures))


def _render(options: argparse.Namespace) -> None:
    packs_dir = options.work_dir / "packs"
    fetch([find_pack(options.pack)], packs_dir)
    icon_set = read_pack(packs_dir / options.pack)
    names = [name for name in icon_set.icons if is_kept(name, icon_set.icons.keys())]
    if options.names_file:
        wanted = set(options.names_file.read_text().split())
        names = [name for name in names if name in wanted]
    if options.categories:
        names = [name for name in names if icon_set.categories.get(name) in options.categories]
    chosen = {name: icon_set.icons[name] for name in names[: options.limit]}
    write_pngs(chosen, options.out, options.size, said=log.info)


if __name__ == "__main__":
    main()
