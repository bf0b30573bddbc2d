"""Transactions repeated until the database takes them, and the disk has room for them."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from dyod_studio.errors import DatabaseBusyError, StorageFullError

T = TypeVar("T")

ROOM_POLL_S = 1.0

log = logging.getLogger(__name__)


def retry_while_busy(action: Callable[[], T]) -> T:
    """Repeat a whole transaction while another process holds the database.

    Each attempt waits as long as the database's own time-out.
    """
    while True:
        try:
            return action()
        except DatabaseBusyError as exc:
            log.warning("Trying again: %s", exc)


def retry_until_written(action: Callable[[], T]) -> T:
    """Repeat a whole transaction until it can be made, however long the disk is full.

    For what a row must say in the end; anything else had better fail.
    """
    while True:
        try:
            return retry_while_busy(action)
        except StorageFullError as exc:
            log.warning("Waiting for room: %s", exc)
            time.sleep(ROOM_POLL_S)
