"""An ANL at sampling: which picture or text each result is drawn after."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

from dyod_studio.diffusion.sampling import ConditionedPredictor
from dyod_studio.errors import InvalidInputError
from dyod_studio.models.anl import AnlAdapter, conditioned
from dyod_studio.models.clip import Clip
from dyod_studio.models.conditions import condition_embeddings


@dataclass(frozen=True, slots=True)
class Condition:
    """What is drawn after; seed number i takes picture i and text i, beginning anew.

    Args:
        mask_rate: how freely a picture is read: side ratio of what is blanked in it, in [0, 1).
        text_weight: share of the text where there are pictures as well, in [0, 1].
    """

    images: Sequence[Image.Image] = ()
    texts: Sequence[str] = ()
    mask_rate: float = 0.0
    text_weight: float = 0.5


@dataclass(frozen=True, slots=True)
class Hearing:
    """Modules that are attached to a base.

    Args:
        open_clip: loads the CLIP that they were trained with; only conditions need it.
    """

    adapter: AnlAdapter
    open_clip: Callable[[], Clip]

    def predictors(
        self, predict: ConditionedPredictor, seeds: Sequence[int], condition: Condition | None
    ) -> Callable[[slice], ConditionedPredictor]:
        """``predict`` for any chunk of the seeds, each hearing its own condition.

        Raises:
            InvalidInputError: the condition is empty or out of range, or none is heard here.
        """
        if condition is None:
            self.adapter.hear(None)
            return lambda chunk: predict
        if self.adapter.nothing is None:
            raise InvalidInputError(
                "This ANL was trained without a condition: leave pictures and texts out."
            )
        embeddings = condition_embeddings(
            self.open_clip(),
            seeds,
            images=condition.images,
            texts=condition.texts,
            mask_rate=condition.mask_rate,
            text_weight=condition.text_weight,
        )
        return lambda chunk: conditioned(predict, self.adapter, embeddings[chunk])
