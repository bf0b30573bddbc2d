"""Run as a script: a worker process whose jobs are those of ``children.py``.

Arguments: ``once``, ``drain``, or the pid of the parent on whose behalf it serves.
"""

import sys
from pathlib import Path

from dyod_studio.jobs.supervisor import Timing
from dyod_studio.jobs.worker import run_worker
from dyod_studio.settings import Settings

CHILDREN = (sys.executable, str(Path(__file__).with_name("children.py")))
QUICK = Timing(
    poll_s=0.05,
    cancel_grace_s=1.0,
    pause_grace_s=1.0,
    kill_grace_s=0.5,
    start_grace_s=3.0,
    witness_grace_s=0.5,
    dead_after_s=8.0,
    watched_for_s=0.5,
)

if __name__ == "__main__":
    how = {sys.argv[1]: True} if sys.argv[1] in ("once", "drain") else {}
    parent_pid = None if how else int(sys.argv[1])
    run_worker(Settings(), **how, parent_pid=parent_pid, child_command=CHILDREN, timing=QUICK)
