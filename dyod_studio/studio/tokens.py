"""Names for a new subject: words of a base model that mean next to nothing."""

from dataclasses import dataclass

from dyod_studio.errors import InvalidInputError
from dyod_studio.jobs.one_shot import Run, rare_tokens
from dyod_studio.models.references import check_base_ref
from dyod_studio.settings import STARTER_DIR, Settings

MAX_COUNT = 100


@dataclass(frozen=True, slots=True)
class RareTokenView:
    """A name and why it is one.

    ``place`` in the vocabulary: the higher, the rarer in the tokenizer's training text; ``shift``
    is how far the text encoder moves when the name stands before the class noun: the lower, the
    less it means.
    """

    text: str
    place: int
    shift: float


class Tokens:
    """What ``tokens rare`` and the form of DreamBooth ask for."""

    def __init__(self, settings: Settings, run: Run) -> None:
        self._settings, self._run = settings, run

    def rare(
        self, class_noun: str, base: str | None = None, count: int = 10
    ) -> tuple[RareTokenView, ...]:
        """The best names for a subject of this class, the best first.

        Raises:
            InvalidInputError: the class noun is empty, the count is out of range, or the base
                model has no rare token.
            BaseModelError: there is no such base model.
        """
        if not 1 <= count <= MAX_COUNT:
            raise InvalidInputError(f"count must lie in [1, {MAX_COUNT}], got {count}.")
        if not class_noun.strip():
            raise InvalidInputError(
                f"class_noun must say what the pictures show, such as dog, got {class_noun!r}."
            )
        chosen = base or self._settings.base
        check_base_ref(chosen, STARTER_DIR)
        found = self._run(rare_tokens, self._settings, chosen, class_noun, count)
        return tuple(RareTokenView(*row) for row in found)
