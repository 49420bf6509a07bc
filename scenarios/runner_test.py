"""What `./dev sim` prints and exits with, for runs that fail in every way."""
import json
import os
import pathlib
import pty
import signal
import subprocess
import tempfile
import time
import unittest

PROGRAM = pathlib.Path.cwd() / "scenarios" / "broken_stories"


def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], text=True,
                          capture_output=True, check=False, timeout=60)


class RunnerTest(unittest.TestCase):
    def assert_failure(self, result, code, *texts):
        self.assertEqual(result.returncode, code, result.stderr)
        for text in texts:
            self.assertIn(text, result.stderr)

    def test_passes(self):
        result = run("--scenario=Broken.Passes", "--seeds=20")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("1 passed, 0 failed", result.stdout)
        self.assertIn("20 runs", result.stdout)

    def test_kinds_of_failures(self):
        for story, code, text in [
                ("Violates", 1, "two\tleaders\nin one epoch"),
                ("Waits", 3, "not within 10s"),
                ("Expects", 4, "does not hold"),
                ("Checks", 5, "Check failed: 1 == 2 (1 vs. 2) as planned"),
                ("Dies", 5, "died of signal 9")]:
            for jobs in ("--jobs=3", "--jobs=1"):
                with self.subTest(story=story, jobs=jobs):
                    self.assert_failure(
                        run("--scenario=Broken." + story, "--seeds=5", jobs),
                        code, text, "failed with seed",
                        "./dev sim --scenario=Broken.%s --seed=" % story)

    def test_a_check_tells_the_last_events(self):
        self.assert_failure(run("--scenario=Broken.Checks", "--seed=7"), 5,
                            "The last events:", "node1          beats",
                            "broken_stories.cc")

    def test_whoever_is_killed_leaves_the_last_events(self):
        self.assert_failure(run("--scenario=Broken.Dies", "--seed=7"), 5,
                            "The last events:", "2.000000  node1          kill",
                            "node1          beats")

    def test_a_run_without_an_end(self):
        self.assert_failure(
            run("--scenario=Broken.NeverEnds", "--seeds=2",
                "--run_timeout=500ms"), 3, "--run_timeout", "500ms",
            "node1          beats")

    def test_not_deterministic(self):
        result = run("--scenario=Broken.Differs", "--seeds=1",
                     "--check_determinism")
        self.assert_failure(result, 6, "not deterministic", "The runs part at",
                            "has run")
        self.assertEqual(run("--scenario=Broken.Passes", "--seeds=3",
                             "--check_determinism").returncode, 0)

    def test_also_failures_have_to_be_the_same(self):
        self.assert_failure(
            run("--scenario=Broken.FailsDifferently", "--seeds=1",
                "--check_determinism"), 6, "not deterministic",
            "and fails: failure 1", "and fails: failure 2")
        self.assert_failure(
            run("--scenario=Broken.Violates", "--seeds=1",
                "--check_determinism"), 1, "two\tleaders")

    def test_hashes_that_cannot_be_written(self):
        self.assertEqual(
            run("--scenario=Broken.Passes", "--seeds=1",
                "--hashes=/dev/full").returncode, 2)

    def test_the_most_serious_failure_counts(self):
        several = "Broken.Expects,Broken.Waits,Broken.Checks,Broken.Violates"
        self.assertEqual(
            run("--scenario=" + several, "--seeds=5").returncode, 1)

    def test_a_failed_story_stops_unless_told(self):
        for more, failed in [((), 1), (("--keep_going",), 8)]:
            result = run("--scenario=Broken.Expects", "--seeds=10", "--jobs=1",
                         "--json", *more)
            summary = json.loads(result.stdout)
            self.assertEqual(summary["scenarios"]["Broken.Expects"]["failed"],
                             failed)
            self.assertEqual(summary["exit_code"], 4)

    def test_json(self):
        result = run("--scenario=Broken.Passes,Broken.Violates", "--seeds=4",
                     "--json", "--jobs=2")
        summary = json.loads(result.stdout)
        self.assertEqual(summary["result"], "violation")
        failure = summary["failures"][0]
        self.assertEqual(failure["scenario"], "Broken.Violates")
        self.assertEqual(failure["cause"], "two\tleaders\nin one epoch")
        self.assertGreaterEqual(summary["faults"]["kill"], 12)
        self.assertIn("node beats", summary["marks"])
        self.assertIn("event: beat", summary["marks"])

    def test_how_many_processes_makes_no_difference(self):
        with tempfile.TemporaryDirectory() as folder:
            texts = []
            for jobs in (0, 1, 4):
                path = pathlib.Path(folder) / str(jobs)
                run("--scenario=Broken.Passes", "--seeds=30",
                    "--jobs=%d" % jobs, "--hashes=%s" % path)
                texts.append(path.read_text())
        self.assertEqual(len(texts[0].splitlines()), 30)
        self.assertEqual(texts[0], texts[1])
        self.assertEqual(texts[0], texts[2])

    def test_a_crash_is_shown_as_well(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "run.html"
            run("--scenario=Broken.Checks", "--seeds=3", "--html=%s" % path)
            page = path.read_text()
        self.assertIn("as planned", page)
        self.assertIn('"verdict":"crash"', page)

    def test_fresh_seeds_until_it_is_interrupted(self):
        leader, follower = pty.openpty()
        with subprocess.Popen(
                [PROGRAM, "--scenario=Broken.Passes", "--minutes=5",
                 "--jobs=2"], text=True, stdout=subprocess.PIPE,
                stderr=follower) as process:
            os.close(follower)
            shown = b""
            while b"marks" not in shown:
                shown += os.read(leader, 1000)
            process.send_signal(signal.SIGINT)
            begun = time.monotonic()
            output = process.stdout.read()
            self.assertEqual(process.wait(), 0)
        os.close(leader)
        self.assertLess(time.monotonic() - begun, 30)
        self.assertRegex(shown.decode(), r"the first seed is \d+")
        self.assertRegex(shown.decode(), r"\r\d+ runs, [\d.]+/s, ")
        self.assertIn("1 passed, 0 failed", output)

    def test_wrong_command_lines(self):
        for arguments, text in [
                (["--scenario=Nothing"], "no scenario is called"),
                (["--nonsense"], "--help"),
                (["--scenario=all", "--seed=1", "--html=/nowhere/x.html"],
                 "name one scenario"),
                (["--seed=1", "--scenario=Broken.Passes",
                  "--html=/nowhere/x.html"], "cannot write /nowhere/x.html")]:
            with self.subTest(arguments):
                self.assert_failure(run(*arguments), 2, text)


if __name__ == "__main__":
    unittest.main()
