"""Measurements of what methods need; every run refines them."""

from dataclasses import fields

from sqlalchemy import select
from sqlalchemy.orm import Session

from dyod_studio.store.records import Calibration, utc_now
from dyod_studio.store.tables import CalibrationRow

MAX_WEIGHT = 4
"""Older measurements count as this many at most, so that the figures follow the machine."""

PLACE = ("device", "base_fingerprint", "method", "resolution", "key")


class CalibrationRepository:
    """Reads and writes calibrations in the session it is given; the caller commits."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def find(
        self, device: str, base_fingerprint: str, method: str, resolution: int, key: str
    ) -> Calibration | None:
        """Measurement of exactly these settings, or None."""
        row = self._row(device, base_fingerprint, method, resolution, key)
        return None if row is None else _record(row)

    def _row(
        self, device: str, base_fingerprint: str, method: str, resolution: int, key: str
    ) -> CalibrationRow | None:
        chosen = select(CalibrationRow).where(
            CalibrationRow.device == device,
            CalibrationRow.base_fingerprint == base_fingerprint,
            CalibrationRow.method == method,
            CalibrationRow.resolution == resolution,
            CalibrationRow.key == key,
        )
        return self._session.scalars(
            chosen, execution_options={"populate_existing": True}
        ).one_or_none()

    def nearest(self, device: str, base_fingerprint: str, method: str) -> Calibration | None:
        """The newest measurement of the method with other settings, or None."""
        chosen = select(CalibrationRow).where(
            CalibrationRow.device == device,
            CalibrationRow.base_fingerprint == base_fingerprint,
            CalibrationRow.method == method,
        )
        newest = chosen.order_by(CalibrationRow.updated_at.desc(), CalibrationRow.id.desc()).limit(
            1
        )
        row = self._session.scalars(newest).one_or_none()
        return None if row is None else _record(row)

    def refine(
        self,
        device: str,
        base_fingerprint: str,
        method: str,
        resolution: int,
        key: str,
        *,
        peak_memory_mb: float,
        setup_s: float,
        step_s: float,
        preview_s: float | None = None,
        checkpoint_s: float | None = None,
    ) -> None:
        """Take a measurement into the mean of its settings; None leaves a figure as it is."""
        measured = {
            "peak_memory_mb": peak_memory_mb,
            "setup_s": setup_s,
            "step_s": step_s,
            "preview_s": preview_s,
            "checkpoint_s": checkpoint_s,
        }
        row = self._row(device, base_fingerprint, method, resolution, key)
        if row is None:
            place = (device, base_fingerprint, method, resolution, key)
            row = CalibrationRow(num_samples=0, **dict(zip(PLACE, place, strict=True)))
            self._session.add(row)
        weight = min(row.num_samples, MAX_WEIGHT)
        for name, value in measured.items():
            if value is not None:
                setattr(row, name, _mean(getattr(row, name), weight, value))
        row.num_samples += 1
        row.updated_at = utc_now()
        self._session.flush()


def _record(row: CalibrationRow) -> Calibration:
    return Calibration(**{field.name: getattr(row, field.name) for field in fields(Calibration)})


def _mean(before: float | None, weight: int, value: float) -> float:
    return value if before is None else (before * weight + value) / (weight + 1)
