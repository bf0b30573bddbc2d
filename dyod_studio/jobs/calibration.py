"""Memory and time of runs here: looked up, measured by a few real steps, refined by every run."""

import json
import shutil
import time
import uuid
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import psutil
from huggingface_hub import try_to_load_from_cache

from dyod_studio.errors import SamplerError, StudioError, TrainingError
from dyod_studio.jobs.devices import device_name
from dyod_studio.jobs.one_shot import run_in_subprocess
from dyod_studio.models.base_size import base_size
from dyod_studio.models.memory_plan import Measurement
from dyod_studio.models.references import fingerprint_of, locate_base
from dyod_studio.settings import STARTER_DIR, Settings
from dyod_studio.store.calibrations import CalibrationRepository
from dyod_studio.store.database import Session, retry_while_busy
from dyod_studio.store.records import Calibration
from dyod_studio.store.storage import Storage, open_storage
from dyod_studio.training.planning import Known, calibration_key
from dyod_studio.training.registry import MethodConfig, load_method, parse_config
from dyod_studio.training.run import UNCHANGED, Adjustments

DIED = (
    "The measuring process ended without an answer: the machine may have run out of memory; choose "
    "a smaller batch or a smaller base model."
)


def known_for(
    settings: Settings,
    session: Session,
    base: str,
    method: str,
    config: MethodConfig,
    adjustments: Adjustments = UNCHANGED,
) -> Known | None:
    """Measurement of these settings here, else the nearest other ones, else None.

    Raises:
        BaseModelError: the base model is not there.
    """
    fingerprint = _fingerprint(base)
    if fingerprint is None:
        return None
    device, calibrations = device_name(settings), CalibrationRepository(session)
    resolution = adjustments.resolution or base_size(base, STARTER_DIR).resolution
    key = calibration_key(method, config.model_dump(mode="json"), adjustments)
    row = calibrations.find(device, fingerprint, method, resolution, key)
    row = row or calibrations.nearest(device, fingerprint, method)
    return None if row is None else Known(row.key, _measurement(row))


def calibrate(
    settings: Settings,
    storage: Storage,
    project_id: int,
    method: str,
    config: MethodConfig,
    adjustments: Adjustments = UNCHANGED,
) -> Measurement:
    """Measure a few real steps in a process of their own, keep the figures, and return them.

    Raises:
        TrainingError: it does not fit, or failed; the message is the process's own.
    """
    folder = storage.temporary_dir / f"measure-{uuid.uuid4().hex}"
    order = (settings, project_id, method, config.model_dump(mode="json"), adjustments, folder)
    try:
        return cast(Measurement, run_in_subprocess(measure_steps, *order))
    except SamplerError as exc:
        raise TrainingError(DIED) from exc
    except StudioError as exc:
        raise TrainingError(str(exc)) from exc
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def keep(
    settings: Settings,
    storage: Storage,
    fingerprint: str,
    method: str,
    config: MethodConfig,
    resolution: int,
    found: Measurement,
) -> None:
    """Take a measurement into what is known of its settings and of what was changed to fit."""
    changed = Adjustments.from_dict(found.adjustments)
    key = calibration_key(method, config.model_dump(mode="json"), changed)
    device = device_name(settings)

    def write() -> None:
        with storage.database.session() as session:
            CalibrationRepository(session).refine(
                device,
                fingerprint,
                method,
                changed.resolution or resolution,
                key,
                peak_memory_mb=found.peak_memory_mb,
                setup_s=found.setup_s,
                step_s=found.step_s,
                preview_s=found.preview_s,
                checkpoint_s=found.checkpoint_s,
            )

    retry_while_busy(partial(write))


def _measurement(row: Calibration) -> Measurement:
    changed: dict[str, Any] = json.loads(row.key)["adjustments"]
    return Measurement(
        peak_memory_mb=row.peak_memory_mb,
        setup_s=row.setup_s,
        step_s=row.step_s,
        preview_s=row.preview_s,
        checkpoint_s=row.checkpoint_s,
        adjustments={} if Adjustments.from_dict(changed) == UNCHANGED else changed,
    )


def _fingerprint(base: str) -> str | None:
    """None for a base model that this machine has never fetched."""
    location = locate_base(base, STARTER_DIR)
    path = location.path
    if location.kind == "hub":
        cached = try_to_load_from_cache(base, "model_index.json")
        path = Path(cached).parent if isinstance(cached, str) else None
    return None if path is None else fingerprint_of(path)


def measure_steps(
    settings: Settings,
    project_id: int,
    method_name: str,
    values: Mapping[str, Any],
    adjustments: Adjustments,
    run_dir: Path,
) -> Measurement:
    """Make a few real steps in this process, keep the figures, and return them."""
    from dyod_studio.jobs.inputs import load_inputs, with_learned_token
    from dyod_studio.training.calibration import measure

    method, config = load_method(method_name), parse_config(method_name, values)
    with open_storage(settings.storage, settings.resolved_database_url) as storage:
        base, pictures = load_inputs(settings, storage, project_id)
        with with_learned_token(storage, base, config) as knowing_base:
            found = measure(
                method,
                config,
                knowing_base,
                pictures,
                run_dir,
                adjustments=adjustments,
                loading_s=age_of_this_process(),
            )
        keep(settings, storage, base.fingerprint, method.name, config, base.own_resolution, found)
    return found


def age_of_this_process() -> float:
    """Seconds since it was started: what loading has taken so far."""
    return max(0.0, time.time() - float(psutil.Process().create_time()))
