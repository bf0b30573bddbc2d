"""Tokens of a base model's vocabulary that mean next to nothing: names for a new subject.

Sec. 4.1 of arXiv:2208.12242: a rare-token lookup in the vocabulary, short sequences of at most
three characters. B prompts, L tokens of width D.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.base import BaseModel

WORD_END = "</w>"
SHORT = re.compile(r"(?=.*[b-df-hj-np-tv-xz])[b-df-hj-np-tv-xz0-9]{1,3}")
"""Up to three letters and digits, a letter among them, and no vowel: so it is no word."""
NUM_MEASURED = 128
"""How many of the rarest tokens are read by the text encoder; it takes a while on a CPU."""
CHUNK = 32


@dataclass(frozen=True, slots=True)
class RareToken:
    """A candidate and how its rarity was measured.

    Args:
        text: what to write in a prompt.
        merge_rank: its place in the vocabulary, which is ordered by how frequent a token was in
            the tokenizer's training text: the higher, the rarer.
        shift: cosine distance between what the text encoder makes of "a {class}" and of
            "a {text} {class}": the lower, the less the token means.
    """

    text: str
    token_id: int
    merge_rank: int
    shift: float


@dataclass(frozen=True, slots=True)
class Subject:
    """Names of the subject and its class; ``rarity`` is None for a token that was given."""

    token: str
    prompt: str
    class_prompt: str
    rarity: RareToken | None


def find_rare_tokens(base: BaseModel, class_noun: str, count: int) -> list[RareToken]:
    """The ``count`` best names for a subject of a class, the best first; fewer if there are fewer.

    The rarest tokens of the vocabulary, ordered by the sum of two ranks: how rare they are, and
    how little they move the text encoder.

    Raises:
        InvalidInputError: the class noun is empty, or no token of this vocabulary will do.
    """
    noun = checked_noun(class_noun)
    candidates = sorted(_candidates(base, noun), key=lambda found: -found[1])[:NUM_MEASURED]
    if not candidates:
        raise InvalidInputError("This base model's vocabulary has no rare token: give one.")
    texts = [text for text, _ in candidates]
    shifts = _shifts(base, noun, texts)
    by_shift = sorted(range(len(texts)), key=lambda place: (shifts[place], place))
    places = {place: rank for rank, place in enumerate(by_shift)}
    order = sorted(range(len(texts)), key=lambda place: (place + places[place], place))
    return [
        RareToken(texts[place], candidates[place][1], candidates[place][1], shifts[place])
        for place in order[:count]
    ]


def name_subject(base: BaseModel, class_noun: str, rare_token: str) -> Subject:
    """The token that was given, or the best of the vocabulary where it is empty.

    Raises:
        InvalidInputError: the class noun is empty, or the vocabulary has no rare token.
    """
    noun = checked_noun(class_noun)
    rarity = None if rare_token else find_rare_tokens(base, noun, 1)[0]
    token = rare_token if rarity is None else rarity.text
    return Subject(token, f"a {token} {noun}", f"a {noun}", rarity)


def checked_noun(class_noun: str) -> str:
    """The class noun without spaces around it.

    Raises:
        InvalidInputError: nothing is left.
    """
    noun = " ".join(class_noun.split())
    if not noun:
        raise InvalidInputError(
            f"class_noun must say what the pictures show, such as dog, got {class_noun!r}."
        )
    return noun


def _candidates(base: BaseModel, noun: str) -> Iterator[tuple[str, int]]:
    """(text, id) of every token that is a word of its own and reads back as itself alone."""
    plain = len(base.tokenizer("").input_ids)
    taken = set(noun.lower().split())
    for token, token_id in base.tokenizer.get_vocab().items():
        text = token.removesuffix(WORD_END)
        if not token.endswith(WORD_END) or text in taken or not SHORT.fullmatch(text):
            continue
        ids = base.tokenizer(text).input_ids
        if len(ids) == plain + 1 and ids[1] == token_id:
            yield text, token_id


@torch.no_grad()
def _shifts(base: BaseModel, noun: str, texts: Sequence[str]) -> list[float]:
    plain = _states(base, [f"a {noun}"])
    shifts: list[float] = []
    for first in range(0, len(texts), CHUNK):
        prompts = [f"a {text} {noun}" for text in texts[first : first + CHUNK]]
        shifts += (1 - F.cosine_similarity(_states(base, prompts), plain)).tolist()
    return shifts


def _states(base: BaseModel, prompts: Sequence[str]) -> Tensor:
    """(B, D): the state at the end of each text, where CLIP keeps what it is about."""
    ends = [len(base.tokenizer(prompt).input_ids) - 1 for prompt in prompts]
    return base.encode_prompts(prompts)[torch.arange(len(ends)), ends]
