"""Processes of our own: how they are started."""

import sys

MODULE = (sys.executable, "-P", "-m")
"""Runs a module that is installed: without -P, what lies in the current directory would come first."""

RUN = (*MODULE, "consumer", "run")
"""Runs a worker, told by its environment."""
