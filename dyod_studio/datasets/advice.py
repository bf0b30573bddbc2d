"""Advice on a set before it is learned: whether it is enough, and of what kind it is."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

ENOUGH_FOR_STYLE = 20
"""Fewer pictures show things rather than what they have in common."""
ENOUGH_FOR_SHAPES = 40
FEW_FOR_ANYTHING = 3
SAME_GROUND_SHARE = 0.8
SOFT_LEVELS = 24.0
"""No step between neighbours is steeper: out of focus, or enlarged."""
SOFT_SHARE = 0.4
SMALL_SHARE = 0.5
"""Of the set's median, below which a picture stands out."""
NEARLY_WHITE = 232
SCENES_SHARE = 0.5
"""Of a set, whose ground is not plain: from there on it shows photographs or whole scenes."""
ICONS_ONLY = (
    "These look like photographs or whole scenes. The starter was taught icons on plain grounds "
    "and cannot draw such pictures: make the project on Stable Diffusion instead."
)


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """Facts about one picture; sharpness and ground are None where it was never judged.

    ``side`` is that of its crop, in pixels.
    """

    side: int
    sharpness: float | None
    ground: str | None


def small_ones(pictures: Sequence[PictureFacts]) -> list[int]:
    """Places of the pictures that are much smaller than the others."""
    usual = median(picture.side for picture in pictures) if pictures else 0
    return [i for i, picture in enumerate(pictures) if picture.side < SMALL_SHARE * usual]


def soft_ones(pictures: Sequence[PictureFacts]) -> list[int]:
    """Places of the pictures that are blurred, by themselves or beside the others."""
    judged = [picture.sharpness for picture in pictures if picture.sharpness is not None]
    least = max(SOFT_LEVELS, SOFT_SHARE * median(judged)) if judged else 0.0
    return [
        i
        for i, picture in enumerate(pictures)
        if picture.sharpness is not None and picture.sharpness < least
    ]


def are_scenes(pictures: Sequence[PictureFacts]) -> bool:
    """Whether most pictures fill their frame, as photographs do and icons do not."""
    judged = [picture.ground for picture in pictures if picture.ground is not None]
    return bool(judged) and sum(not ground for ground in judged) >= SCENES_SHARE * len(judged)


def advise(
    pictures: Sequence[PictureFacts], *, num_repeats: int = 0, knows_icons_only: bool = False
) -> list[str]:
    """Sentences about the set, the most important first.

    Args:
        knows_icons_only: the base model was taught nothing else.
    """
    number = len(pictures)
    sentences = [ICONS_ONLY] if knows_icons_only and are_scenes(pictures) else []
    if number < FEW_FOR_ANYTHING:
        return [*sentences, f"{_counted(number)}: add more, 20 at least for a style."]
    sentences += [f"{_counted(number)} {_grounds(pictures)}: {_good_for(pictures)}"]
    if ENOUGH_FOR_STYLE <= number < ENOUGH_FOR_SHAPES:
        sentences.append(
            f"From {ENOUGH_FOR_SHAPES} on, new shapes come out well too: "
            f"{ENOUGH_FOR_SHAPES - number} more would do."
        )
    for places, words in (
        (soft_ones(pictures), "look blurred; the model would learn the blur"),
        (small_ones(pictures), "are much smaller than the others and will be enlarged"),
    ):
        if places:
            sentences.append(f"{_counted(len(places))} {_agree(words, len(places))}.")
    if num_repeats:
        left = "repeats another" if num_repeats == 1 else "repeat others"
        stay, them = ("it stays", "it") if num_repeats == 1 else ("they stay", "them")
        sentences.append(f"{_counted(num_repeats)} {left}: {stay} out unless you keep {them}.")
    return sentences


def _good_for(pictures: Sequence[PictureFacts]) -> str:
    is_plain = _ground_in_common(pictures) is not None
    if len(pictures) < ENOUGH_FOR_STYLE:
        subject = "; add other backgrounds, or it learns this one with it" if is_plain else ""
        return (
            f"enough for one subject{subject}. For a style add more, {ENOUGH_FOR_STYLE} at least."
        )
    if is_plain:
        return "fine for a style; for a subject add other backgrounds."
    return "fine for a style, and for a subject that they all show."


def _grounds(pictures: Sequence[PictureFacts]) -> str:
    ground = _ground_in_common(pictures)
    if ground is None:
        return "on different backgrounds"
    parts = [int(ground[at : at + 2], 16) for at in (1, 3, 5)]
    return "on white" if min(parts) >= NEARLY_WHITE else "on one plain background"


def _ground_in_common(pictures: Sequence[PictureFacts]) -> str | None:
    """The colour that most pictures stand on; colours that look the same are counted as one."""
    plain = [picture.ground for picture in pictures if picture.ground]
    shades = Counter(_shade(ground) for ground in plain)
    shade, number = shades.most_common(1)[0] if shades else ("", 0)
    if number < SAME_GROUND_SHARE * len(pictures):
        return None
    return next(ground for ground in plain if _shade(ground) == shade)


def _shade(ground: str) -> str:
    """The colour in coarse steps of 32 levels, the middle of a step at black and at white."""
    return "".join(f"{(int(ground[at : at + 2], 16) + 16) // 32}" for at in (1, 3, 5))


def _counted(number: int) -> str:
    return "1 picture" if number == 1 else f"{number:,} pictures"


def _agree(words: str, number: int) -> str:
    if number > 1:
        return words
    return words.replace("look ", "looks ", 1).replace("are ", "is ", 1)
