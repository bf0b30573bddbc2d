"""Which icons to keep, by name and category."""

import re
from collections.abc import Collection

DRAWABLE = (
    "Food Drink",
    "Animals Nature",
    "Smileys Emotion",
    "Objects",
    "Travel Places",
    "Activities",
)
"""Categories of things that one can draw without letters or arrows."""

_TONES = ("medium-light", "medium-dark", "light", "medium", "dark")
_NEVER = re.compile(
    r"skin-tone|^flag|-flag$|flags?-|keycap|o-?clock|-thirty|^\d+$|^(tone|type)-|"
    r"regional-indicator|-zodiac|input-|-button(-|$)"
)
_HARD = re.compile(
    r"moon-(face|symbol)|-quarter-moon|gibbous|symbol|sign$|^(person|man|woman|men|women|people)-|"
    r"playing-card|mahjong|calendar|chart|ledger|envelope|mailbox|inbox|outbox|e-mail|receipt|"
    r"newspaper|bookmark|^page-|scroll|clipboard|card-|file-|banknote|atm|ticket|placard|"
    r"(^|-)map$|bridge|foggy|night-with|cityscape|sunrise|sunset|milky-way|japan|kaaba|synagogue|"
    r"^hole$|^anger|speech|thought|zzz|dashing|hundred|sweat-droplets|^dizzy$|collision|"
    r"abacus|slot-machine|control-knobs|level-slider|alembic|dna|petri|bone$|razor|x-ray|"
    r"tokyo|statue|barber|potable|world|globe|crayon-set|nesting|hanafuda|pirate"
)
_FIDDLY = re.compile(
    r"accordion|tramway|adhesive|amphora|ballot|banjo|^bank$|bellhop|bento|nib|bullet|bus-stop|"
    r"carousel|streamer|clamp|building|clapper|coffin|construction|-store|diya|dvd|elevator|fax|"
    r"film|fog|fuel|funeral|hair-pick|hamsa|headstone|temple|springs|hotel|hospital|identification|"
    r"knot|label|lacrosse|landslide|rail|locked|clock|martial|microbe|military|mosque|motorway|"
    r"mountain-|score|nazar|nut-and|office|oil-drum|-disk|pager|postal|prayer|rescue|rosette|"
    r"safety|satellite|school|shrine|sari|stadium|station|speaker|receiver|test-tube|trackball|"
    r"^tram|trolleybus|video|wedding|wheelchair|wind-chime|viewing|pine-decoration|medal|-suit$|"
    r"shaking|hammer-and|clinking|cricket|hockey|sled|goal|curling|boomerang|performing|puzzle"
)
_FOCUS = re.compile(
    r"apple|tangerine|orange|lemon|pear$|peach|cherries|strawberry|banana|tomato|watermelon|"
    r"^cat|-cat|cat-|^dog|sailboat|boat|ship$|canoe|house|home|cottage|hut|castle|"
    r"shoe|boot|sandal|sneaker|automobile|car$|taxi|truck|^bus|pizza|sandwich|cheese|"
    r"tree|seedling|cactus|smiling|grinning|sunglasses|heart|teapot|teacup|hot-beverage|cup-|"
    r"balloon|ball$|egg|flower|tulip|rose|sun|star$|fish|duck|bear|rabbit|shirt|dress|chair|umbrella"
)


_CORE_TEXT = """
red-apple green-apple tangerine lemon pear banana strawberry grapes watermelon cherries peach
pineapple tomato carrot mushroom pizza hamburger hot-dog doughnut cookie birthday-cake
soft-ice-cream ice-cream bread cheese-wedge cooking egg
cat cat-face dog dog-face rabbit-face bear panda fox lion tiger-face pig-face frog fish
tropical-fish bird duck owl penguin butterfly honeybee lady-beetle turtle elephant horse
cow-face mouse-face snail
house house-with-garden castle automobile sport-utility-vehicle bus delivery-truck bicycle
sailboat speedboat airplane rocket locomotive racing-car
running-shoe mans-shoe high-heeled-shoe womans-boot t-shirt jeans dress womans-hat top-hat
backpack handbag umbrella glasses sunglasses billed-cap socks
red-heart orange-heart yellow-heart green-heart blue-heart purple-heart black-heart
smiling-face-with-sunglasses grinning-face slightly-smiling-face smiling-face-with-heart-eyes
winking-face crying-face neutral-face
teapot teacup-without-handle hot-beverage chair couch-and-lamp bed light-bulb open-book key
candle wrapped-gift balloon soccer-ball basketball crown guitar camera television
star sun sun-with-face crescent-moon cloud deciduous-tree evergreen-tree palm-tree cactus
seedling tulip rose sunflower four-leaf-clover maple-leaf snowman
"""
_CORE = frozenset(_CORE_TEXT.split())
"""What people ask for first, in every family of things."""


def is_kept(name: str, all_names: Collection[str]) -> bool:
    """Whether an icon is art at all: no skin tone of another icon, flag, keycap or clock face."""
    return not _NEVER.search(name) and not _is_skin_tone(name, all_names)


def is_drawable(name: str, category: str | None) -> bool:
    """Whether an icon shows a simple thing that the UNet should learn to draw."""
    return category in DRAWABLE and not _HARD.search(name)


def sampling_weight(name: str) -> float:
    """How often an icon is shown: everyday things, faces and hearts most, fiddly things least."""
    if name in _CORE:
        return 6.0
    if _FOCUS.search(name):
        return 1.5
    return 0.1 if _FIDDLY.search(name) else 0.4


def _is_skin_tone(name: str, all_names: Collection[str]) -> bool:
    for tone in _TONES:
        if f"-{tone}" in name:
            without = re.sub(rf"-{tone}(?=-|$)", "", name)
            if without != name and (without in all_names or tone.startswith("medium-")):
                return True
    return False
