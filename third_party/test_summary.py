#!/usr/bin/env python3
"""Prints `N passed, N failed` for a run of `bazel test`.

usage: test_summary.py BUILD_EVENTS_JSON

Reads what --build_event_json_file wrote. A test that could not be built, or
did not run for another reason, has failed.
"""

import json
import sys

PASSED = ("PASSED", "FLAKY")


def outcomes(lines):
    """A dict from the label of each test to whether it passed."""
    passed = {}
    for line in lines:
        event = json.loads(line)
        configured = event["id"].get("targetConfigured")
        if configured and event.get("configured", {}).get("testSize"):
            passed.setdefault(configured["label"], False)
        summary = event["id"].get("testSummary")
        if summary:
            status = event.get("testSummary", {}).get("overallStatus")
            passed[summary["label"]] = status in PASSED
    return passed


def read(path):
    try:
        with open(path, encoding="utf-8") as events:
            return outcomes(events)
    except FileNotFoundError:
        return {}


def main(argv):
    passed = read(argv[0])
    for label in sorted(label for label, ok in passed.items() if not ok):
        print("FAILED  %s" % label)
    good = sum(passed.values())
    print("%d passed, %d failed" % (good, len(passed) - good))


if __name__ == "__main__":
    main(sys.argv[1:])
