"""Measure a method in a process of its own: ``python -m dyod_studio.jobs.measuring FOLDER``.

The folder holds ``order.json``; ``answer.json`` is what was measured, or the error.
"""

import json
import logging
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from dyod_studio.errors import StudioError
from dyod_studio.settings import Settings
from dyod_studio.store.storage import open_storage
from dyod_studio.training.registry import load_method, parse_config
from dyod_studio.training.run import Adjustments


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
    from dyod_studio.jobs.calibrating import keep
    from dyod_studio.jobs.training_inputs import knowing_word, load_inputs
    from dyod_studio.training.calibration import measure

    method = load_method(order["method"])
    config = parse_config(order["method"], order["config"])
    storage = open_storage(settings.storage, settings.resolved_database_url)
    try:
        base, pictures = load_inputs(settings, storage, order["project_id"])
        with knowing_word(storage, base, config) as knowing:
            found = measure(
                method,
                config,
                knowing,
                pictures,
                run_dir,
                adjustments=Adjustments.from_dict(order["adjustments"]),
                loading_s=age_of_this_process(),
            )
        resolution = base.own_resolution
        keep(settings, storage, base.fingerprint, method.info.name, config, resolution, found)
    finally:
        storage.close()
    return asdict(found)


def age_of_this_process() -> float:
    """Seconds since it was started: what loading has taken so far."""
    return max(0.0, time.time() - float(psutil.Process().create_time()))


if __name__ == "__main__":
    main()
