"""The program with the backends for tests, which its command line does not offer."""

import sys

from willitcompile.backends import open_backend
from willitcompile.cli import leave, run

leave(run(sys.argv[1:], open_backend))
