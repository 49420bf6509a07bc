#!/usr/bin/env python3
"""Runs a corpus of seeds, and tells which error paths none has executed.

usage: coverage.py [--seeds=N] [--report=FILE] SCENARIOS [TEST...]

SCENARIOS and the TESTs are built with --config=coverage. What is judged is code
that was never run, and a question for an error (`ok()`, absl::Is...) that had
the same answer each time. scenarios/unexecuted.txt excuses what nothing can
reach, with a reason; anything else fails the run. Run from the repository's
root.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

EXCUSED = pathlib.Path("scenarios/unexecuted.txt")
# Not what headers hold: it is compiled into those that use it, which have no
# counters.
JUDGED = re.compile(r"core/(log|registry)/\w+\.cc$|core/agent/"
                    r"(checkpoint|records|recover|recovery|status_updates|store"
                    r"|updates)\.cc$")
NOT_JUDGED = re.compile(r"_test\.cc$")
# Planted bugs, which `./dev sim --mutations` runs, and what a check would say.
NOT_FOR_SEEDS = re.compile(r"\bPlanted\(|\bplanted_|^CHECK\w*\(|^VLOG\(")
ASKS_FOR_ERROR = re.compile(r"\bok\(\)|\babsl::Is[A-Z]\w*\(")
# What Bazel calls the place where it compiles.
_SANDBOX = "/proc/self/cwd/"
SWARM_CHUNK = 25
# What each kind of llvm-cov's regions is.
CODE = 0

Span = collections.namedtuple("Span", "line column end_line end_column")


class Finding(collections.namedtuple("Finding", "path line what function text")):
    """Something that was never executed: at a line of a function."""

    def key(self):
        return self.path, self.function, self.text

    def __str__(self):
        return "%s:%d: %s: %s" % (self.path, self.line, self.what, self.text)


# --- The corpus --------------------------------------------------------------


def jobs_of(program, tests, seeds):
    """Command lines. The swarm reaches most: it has all the seeds."""
    program = [str(program), "--jobs=0"]
    names = subprocess.run(
        [*program, "--list"], check=True, text=True, stdout=subprocess.PIPE,
        env=dict(os.environ, LLVM_PROFILE_FILE=os.devnull)).stdout.split()
    for first in range(1, seeds + 1, SWARM_CHUNK):
        for name in names:
            if name.startswith("Swarm."):
                yield [*program, "--scenario=" + name,
                       "--first_seed=%d" % first, "--shrink_seconds=0",
                       "--seeds=%d" % min(SWARM_CHUNK, seeds + 1 - first)]
    yield [*program, "--seeds_file=scenarios/seeds.txt"]
    for name in names:
        if not name.startswith("Swarm."):
            yield [*program, "--scenario=" + name,
                   "--seeds=%d" % max(1, seeds // 10)]
            yield [*program, "--scenario=" + name, "--seeds=1",
                   "--extra_fault=each", "--extra_fault_steps=2"]
    for test in tests:
        target = re.fullmatch(r".*/fuzz/(\w+)_corpus_test", test)
        yield [test, "fuzz/corpus/" + target.group(1)] if target else [test]


def run(job, folder, number):
    """Its output if it failed, or None."""
    program = pathlib.Path(job[0]).resolve()
    # Tests look for their data where Bazel puts it.
    runfiles = pathlib.Path("%s.runfiles/quorate" % program)
    is_test = program.name != "scenarios"
    profile = folder / ("%d.profraw" % number)
    scratch = folder / ("%d.tmp" % number)
    scratch.mkdir()
    done = subprocess.run(
        [program, *job[1:]], check=False, text=True,
        cwd=runfiles if is_test else None,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=dict(os.environ, LLVM_PROFILE_FILE=str(profile),
                 TEST_TMPDIR=str(scratch)))
    return None if done.returncode == 0 else done.stdout


def run_all(jobs, folder):
    """Whether all passed; profiles go to the folder."""
    good = True
    done = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting = {pool.submit(run, job, folder, number): job
                   for number, job in enumerate(jobs)}
        for finished in concurrent.futures.as_completed(waiting):
            done += 1
            if done % 20 == 0 or done == len(waiting):
                print("%d of %d programs have run" % (done, len(waiting)),
                      file=sys.stderr, flush=True)
            output = finished.result()
            if output is not None:
                good = False
                print("FAILED: %s\n%s" % (" ".join(waiting[finished]),
                                          output[-3000:]), flush=True)
    return good


def export(programs, folder):
    """llvm-cov's view of all profiles in the folder."""
    profiles = folder / "profiles"
    merged = folder / "merged.profdata"
    profiles.write_text("".join(
        "%s\n" % path for path in sorted(folder.glob("*.profraw"))))
    subprocess.run(["llvm-profdata-19", "merge", "--sparse", "-o", merged,
                    "--input-files=%s" % profiles], check=True)
    objects = [word for program in programs[1:]
               for word in ("-object", str(program))]
    exported = subprocess.run(
        ["llvm-cov-19", "export", "--instr-profile=%s" % merged,
         str(programs[0]), *objects], check=True, stdout=subprocess.PIPE)
    return json.loads(exported.stdout)


# --- What was not executed ---------------------------------------------------


