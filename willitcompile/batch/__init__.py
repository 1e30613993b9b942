"""Many sources, one a line, each with an answer of one line: for a hundred thousand of them.

`records` reads the lines, `run` answers them with a backend, `answers` writes what was answered and knows it again
after a kill, `summary` counts.
"""
