"""What runs take on this machine: looked up, measured by a few real steps, refined by every run."""

import json
import logging
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from huggingface_hub import try_to_load_from_cache

from dyod_studio.errors import StudioError, TrainingError
from dyod_studio.jobs.devices import device_name
from dyod_studio.jobs.processes import environment
from dyod_studio.models.base_size import base_size
from dyod_studio.models.memory_plan import Measurement
from dyod_studio.models.references import fingerprint_of, locate_base
from dyod_studio.settings import STARTER_DIR, Settings
from dyod_studio.store.calibrations import CalibrationRepository
from dyod_studio.store.database import Session
from dyod_studio.store.records import Calibration
from dyod_studio.store.retry import retry_while_busy
from dyod_studio.store.storage import Storage, open_storage
from dyod_studio.training.planning import Known, calibration_key
from dyod_studio.training.registry import MethodConfig, load_method, parse_config
from dyod_studio.training.run import UNCHANGED, Adjustments

COMMAND = (sys.executable, "-m", "dyod_studio.jobs.calibration")
MAX_SECONDS = 3600


def known_for(
    settings: Settings,
    session: Session,
    base: str,
    method: str,
    config: MethodConfig,
    adjustments: Adjustments = UNCHANGED,
) -> Known | None:
    """What these settings were measured to take here, else the nearest other ones, else None.

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
    folder.mkdir(parents=True)
    try:
        order = {
            "project_id": project_id,
            "method": method,
            "config": config.model_dump(mode="json"),
            "adjustments": adjustments.as_dict(),
        }
        (folder / "order.json").write_text(json.dumps(order), encoding="utf-8")
        return _read_answer(folder, _run(settings, folder))
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


def _run(settings: Settings, folder: Path) -> int:
    with (folder / "log.txt").open("wb") as log:
        done = subprocess.run(
            [*COMMAND, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment(settings),
            timeout=MAX_SECONDS,
            check=False,
        )
    return done.returncode


def _read_answer(folder: Path, exit_code: int) -> Measurement:
    path = folder / "answer.json"
    if not path.exists():
        raise TrainingError(
            f"The measuring process ended with exit code {exit_code}: the machine may have run "
            "out of memory; choose a smaller batch or a smaller base model."
        )
    answer: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if "error" in answer:
        raise TrainingError(answer["error"])
    return Measurement(**answer)


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


def main() -> None:
    """The entry of the process that ``calibrating.calibrate`` starts."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    folder = Path(sys.argv[1])
    order = json.loads((folder / "order.json").read_text(encoding="utf-8"))
    try:
        answer = measure_order(Settings(), order, folder / "run")
    except StudioError as exc:
        answer = {"error": str(exc)}
    partial = folder / "answer.partial"
    partial.write_text(json.dumps(answer), encoding="utf-8")
    os.replace(partial, folder / "answer.json")


def measure_order(settings: Settings, order: dict[str, Any], run_dir: Path) -> dict[str, Any]:
    """Make the steps that an order asks for, keep the figures, and return them."""
    from dyod_studio.jobs.inputs import load_inputs, with_learned_token
    from dyod_studio.training.calibration import measure

    method = load_method(order["method"])
    config = parse_config(order["method"], order["config"])
    storage = open_storage(settings.storage, settings.resolved_database_url)
    try:
        base, pictures = load_inputs(settings, storage, order["project_id"])
        with with_learned_token(storage, base, config) as knowing_base:
            found = measure(
                method,
                config,
                knowing_base,
                pictures,
                run_dir,
                adjustments=Adjustments.from_dict(order["adjustments"]),
                loading_s=age_of_this_process(),
            )
        resolution = base.own_resolution
        keep(settings, storage, base.fingerprint, method.name, config, resolution, found)
    finally:
        storage.close()
    return asdict(found)


def age_of_this_process() -> float:
    """Seconds since it was started: what loading has taken so far."""
    return max(0.0, time.time() - float(psutil.Process().create_time()))


if __name__ == "__main__":
    main()
