"""Run as a script: a worker process whose jobs are those of ``children.py``.

Arguments: ``once``, or the pid of the parent on whose behalf it serves.
"""

import sys
from pathlib import Path

from dyod_studio.jobs.watching import Timing
from dyod_studio.jobs.worker import run_worker
from dyod_studio.settings import Settings

CHILDREN = (sys.executable, str(Path(__file__).with_name("children.py")))
QUICK = Timing(poll_s=0.05, beat_s=0.1, cancel_grace_s=1.0, kill_grace_s=0.5)

if __name__ == "__main__":
    once = sys.argv[1] == "once"
    parent_pid = None if once else int(sys.argv[1])
    run_worker(Settings(), once=once, parent_pid=parent_pid, child_command=CHILDREN, timing=QUICK)
