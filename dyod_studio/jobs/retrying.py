"""What must be written is tried until the database takes it."""

import logging
from collections.abc import Callable
from typing import TypeVar

from dyod_studio.errors import DatabaseBusyError

T = TypeVar("T")

log = logging.getLogger(__name__)


def patiently(action: Callable[[], T]) -> T:
    """Repeat a whole transaction while another process holds the database.

    Each attempt waits as long as the database's own time-out.
    """
    while True:
        try:
            return action()
        except DatabaseBusyError as exc:
            log.warning("Trying again: %s", exc)
