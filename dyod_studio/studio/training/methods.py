"""The training methods by name and sentence, and which of them suits a project."""

from sqlalchemy.orm import Session

from dyod_studio.models.references import locate_base
from dyod_studio.settings import STARTER_DIR, Settings
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.pictures import PictureRepository
from dyod_studio.store.tables import Project
from dyod_studio.studio.training.forms import field_views
from dyod_studio.studio.training.planning import free_for_next, kind_of_device, plan_for
from dyod_studio.studio.views import MethodView, RecommendationView
from dyod_studio.training.recommending import DeviceFacts, Need, SetFacts, recommend
from dyod_studio.training.registry import METHODS, MethodInfo, load_method

METHOD_SUMMARIES = {info.name: info.summary for info in METHODS.values()}
"""Every method's name, in the order in which they are offered, and what it is for."""


def method_views() -> list[MethodView]:
    """Every method with its settings, for forms."""
    return [_view(info) for info in METHODS.values()]


def recommendation(settings: Settings, session: Session, project: Project) -> RecommendationView:
    """What to train next in a project on this machine, and why.

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
            info.name: _need(settings, session, project.base, info.name)
            for info in METHODS.values()
            if not info.is_baseline
        },
    )
    found = recommend(pictures, device)
    return RecommendationView(found.methods, found.reasons)


def _view(info: MethodInfo) -> MethodView:
    return MethodView(
        info.name,
        info.title,
        info.summary,
        field_views(load_method(info.name).config_class),
        info.num_pictures,
        info.cost,
        info.is_baseline,
    )


def _need(settings: Settings, session: Session, base: str, method: str) -> Need:
    """By the plan of the method's own settings; what else it asks for takes no memory."""
    config = load_method(method).config_class.model_construct()
    plan = plan_for(settings, session, base, method, config).plan
    return Need(plan.peak_memory_mb, plan.seconds, plan.fits)


def _has_clip(base: str) -> bool:
    folder = locate_base(base, STARTER_DIR).path
    return folder is not None and (folder / "text_projection.safetensors").is_file()
