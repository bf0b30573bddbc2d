"""The word that a project's inversion learned, said in the prompt of another run."""

from sqlalchemy.orm import Session

from dyod_studio.errors import InvalidInputError
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.tables import Project
from dyod_studio.training.config import MethodConfig, PromptedConfig

SAYING = ("prompt", "class_noun")
"""Settings that are read by the text encoder."""


def with_word(session: Session, project: Project, config: MethodConfig) -> MethodConfig:
    """The settings with the newest inversion, where their prompt says the word that it learned.

    Raises:
        InvalidInputError: the prompt says the project's word, and nothing has taught it.
    """
    if not isinstance(config, PromptedConfig) or config.word:
        return config
    said = " ".join(str(getattr(config, name, "")) for name in SAYING)
    row = ArtifactRepository(session).latest(project.id, "inversion")
    if row is not None and str(row.config["token"]) in said:
        return config.model_copy(update={"word": row.sha256})
    if project.token in said:
        raise InvalidInputError(
            f"The prompt says {project.token}, which this project has not learned yet: train "
            "'inversion' first, or leave the word out."
        )
    return config
