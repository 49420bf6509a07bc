#!/usr/bin/env python3
"""Runs the same seeds in several builds of the scenarios, and compares.

usage: compare.py [--seeds=N] [--scenario=X] [--first_seed=N] NAME=PROGRAM...

Runs are the same when their trace hashes are. Where two differ, both are run
again with all events, and the first that differs is printed, with what came
before and after in both.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile


def run(program, *arguments):
    """Failing scenarios are compared as well: any exit code is good."""
    return subprocess.run([program, *arguments], check=False,
                          stdout=subprocess.DEVNULL)


def hashes_of(program, folder, arguments):
    """(scenario, seed) -> hash and number of events."""
    path = folder / "hashes"
    path.unlink(missing_ok=True)
    run(program, "--keep_going", "--hashes=%s" % path, *arguments)
    hashes = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        scenario, seed, trace, events = line.split("\t")
        hashes[scenario, int(seed)] = trace, int(events)
    return hashes


def explain(folder, builds, scenario, seed):
    """The first event that differs between two builds, in words."""
    files = []
    for name, program in builds:
        path = folder / name
        run(program, "--scenario=" + scenario, "--seed=%d" % seed,
            "--events=%s" % path)
        files.append(str(path))
    return subprocess.run([builds[0][1], "--diff=" + ",".join(files)],
                          check=False, text=True, capture_output=True).stdout


def compare(builds, folder, arguments):
    """Prints what differs; true if nothing does."""
    reference = builds[0]
    expected = hashes_of(reference[1], folder, arguments)
    print("%s: %d runs" % (reference[0], len(expected)), flush=True)
    if not expected:
        return False
    agree = True
    for other in builds[1:]:
        found = hashes_of(other[1], folder, arguments)
        different = sorted(key for key in expected.keys() | found.keys()
                           if expected.get(key) != found.get(key))
        print("%s: %d runs, %d differ from %s" % (
            other[0], len(found), len(different), reference[0]), flush=True)
        agree = agree and not different
        told = set()
        for scenario, seed in different:
            if scenario in told:
                continue
            told.add(scenario)
            print("%s with seed %d differs: one is %s, the other %s\n%s" % (
                scenario, seed, reference[0], other[0],
                explain(folder, (reference, other), scenario, seed)))
    return agree


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first_seed", type=int, default=1)
    parser.add_argument("--scenario", default="all")
    parser.add_argument("builds", nargs="+", metavar="NAME=PROGRAM")
    options = parser.parse_args()
    builds = [tuple(build.split("=", 1)) for build in options.builds]
    with tempfile.TemporaryDirectory() as folder:
        agree = compare(builds, pathlib.Path(folder), [
            "--seeds=%d" % options.seeds,
            "--first_seed=%d" % options.first_seed,
            "--scenario=" + options.scenario])
    return 0 if agree else 6


if __name__ == "__main__":
    sys.exit(main())
