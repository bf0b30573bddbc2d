"""The icons that nothing is trained on: a committed list, made once from a fixed seed."""

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

HELD_OUT_PATH = Path(__file__).with_name("heldout.json")
ALWAYS_SEEN = frozenset(
    ("red-apple", "cat", "cat-face", "sailboat", "house", "running-shoe", "automobile", "pizza",
     "deciduous-tree", "smiling-face-with-sunglasses", "blue-heart", "teapot", "tangerine")
)  # fmt: skip
"""Names that the sample sheet asks for: it shows what was learned, retrieval what was not."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What stays unseen."""

    pairs: frozenset[tuple[str, str]]
    """(pack, name): the name is seen in other styles."""
    names: frozenset[str]
    """Seen in no style."""

    def hides(self, pack: str, name: str) -> bool:
        """Whether this icon is kept from training."""
        return name in self.names or (pack, name) in self.pairs


def read_held_out(path: Path = HELD_OUT_PATH) -> HeldOut:
    """Read the committed list."""
    rows = json.loads(path.read_text())
    return HeldOut(frozenset((p, n) for p, n in rows["pairs"]), frozenset(rows["names"]))


def draw_held_out(
    icons: Iterable[tuple[str, str]],
    *,
    num_pairs: int = 100,
    num_names: int = 50,
    seed: int = 7,
    never: frozenset[str] = frozenset(),
) -> HeldOut:
    """Choose whole names and pairs at random; a pair's name has at least three styles.

    Args:
        icons: (pack, name) of every drawable icon.
        never: names that must stay in training.
    """
    styles: dict[str, list[str]] = {}
    for pack, name in icons:
        styles.setdefault(name, []).append(pack)
    common = sorted(name for name, packs in styles.items() if len(packs) >= 3 and name not in never)
    rng = random.Random(seed)
    rng.shuffle(common)
    names = common[:num_names]
    pairs = [(rng.choice(sorted(styles[name])), name) for name in common[num_names:][:num_pairs]]
    return HeldOut(frozenset(pairs), frozenset(names))


def write_held_out(held_out: HeldOut, path: Path) -> None:
    """Write the list in a stable order."""
    rows = {"names": sorted(held_out.names), "pairs": sorted(map(list, held_out.pairs))}
    path.write_text(json.dumps(rows, indent=1) + "\n")
