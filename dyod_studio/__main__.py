"""``python -m dyod_studio``: the command line."""

import sys

from dyod_studio.cli.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