class Source:
    """A file, and in which function each line is."""

    _NAMES = re.compile(r"(?:class|struct)\s+(\w+)|([\w:~]+(?:<[^>]*>)?)\(")

    def __init__(self, text):
        self._lines = text.split("\n")

    def line(self, number):
        return self._lines[number - 1].strip()

    def text(self, span):
        lines = self._lines[span.line - 1:span.end_line]
        lines[-1] = lines[-1][:span.end_column - 1]
        lines[0] = lines[0][span.column - 1:]
        return " ".join(line.strip() for line in lines)

    def function(self, number):
        """The name before the last line that is not indented."""
        for line in reversed(self._lines[:number]):
            if re.match(r"[A-Za-z]", line) and not line.startswith("namespace"):
                name = self._NAMES.search(line)
                if name:
                    return name.group(1) or name.group(2)
        return "?"


def contains(outer, inner):
    return (outer != inner and
            (outer.line, outer.column) <= (inner.line, inner.column) and
            (outer.end_line, outer.end_column) >=
            (inner.end_line, inner.end_column))


def counts_of(exported):
    """path -> (span -> count of regions, span -> [true, false] of branches)."""
    counts = collections.defaultdict(
        lambda: (collections.Counter(),
                 collections.defaultdict(lambda: [0, 0])))
    for function in exported["data"][0]["functions"]:
        paths = [path.removeprefix(_SANDBOX) for path in function["filenames"]]
        for *span, count, file, _, kind in function["regions"]:
            if kind == CODE:
                # Each instantiation of a template has its own counts.
                counts[paths[file]][0][Span(*span)] += count
        for *span, yes, no, file, _, _ in function["branches"]:
            both = counts[paths[file]][1][Span(*span)]
            both[0] += yes
            both[1] += no
    return counts


def findings_of(path, source, regions, branches):
    """A finding for each line where something was not executed."""
    dead = sorted(span for span, count in regions.items() if count == 0)
    outermost = [span for span in dead
                 if not any(contains(other, span) for other in dead)]
    found = {}
    for span in outermost:
        found.setdefault(span.line, "never runs")
    for span, (yes, no) in sorted(branches.items()):
        if (yes == 0) == (no == 0):
            continue  # It was never asked, or both have happened.
        if not ASKS_FOR_ERROR.search(source.text(span)):
            continue
        # What would have followed is reported already.
        if any(span.line <= line <= span.end_line + 1 for line in found):
            continue
        found[span.line] = "never %s" % ("true" if yes == 0 else "false")
    return [Finding(path, line, what, source.function(line), source.line(line))
            for line, what in sorted(found.items())
            if not NOT_FOR_SEEDS.search(source.line(line))]


# --- What is excused ---------------------------------------------------------


def parse_excuses(text):
    """A list of keys, as often as they are excused. Raises ValueError."""
    excuses, function, reason = [], None, ""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("    "):
            if function is None:
                raise ValueError("%d: which function?" % number)
            excuses.append((*function, line.strip()))
            continue
        head = re.fullmatch(r"(\S+) (\S+?): (\S.*)", line)
        if not head:
            raise ValueError("%d: not 'FILE FUNCTION: WHY'" % number)
        *function, reason = head.groups()
        function = tuple(function)
    return excuses


def sort_out(findings, excuses):
    """(those that are not excused, excuses that nothing needs)"""
    left = collections.Counter(excuses)
    new = []
    for finding in findings:
        if left[finding.key()] > 0:
            left[finding.key()] -= 1
        else:
            new.append(finding)
    return new, sorted(left.elements())


# -----------------------------------------------------------------------------


def print_totals(counts, findings, new):
    print("%-34s %9s %9s %9s %9s" % ("", "regions", "executed", "excused",
                                     "not yet"))
    total = [0, 0, 0, 0]
    for path in sorted(counts):
        regions = counts[path][0].values()
        not_yet = sum(f.path == path for f in new)
        row = [len(regions), sum(c > 0 for c in regions),
               sum(f.path == path for f in findings) - not_yet, not_yet]
        total = [a + b for a, b in zip(total, row)]
        print("%-34s %9d %9d %9d %9d" % (path, *row))
    print("%-34s %9d %9d %9d %9d" % ("all", *total))


def judge(exported, report):
    """Prints what was not executed; whether all of it is excused."""
    counts = {path: both for path, both in counts_of(exported).items()
              if JUDGED.match(path) and not NOT_JUDGED.search(path)}
    findings = []
    for path, (regions, branches) in sorted(counts.items()):
        source = Source(pathlib.Path(path).read_text(encoding="utf-8"))
        findings += findings_of(path, source, regions, branches)
    if report:
        pathlib.Path(report).write_text(
            "".join("%s\n" % str(finding) for finding in findings),
            encoding="utf-8")
    new, unneeded = sort_out(
        findings, parse_excuses(EXCUSED.read_text(encoding="utf-8")))
    print_totals(counts, findings, new)
    for key in unneeded:
        print("executed, or gone, but still in %s: %s %s: %s" % (EXCUSED, *key))
    for finding in new:
        print(finding)
    print("%d error paths that no seed has executed, %d excused" % (
        len(new), len(findings) - len(new)))
    return bool(counts) and not new


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--report")
    parser.add_argument("scenarios")
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        jobs = list(jobs_of(options.scenarios, options.tests, options.seeds))
        passed = run_all(jobs, folder)
        exported = export([options.scenarios, *options.tests], folder)
    executed = judge(exported, options.report)
    return 0 if passed and executed else 1


if __name__ == "__main__":
    sys.exit(main())
