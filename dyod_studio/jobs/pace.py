"""How long the rest of a run takes."""


class Pace:
    """The speed of a run, from the steps made so far."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None

    def seconds_left(self, step: int, num_steps: int, now: float) -> float | None:
        """Seconds to the last step, or None before a second step was seen."""
        if self._first is None or step <= self._first[0]:
            self._first = (step, now)
            return None
        first_step, started = self._first
        return (now - started) / (step - first_step) * (num_steps - step)
