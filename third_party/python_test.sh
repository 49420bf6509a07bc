#!/bin/bash
# Runs a file of Python tests from the root of the runfiles.
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$PWD" exec python3 -m unittest -v "$@"
