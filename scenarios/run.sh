#!/bin/bash
# Runs the scenarios' program with the given flags, as a test.
exec "$@"
