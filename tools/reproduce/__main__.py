"""Reproduce the papers' tables: ``python -m tools.reproduce table1 --icons PACKS --set FOLDER``.

Each command trains what it needs in a storage of its own (``--work``), measures, and writes JSON,
plots and its section of ``docs/reproduction.md``. What is there already is used again.
"""

import argparse
import importlib
from pathlib import Path

from tools.reproduce.bench import open_bench

COMMANDS = {
    "table1": "tools.reproduce.table1",
    "figure5": "tools.reproduce.figure5",
    "table3": "tools.reproduce.table3",
    "anl-table1": "tools.reproduce.anl_table1",
    "dreambooth": "tools.reproduce.dreambooth",
    "augmentation": "tools.reproduce.augmentation",
    "advisor": "tools.reproduce.advisor",
}


def main() -> None:
    """Run one of the commands."""
    asked = _parse()
    command = importlib.import_module(COMMANDS[asked.command])
    with open_bench(asked.work) as bench:
        command.run(bench, asked)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.reproduce", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--work", type=Path, default=Path("test-output/reproduce"))
    parser.add_argument("--out", type=Path, default=Path("docs/reproduction"))
    parser.add_argument(
        "--icons", type=Path, help="icon packs: for apples and oranges, for classes"
    )
    parser.add_argument("--set", type=Path, action="append", default=[], help="folder of a set")
    parser.add_argument("--sources", type=Path, help="figure5: pictures to begin from")
    parser.add_argument("--subject", type=Path, help="dreambooth: 3 to 6 pictures of one thing")
    parser.add_argument("--splits", type=int, default=3, help="augmentation: draws of labels")
    parser.add_argument("--mask-rate", type=float, default=0.5, help="augmentation: how freely")
    parser.add_argument("--noun", default="thing", help="dreambooth: what the subject is")
    parser.add_argument("--num", type=int, default=100, help="pictures made at each point")
    parser.add_argument("--num-real", type=int, default=300, help="apples and oranges")
    parser.add_argument("--steps", type=int, default=50, help="of the full schedule")
    parser.add_argument("--train", type=float, default=1.0, help="share of the usual training")
    parser.add_argument("--beta", type=float, default=4.0, help="of the VAE; the paper's is 1")
    parser.add_argument("--guidance", type=float, help="the base model's own when left out")
    parser.add_argument("--codes", choices=("set", "near", "prior"), default="near")
    parser.add_argument("--spacing", choices=("trailing", "scheduler"), default="trailing")
    parser.add_argument("--sampler", default="ddim", help="the papers' own when left out")
    parser.add_argument("--extractor", action="append", help="base when left out; repeat for more")
    return parser.parse_args()


if __name__ == "__main__":
    main()
