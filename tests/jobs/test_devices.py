"""Which machine, which device."""

import os

import pytest

from dyod_studio.jobs.devices import INITIAL_PID_SPACE, device_key, host_name
from dyod_studio.settings import Settings


@pytest.fixture
def name_in(monkeypatch):
    """The host's name as a process of that space of process numbers sees it."""

    def name(space: str) -> str:
        monkeypatch.setattr(os, "readlink", lambda path: space)
        host_name.cache_clear()
        return host_name()

    yield name
    monkeypatch.undo()
    host_name.cache_clear()


def test_two_containers_of_one_name_are_two_hosts_and_share_the_machines_device(name_in):
    machine, one, other = map(name_in, (INITIAL_PID_SPACE, "pid:[1]", "pid:[2]"))
    assert len({machine, one, other}) == 3
    assert all(name.split()[0] == machine for name in (one, other))
    assert device_key(Settings(device="cpu")) == f"{machine}/cpu"
