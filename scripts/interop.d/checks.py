"""Counts the passed checks of a program, and ends it with the first that fails."""

import pathlib
import sys

passed = 0


def check(name, got, wanted=True):
    global passed
    if got != wanted:
        sys.exit(f"{pathlib.Path(sys.argv[0]).stem}: {name}: {got!r}, not {wanted!r}")
    passed += 1
