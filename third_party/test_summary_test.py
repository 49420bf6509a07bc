"""CI trusts the count: nothing that did not pass may be missing from it."""

import json
import pathlib
import tempfile
import unittest

from third_party import test_summary


def configured(label, size="SMALL"):
    return json.dumps({
        "id": {"targetConfigured": {"label": label}},
        "configured": {"testSize": size} if size else {},
    })


def summary(label, status):
    return json.dumps({
        "id": {"testSummary": {"label": label}},
        "testSummary": {"overallStatus": status},
    })


class OutcomesTest(unittest.TestCase):
    def test_counts_what_passed_and_what_did_not(self):
        events = [configured(label) for label in ("//a", "//b", "//c", "//d")]
        events += [summary("//a", "PASSED"), summary("//b", "FAILED"),
                   summary("//c", "TIMEOUT"), summary("//d", "FLAKY")]
        self.assertEqual(
            test_summary.outcomes(events),
            {"//a": True, "//b": False, "//c": False, "//d": True})

    def test_a_test_that_does_not_build_has_failed(self):
        self.assertEqual(
            test_summary.outcomes([configured("//a")]), {"//a": False})

    def test_libraries_are_no_tests(self):
        self.assertEqual(
            test_summary.outcomes([configured("//a", size=None)]), {})

    def test_no_events_at_all(self):
        self.assertEqual(test_summary.read("/nonexistent"), [])
        self.assertEqual(test_summary.outcomes([]), {})

    def test_what_tested_nothing_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / "a test.log"
            log.write_text("x\n" + test_summary.SKIPPED + "no root\n")
            events = [json.dumps({
                "id": {"testResult": {"label": label}},
                "testResult": {"testActionOutput": [
                    {"name": "test.log", "uri": uri}]},
            }) for label, uri in (("//a", log.as_uri()),
                                  ("//b", "file:///nonexistent"))]
            self.assertEqual(test_summary.skipped(events), {"//a": "no root"})


if __name__ == "__main__":
    unittest.main()
