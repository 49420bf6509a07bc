"""CI trusts the count: nothing that did not pass may be missing from it."""

import json
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
        self.assertEqual(test_summary.read("/nonexistent"), {})


if __name__ == "__main__":
    unittest.main()
