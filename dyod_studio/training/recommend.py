"""Recommendation of what to train, for the pictures and the machine at hand. No torch here."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dyod_studio.requests.part_kinds import title_of

FEWEST = 3
"""Below that, nothing tells what the pictures have in common."""
FEW = 20
"""Up to here they are taken to show one thing, as DreamBooth's 3 to 5 do."""
ENOUGH_FOR_LINES = 40
"""From here on, a network that follows lines learns to follow those of drawings too."""
ENOUGH_FOR_SHAPES = 40
"""Fewer pictures the small generator would only repeat."""
ENOUGH_FOR_EXAMPLES = 100
"""With 25, ANL fails on references it has not seen (its paper's limitations); with 1000 not."""
A_LONG_TIME_S = 3600.0


@dataclass(frozen=True, slots=True)
class SetFacts:
    """Facts about a set. ``trained`` names the methods whose results there are."""

    num_pictures: int
    trained: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Need:
    """Memory and time of a method with its own settings, by the plan."""

    memory_mb: float
    seconds: float
    fits: bool


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """Facts about the device.

    Args:
        device: ``cpu`` or ``cuda``. has_clip: the base model brings a CLIP.
        needs: by the method's name; a method without is not offered.
    """

    device: str
    free_mb: float
    has_clip: bool
    needs: Mapping[str, Need]


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Methods in the order in which to train them; none when nothing would come of it."""

    methods: tuple[str, ...]
    reasons: tuple[str, ...]


def recommend(pictures: SetFacts, device: DeviceFacts) -> Recommendation:
    """Recommend methods in their order, with a sentence for everything proposed and left out."""
    if pictures.num_pictures < FEWEST:
        return Recommendation((), (_too_few(pictures.num_pictures),))
    if pictures.num_pictures <= FEW:
        methods, reasons = _for_few(pictures.num_pictures, device)
    else:
        methods, reasons = _for_many(pictures.num_pictures, device)
    chosen = []
    for method in methods:
        need = device.needs[method]
        if not need.fits:
            reasons.append(_too_large(method, need, device))
        elif method in pictures.trained:
            reasons.append(
                f"You have trained “{title_of(method)}” already; again is worth it only "
                "after you add pictures."
            )
        else:
            chosen.append(method)
    reasons.append(_how_long(chosen, device) if chosen else _nothing_left(methods, pictures))
    return Recommendation(tuple(chosen), tuple(reasons))


def _too_few(number: int) -> str:
    have = "no pictures yet" if number == 0 else f"{number} picture{'s' * (number > 1)}"
    return (
        f"There {'is' if number == 1 else 'are'} {have}: add at least {FEWEST}, better 40, that "
        "share what you want to keep. Until then you can draw from a sketch without training."
    )


def _for_few(number: int, device: DeviceFacts) -> tuple[list[str], list[str]]:
    """One subject; the smaller way where the usual one does not fit."""
    reasons = [
        f"With {number} pictures the model can learn one thing that they all show, and put it "
        "into new scenes.",
        "If they show different things in one style, learn the set style instead: it keeps the "
        "style and lets words say what is drawn.",
    ]
    if device.needs["dreambooth"].fits or not device.needs["custom-diffusion"].fits:
        return ["dreambooth"], reasons
    missing = _too_large("dreambooth", device.needs["dreambooth"], device)
    reasons += [missing, "A concept takes less: only the reading of words is tuned."]
    return ["custom-diffusion"], reasons


def _for_many(number: int, device: DeviceFacts) -> tuple[list[str], list[str]]:
    """The style of the whole set, then its shapes; the word where the style does not fit."""
    methods, reasons = ["lora"], [f"{number} pictures are enough to learn how they are drawn."]
    if not device.needs["lora"].fits and device.needs["inversion"].fits:
        methods = ["inversion"]
        reasons = [
            _too_large("lora", device.needs["lora"], device),
            "The word for what they have in common takes less: it changes nothing of the model.",
        ]
    if number >= ENOUGH_FOR_SHAPES:
        methods.append("vae")
        reasons.append(
            "The small generator of shapes adds what no word can say: size, place, view. New "
            "pictures from nothing and the sliders need it."
        )
    else:
        reasons.append(
            f"For the generator of shapes {ENOUGH_FOR_SHAPES} pictures are too few to miss: it "
            f"would repeat your {number}. Add more, or start from sketches."
        )
    if number >= ENOUGH_FOR_LINES:
        reasons.append(
            f"{number} pictures are also enough to read your sketches: tick that as well to draw "
            "in outline only and have it coloured and finished in the manner of your set."
        )
    if number < ENOUGH_FOR_EXAMPLES:
        return methods, reasons
    if device.has_clip:
        reasons.append(
            f"{number} pictures are also enough to learn from examples: tick that as well to draw "
            "after a reference picture of yours."
        )
        return methods, reasons
    reasons.append(
        "To draw after reference pictures, ANL needs a CLIP, which this base model does not "
        "bring: give its folder in the method's settings, and train it when the rest is done."
    )
    return methods, reasons


def _too_large(method: str, need: Need, device: DeviceFacts) -> str:
    where = "on the card" if device.device == "cuda" else "of memory"
    return (
        f"For “{title_of(method)}” about {need.memory_mb:,.0f} MB {where} would be needed, and "
        f"{device.free_mb:,.0f} MB are free: left out."
    )


def _how_long(methods: list[str], device: DeviceFacts) -> str:
    seconds = sum(device.needs[method].seconds for method in methods)
    duration = f"All of it takes about {_duration(seconds)} here, in the background."
    if seconds > A_LONG_TIME_S and device.device == "cpu":
        return f"{duration} A graphics card or a smaller base model would spare most of that."
    return duration


def _nothing_left(methods: list[str], pictures: SetFacts) -> str:
    if set(methods) <= set(pictures.trained):
        return "Nothing is left to train for this set: draw with it."
    return "Free some memory, or choose a smaller base model."


def _duration(seconds: float) -> str:
    if seconds < 90:
        return "a minute"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.0f} hours"
