#!/bin/bash
# Runs a file of Python tests from the root of the runfiles. None at all, as
# when `only` matches nothing, is a failure.
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$PWD"
exec python3 -c '
import sys
import unittest

result = unittest.main(module=None, argv=["unittest", "-v", *sys.argv[1:]],
                       exit=False).result
if result.testsRun == 0 and not result.skipped:
    sys.exit("no test was run")
sys.exit(not result.wasSuccessful())
' "$@"
