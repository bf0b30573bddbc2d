"""The training methods by name and sentence, and which of them suits a project."""

from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.references import locate_base
from dyod_studio.requests.part_kinds import baseline_kinds, training_methods
from dyod_studio.requests.part_records import TrainingMethod
from dyod_studio.requests.validation import bounds_of
from dyod_studio.services.training.plan import free_for_next, kind_of_device, plan_for
from dyod_studio.services.views import FieldKind, FieldView, MethodView, RecommendationView
from dyod_studio.settings import STARTER_DIR, Settings
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.database import Session
from dyod_studio.store.projects import PictureRepository
from dyod_studio.store.records import Project
from dyod_studio.training.recommend import DeviceFacts, Need, SetFacts, recommend
from dyod_studio.training.registry import (
    MethodConfig,
    PromptedConfig,
    load_method,
    parse_config,
)

HIDDEN_FIELDS = {"token", "templates", "word"}
"""Settings that the page does not ask for: the project gives the token and the word."""


def field_views(config_class: type[BaseModel]) -> tuple[FieldView, ...]:
    """Every setting of a method that a person may choose."""
    chosen = [name for name in config_class.model_fields if name not in HIDDEN_FIELDS]
    return tuple(_field_view(config_class, name) for name in chosen)


def config_for(token: str, method: str, values: Mapping[str, Any]) -> MethodConfig:
    """The settings of a run in a project whose word is ``token``.

    Raises:
        InvalidInputError: there is no such method or setting, or a value is wrong.
    """
    own = {"token": token} if load_method(method).info.teaches_set else {}
    return parse_config(method, own | dict(values))


def _field_view(config_class: type[BaseModel], name: str) -> FieldView:
    field, bounds = config_class.model_fields[name], bounds_of(config_class, name)
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    return FieldView(
        name=name,
        title=field.title or name,
        help=" ".join((field.description or "").split()),
        kind="choice" if choices else _kind(field.annotation),
        default=field.default,
        minimum=bounds.low,
        maximum=bounds.high,
        choices=tuple(str(choice) for choice in choices),
    )


def _kind(annotation: Any) -> FieldKind:
    kinds: dict[Any, FieldKind] = {int: "int", float: "float", bool: "bool"}
    return kinds.get(annotation, "str")


def method_summaries() -> dict[str, str]:
    """Every method's name, in the order in which they are offered, and what it is for."""
    return {name: method.summary for name, method in training_methods().items()}


def method_views() -> list[MethodView]:
    """Every method with its settings, for forms."""
    return [_view(name, method) for name, method in training_methods().items()]


def recommendation(settings: Settings, session: Session, project: Project) -> RecommendationView:
    """Recommendation of what to train next in a project on this machine, and why.

    Raises:
        BaseModelError: the base model is not there any more.
    """
    pictures = SetFacts(
        PictureRepository(session).count(project.id),
        ArtifactRepository(session).kinds(project.id),
    )
    device = DeviceFacts(
        kind_of_device(settings),
        free_for_next(settings, session),
        _has_clip(project.base),
        {
            name: _need(settings, session, project.base, name)
            for name in training_methods()
            if name not in baseline_kinds()
        },
    )
    found = recommend(pictures, device)
    return RecommendationView(found.methods, found.reasons)


def _view(name: str, method: TrainingMethod) -> MethodView:
    return MethodView(
        name,
        method.task,
        method.summary,
        field_views(load_method(name).config_class),
        method.num_pictures,
        method.cost,
        name in baseline_kinds(),
    )


def _need(settings: Settings, session: Session, base: str, method: str) -> Need:
    """By the plan of the method's own settings; what else it asks for takes no memory."""
    config = load_method(method).config_class.model_construct()
    plan = plan_for(settings, session, base, method, config).plan
    return Need(plan.peak_memory_mb, plan.seconds, plan.fits)


def _has_clip(base: str) -> bool:
    folder = locate_base(base, STARTER_DIR).path
    return folder is not None and (folder / "text_projection.safetensors").is_file()


SAYING = ("prompt", "class_noun")
"""Settings that are read by the text encoder."""


def resolve_token(session: Session, project: Project, config: MethodConfig) -> MethodConfig:
    """The settings with the newest inversion, where their prompt says the word that it learned.

    Raises:
        InvalidInputError: the prompt says the project's word, and nothing has taught it.
    """
    if not isinstance(config, PromptedConfig) or config.word:
        return config
    text = " ".join(str(getattr(config, name, "")) for name in SAYING)
    row = ArtifactRepository(session).latest(project.id, "inversion")
    if row is not None and str(row.config["token"]) in text:
        return config.model_copy(update={"word": row.sha256})
    if project.token in text:
        raise InvalidInputError(
            f"The prompt says {project.token}, which this project has not learned yet: train "
            "'inversion' first, or leave the word out."
        )
    return config
