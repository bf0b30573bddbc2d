import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest

from dyod_studio.jobs.devices import host_name
from dyod_studio.jobs.processes import end_process_tree, identify, is_alive
from dyod_studio.store.records import ProcessIdentity

STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); {rest}"
WITH_A_CHILD = """import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
time.sleep(600)"""


def test_a_running_process_is_known_by_its_pid_and_start(innocent):
    identity = identify(innocent.pid)
    assert identity == ProcessIdentity(host_name(), innocent.pid, innocent.create_time())
    assert is_alive(identity)


def test_a_process_with_the_same_pid_and_another_start_is_another_one(innocent):
    identity = identify(innocent.pid)
    for drift_s, is_same in [(0.5, True), (-0.5, True), (60, False), (-60, False)]:
        shifted = replace(identity, started_at=identity.started_at + drift_s)
        assert is_alive(shifted) is is_same


def test_a_zombie_is_not_alive():
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        identity = identify(process.pid)
        deadline = time.monotonic() + 30
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert identify(process.pid) is None
        assert identity is None or not is_alive(identity)


def test_a_pid_that_nobody_has_names_no_process():
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        process.wait()
    assert identify(process.pid) is None


def test_a_process_that_ignores_the_request_to_end_is_killed_with_what_it_started():
    script = STUBBORN.format(rest=WITH_A_CHILD)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        identity = identify(process.pid)
        deadline = time.monotonic() + 30
        while not (below := psutil.Process(process.pid).children()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        end_process_tree(identity, grace_s=0.3)
    assert not is_alive(identity)
    psutil.wait_procs(below, timeout=10)
    assert not any(member.is_running() for member in below)


@pytest.mark.parametrize("shift_s", [-3600, 3600])
def test_ending_a_tree_by_a_reused_pid_leaves_the_innocent_process_alone(innocent, shift_s):
    end_process_tree(
        ProcessIdentity(host_name(), innocent.pid, innocent.create_time() + shift_s), grace_s=0.1
    )
    time.sleep(0.2)
    assert identify(innocent.pid) is not None


def test_what_the_studio_logs_is_seen_and_what_libraries_log_is_not():
    script = """import logging
from dyod_studio.jobs.processes import log_to_stderr
log_to_stderr()
for name in ("__main__", "dyod_studio.jobs.worker", "httpx"):
    logging.getLogger(name).info("from %s", name)"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    seen = [line.rpartition(" ")[2] for line in ran.stderr.splitlines()]
    assert seen == ["__main__", "dyod_studio.jobs.worker"]
