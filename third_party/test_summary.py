#!/usr/bin/env python3
"""Prints `N passed, N failed` for a run of `bazel test`.

usage: test_summary.py BUILD_EVENTS_JSON

Reads what --build_event_json_file wrote. A test that could not be built, or
did not run for another reason, has failed. One that says in its log that it
tested nothing, since the machine lacks what it needs, is named.
"""

import json
import sys
import urllib.parse

PASSED = ("PASSED", "FLAKY")
# What such a test prints, and the reason behind it.
SKIPPED = "SKIPPED: NOTHING WAS TESTED: "


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


def logs(lines):
    """(label, path of its log) of each test."""
    for line in lines:
        event = json.loads(line)
        result = event["id"].get("testResult")
        for output in event.get("testResult", {}).get("testActionOutput", []):
            if result and output["name"] == "test.log":
                path = urllib.parse.urlparse(output.get("uri", "")).path
                yield result["label"], urllib.parse.unquote(path)


def skipped(lines):
    """A dict from the label of each test that tested nothing to the reason."""
    reasons = {}
    for label, path in logs(lines):
        try:
            with open(path, encoding="utf-8", errors="replace") as log:
                for line in log:
                    if line.startswith(SKIPPED):
                        reasons[label] = line[len(SKIPPED):].strip()
        except OSError:
            pass  # From a cache elsewhere: it is not known.
    return reasons


def read(path):
    """The lines of what Bazel wrote, if it did."""
    try:
        with open(path, encoding="utf-8") as events:
            return events.readlines()
    except FileNotFoundError:
        return []


def main(argv):
    events = read(argv[0])
    passed = outcomes(events)
    for label, reason in sorted(skipped(events).items()):
        print("SKIPPED %s: %s" % (label, reason))
    for label in sorted(label for label, ok in passed.items() if not ok):
        print("FAILED  %s" % label)
    good = sum(passed.values())
    print("%d passed, %d failed" % (good, len(passed) - good))


if __name__ == "__main__":
    main(sys.argv[1:])
