"""Which trained parts a request draws with: what is usual, and what may be asked for.

Says before anything is written what ``models.composing`` would say after the base is loaded.
"""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy.orm import Session

from dyod_studio.errors import InvalidInputError
from dyod_studio.requests.part_kinds import WITH_WORDS, check_words
from dyod_studio.services.views import ProjectView
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.tables import Artifact

BASELINES = ("full-finetune", "scratch")
"""Parts that bring a whole U-Net, to compare with."""
ADAPTERS = ("dreambooth", "custom-diffusion", "anl", "lora", *BASELINES)
"""Parts that change the U-Net, as much as ``strength`` says."""
IMPORTED = ("embedding", "lora")
"""Parts made elsewhere: a textual inversion and a LoRA that were brought in from a file."""
STANDALONE_PARTS = (*ADAPTERS, "embedding")
"""Parts that a project may be drawn with alone, in place of an inversion of its own."""
PARTS = (*WITH_WORDS, "dreambooth", "lora", "anl", *BASELINES, "vae")
"""What can be drawn with."""


def default_parts(trained: Collection[str]) -> tuple[str, ...]:
    """What is used when nothing is said: the inversion and the vae, where they are trained.

    Without an inversion the first adapter takes its place, for a project trained by that alone,
    and without any a word that was brought in.
    """
    others = (kind for kind in STANDALONE_PARTS if kind in trained)
    first = "inversion" if "inversion" in trained else next(others, "")
    return tuple(kind for kind in (first, "vae") if kind in trained)


def choose_parts(
    session: Session, project: ProjectView, use: Sequence[str] | None, *, needs_vae: bool
) -> dict[str, Artifact]:
    """The newest of each part that is used, by its kind.

    Args:
        use: their kinds; None for what is usual.
        needs_vae: the start is drawn by the vae, whether it is named or not.

    Raises:
        InvalidInputError: one of them is not trained, or they do not go together.
    """
    asked = default_parts(project.artifacts) if use is None else use
    kinds = [kind for kind in PARTS if kind in asked or (needs_vae and kind == "vae")]
    repository, chosen = ArtifactRepository(session), {}
    for kind in kinds:
        row = repository.latest(project.id, kind)
        if row is None:
            lack = f"imported {kind} yet: import a file"
            if kind not in IMPORTED:
                lack = f"trained {kind} yet: train {kind!r}"
            raise InvalidInputError(f"Project {project.name!r} has no {lack} first.")
        chosen[kind] = row
    check_words({kind: row.config for kind, row in chosen.items()})
    return chosen


def check_known(use: Sequence[str]) -> None:
    """Refuse a kind that nothing is drawn with."""
    for kind in use:
        if kind not in PARTS:
            known = ", ".join(PARTS)
            raise InvalidInputError(f"use must name parts among {known}, got {kind!r}.")


def check_conditionable(parts: Mapping[str, Artifact]) -> None:
    """Refuse condition pictures and texts where nothing in use draws after them."""
    if "anl" not in parts:
        raise InvalidInputError(
            "Only an anl draws after condition pictures or a condition text: "
            "train 'anl' first, and name it among the parts to use."
        )
    if parts["anl"].config.get("variant") == "unconditional":
        raise InvalidInputError(
            "The anl of this project was trained without a condition: "
            "leave condition pictures and texts out."
        )
