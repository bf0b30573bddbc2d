import subprocess
import sys

from dyod_studio.jobs.worker import worker_kept
from tests.jobs.conftest import wait_until

SLEEP = (sys.executable, "-S", "-c", "import time; time.sleep(600)")


def test_a_worker_that_is_killed_is_replaced_while_the_page_lives(settings):
    started: list[subprocess.Popen[bytes]] = []

    def start(_settings: object) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(SLEEP))
        return started[-1]

    with worker_kept(settings, start, look_every_s=0.05):
        wait_until(lambda: len(started) == 1)
        started[0].kill()
        wait_until(lambda: len(started) == 2)
    started[1].kill()
    assert [process.wait(20) != 0 for process in started] == [True, True]


def test_a_worker_that_cannot_be_started_now_is_tried_again(settings):
    tries: list[int] = []
    started: list[subprocess.Popen[bytes]] = []

    def start(_settings: object) -> subprocess.Popen[bytes]:
        tries.append(1)
        if len(tries) < 3:
            raise OSError("no more processes")
        started.append(subprocess.Popen(SLEEP))
        return started[-1]

    with worker_kept(settings, start, look_every_s=0.02):
        wait_until(lambda: started)
    started[0].kill()
    started[0].wait(20)
