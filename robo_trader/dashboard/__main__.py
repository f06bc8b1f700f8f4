"""Runs the page: `python -m robo_trader.dashboard`."""

import sys

from robo_trader.dashboard.app import main

sys.exit(main())
