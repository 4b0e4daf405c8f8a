"""``python -m headrace.deploy start|stop|…``: what the scripts run."""

import sys

from headrace.deploy.command import main

sys.exit(main(sys.argv[1:]))
