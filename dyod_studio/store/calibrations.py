"""What methods were measured to need; every run refines it."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from dyod_studio.store.tables import Calibration, utc_now

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
        """What exactly these settings were measured to need, or None."""
        chosen = select(Calibration).where(
            Calibration.device == device,
            Calibration.base_fingerprint == base_fingerprint,
            Calibration.method == method,
            Calibration.resolution == resolution,
            Calibration.key == key,
        )
        return self._session.scalars(
            chosen, execution_options={"populate_existing": True}
        ).one_or_none()

    def nearest(self, device: str, base_fingerprint: str, method: str) -> Calibration | None:
        """The newest measurement of the method with other settings, or None."""
        chosen = select(Calibration).where(
            Calibration.device == device,
            Calibration.base_fingerprint == base_fingerprint,
            Calibration.method == method,
        )
        newest = chosen.order_by(Calibration.updated_at.desc(), Calibration.id.desc()).limit(1)
        return self._session.scalars(newest).one_or_none()

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
    ) -> Calibration:
        """Take a measurement into the mean of its settings; None leaves a figure as it is."""
        measured = {
            "peak_memory_mb": peak_memory_mb,
            "setup_s": setup_s,
            "step_s": step_s,
            "preview_s": preview_s,
            "checkpoint_s": checkpoint_s,
        }
        row = self.find(device, base_fingerprint, method, resolution, key)
        if row is None:
            place = (device, base_fingerprint, method, resolution, key)
            row = Calibration(num_samples=0, **dict(zip(PLACE, place, strict=True)))
            self._session.add(row)
        weight = min(row.num_samples, MAX_WEIGHT)
        for name, value in measured.items():
            if value is not None:
                setattr(row, name, _mean(getattr(row, name), weight, value))
        row.num_samples += 1
        row.updated_at = utc_now()
        self._session.flush()
        return row


def _mean(before: float | None, weight: int, value: float) -> float:
    return value if before is None else (before * weight + value) / (weight + 1)
