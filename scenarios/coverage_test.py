"""What `./dev sim --coverage` finds, and what it lets pass."""

import unittest

from scenarios import coverage
from scenarios.coverage import Span

TEXT = """\
namespace quorate {

absl::Status Disk::Write(
    const Bytes& bytes) {
  if (!file_.ok()) return file_;
  absl::Status status = Sync();
  if (status.ok()) status = Rename();
  if (small) {
    Shrink();
  }
  return status;
}

class Other {
  int Get() { return 1; }
};
"""

BODY = Span(4, 24, 12, 2)
RETURN_FILE = Span(5, 20, 5, 32)
FILE_OK = Span(5, 7, 5, 18)
STATUS_OK = Span(7, 7, 7, 18)
SMALL = Span(8, 7, 8, 12)
SHRINK_BLOCK = Span(8, 14, 10, 4)
IN_SHRINK = Span(9, 5, 9, 13)
GET = Span(15, 13, 15, 26)

EXECUTED = {BODY: 5, RETURN_FILE: 1, SHRINK_BLOCK: 2, IN_SHRINK: 2, GET: 1}
BOTH_WAYS = {FILE_OK: [1, 5], STATUS_OK: [3, 1], SMALL: [2, 3]}


def findings(regions=(), branches=()):
    return coverage.findings_of(
        "core/log/disk.cc", coverage.Source(TEXT),
        EXECUTED | dict(regions), BOTH_WAYS | dict(branches))


class FindingsTest(unittest.TestCase):
    def test_nothing(self):
        self.assertEqual(findings(), [])

    def test_code_that_never_runs(self):
        self.assertEqual(
            list(map(str, findings({RETURN_FILE: 0}, {FILE_OK: [0, 5]}))),
            ["core/log/disk.cc:5: never runs: if (!file_.ok()) return file_;"])

    def test_a_block_is_one_finding(self):
        found = findings({SHRINK_BLOCK: 0, IN_SHRINK: 0})
        self.assertEqual([(f.line, f.function) for f in found],
                         [(8, "Disk::Write")])

    def test_an_error_that_never_comes(self):
        self.assertEqual(
            list(map(str, findings({}, {STATUS_OK: [3, 0]}))),
            ["core/log/disk.cc:7: never false: "
             "if (status.ok()) status = Rename();"])

    def test_other_questions_may_have_one_answer(self):
        self.assertEqual(findings({}, {SMALL: [3, 0]}), [])

    def test_planted_bugs_are_not_judged(self):
        text = "  if (Planted(Bug::kForgets)) return;"
        self.assertEqual(coverage.findings_of(
            "a.cc", coverage.Source(text), {Span(1, 31, 1, 38): 0}, {}), [])

    def test_in_a_class(self):
        self.assertEqual(findings({GET: 0})[0].function, "Other")

    def test_instantiations_are_one(self):
        regions = [[*RETURN_FILE, count, 0, 0, coverage.CODE]
                   for count in (0, 2)]
        counts = coverage.counts_of({"data": [{"functions": [
            {"filenames": ["/proc/self/cwd/core/log/disk.cc"], "regions": [region],
             "branches": [[*FILE_OK, 1, 0, 0, 0, 4]]}
            for region in regions]}]})
        executed, branches = counts["core/log/disk.cc"]
        self.assertEqual(executed[RETURN_FILE], 2)
        self.assertEqual(branches[FILE_OK], [2, 0])


class ExcusesTest(unittest.TestCase):
    EXCUSED = """\
# A comment.

core/log/disk.cc Disk::Write: what was opened stays open.
    if (!file_.ok()) return file_;
    return gone;
"""

    def test_each_excuses_one(self):
        excuses = coverage.parse_excuses(self.EXCUSED)
        found = findings({RETURN_FILE: 0})
        self.assertEqual(
            coverage.sort_out(found, excuses),
            ([], [("core/log/disk.cc", "Disk::Write", "return gone;")]))
        new, _ = coverage.sort_out(found * 2, excuses)
        self.assertEqual(new, found)

    def test_what_is_not_excused_is_new(self):
        found = findings({SHRINK_BLOCK: 0})
        new, unneeded = coverage.sort_out(
            found, coverage.parse_excuses(self.EXCUSED))
        self.assertEqual(new, found)
        self.assertEqual(len(unneeded), 2)

    def test_a_reason_is_needed(self):
        for text in ("core/log/disk.cc Disk::Write:\n    return gone;",
                     "core/log/disk.cc Disk::Write\n    return gone;",
                     "    return gone;"):
            with self.assertRaises(ValueError):
                coverage.parse_excuses(text)


if __name__ == "__main__":
    unittest.main()
