"""`python -m willitcompile.cli`, for where the console command is not on PATH."""

from willitcompile.cli import main

main()
