"""Names to captions."""

import random
from dataclasses import dataclass

_SYNONYMS = {
    "automobile": ("car", "automobile"),
    "oncoming-automobile": ("car from the front",),
    "sport-utility-vehicle": ("suv", "car"),
    "racing-car": ("racing car", "race car"),
    "deciduous-tree": ("tree", "deciduous tree"),
    "evergreen-tree": ("evergreen tree", "fir tree"),
    "tangerine": ("orange", "tangerine"),
    "red-apple": ("red apple", "apple"),
    "green-apple": ("green apple", "apple"),
    "red-heart": ("red heart", "heartbeat"),
    "pizza": ("slice of pizza", "pizza"),
    "running-shoe": ("running shoe", "sneaker"),
    "mans-shoe": ("man's shoe", "leather shoe", "shoe"),
    "womans-boot": ("woman's boot", "boot"),
    "womans-sandal": ("woman's sandal", "sandal"),
    "womans-hat": ("woman's hat", "sun hat"),
    "womans-clothes": ("blouse",),
    "hot-beverage": ("cup of coffee", "hot beverage"),
    "teacup-without-handle": ("cup of tea", "tea bowl"),
    "birthday-cake": ("birthday cake", "cake"),
    "shortcake": ("slice of cake", "shortcake"),
    "beer-mug": ("mug of beer", "beer mug"),
    "glass-of-milk": ("glass of milk",),
    "wrapped-gift": ("gift", "present", "wrapped gift"),
    "couch-and-lamp": ("couch and lamp", "sofa"),
    "house-with-garden": ("house with a garden", "house with a tree"),
    "derelict-house": ("old broken house",),
    "lady-beetle": ("ladybug", "ladybird"),
    "honeybee": ("bee", "honeybee"),
    "t-rex": ("dinosaur", "t-rex"),
    "sauropod": ("dinosaur", "sauropod"),
    "doughnut": ("donut", "doughnut"),
    "potted-plant": ("potted plant", "plant in a pot"),
    "motor-boat": ("motor boat", "boat"),
    "delivery-truck": ("truck", "delivery truck"),
    "mobile-phone": ("phone", "mobile phone"),
    "sun-with-face": ("sun with a face",),
    "jack-o-lantern": ("halloween pumpkin",),
    "cut-of-meat": ("steak", "cut of meat"),
    "poultry-leg": ("chicken leg",),
    "light-bulb": ("light bulb", "lamp"),
    "pile-of-poo": ("pile of poo",),
}
COLOURS = (
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey",
)  # fmt: skip
_OPENINGS = (
    "{it}", "{a} {it}", "{it} icon", "a picture of {a} {it}", "a drawing of {a} {it}",
    "an icon of {a} {it}", "an illustration of {a} {it}", "a photo of {a} {it}",
    "a rendering of {a} {it}",
)  # fmt: skip
_OPENING_WEIGHTS = (6, 6, 3, 1, 1, 1, 1, 1, 1)


@dataclass(frozen=True, slots=True)
class Look:
    """What a caption may say of a picture beside the name."""

    style: str
    colour: str | None = None
    background: str = "white"
    place: str = ""
    """Such as "small" or "on the left"; empty when centred."""
    is_recoloured: bool = False


def plain_names(name: str) -> tuple[str, ...]:
    """How people call the icon; the first is the name of the pack without hyphens."""
    return _SYNONYMS.get(name, (name.replace("-", " "),))


def with_colour(name: str, words: str, colour: str | None, *, is_recoloured: bool) -> str:
    """Put the colour word before the name, or in the place of the one that it starts with."""
    first, _, rest = words.partition(" ")
    if first in COLOURS and rest:
        return f"{colour} {rest}" if is_recoloured and colour else words
    if is_recoloured:
        return f"{colour} {words}"
    if colour is None or any(word in COLOURS for word in name.split("-")):
        return words
    return f"{colour} {words}"


def captions(name: str, look: Look, rng: random.Random, count: int = 3) -> list[str]:
    """Different ways to say what the picture shows; the first always names the style."""
    says_style = [True, *(rng.random() < 0.4 for _ in range(count - 1))]
    return [_caption(name, look, rng, says_style=says) for says in says_style]


def pair_caption(left: str, right: str, style: str | None) -> str:
    """Two things side by side."""
    text = f"{article(left)} {left} on the left and {article(right)} {right} on the right"
    return f"{text}, {style}" if style else text


def article(words: str) -> str:
    """The indefinite article."""
    return "an" if words[0] in "aeiou" else "a"


def _caption(name: str, look: Look, rng: random.Random, *, says_style: bool) -> str:
    words = rng.choice(plain_names(name))
    if look.is_recoloured or rng.random() < 0.5:
        words = with_colour(name, words, look.colour, is_recoloured=look.is_recoloured)
    if look.place == "small":
        words = f"small {words}"
    (opening,) = rng.choices(_OPENINGS, _OPENING_WEIGHTS)
    text = opening.format(a=article(words), it=words)
    if look.place and look.place != "small":
        text += f" {look.place}"
    if look.background != "white" or rng.random() < 0.1:
        text += f" on {article(look.background)} {look.background} background"
    return f"{text}, {look.style}" if says_style else text
