#!/usr/bin/env python3
"""What the benchmark's tests run in place of mesos-log.

It takes the same flags and prints the same lines. A lock on a file beside the
replicas' folders stands for the election.
"""

import argparse
import fcntl
import json
import pathlib
import signal
import sys
import time


def lock_file(options):
    # DIR/replicaN/data: what all replicas share is DIR.
    return open(options.path.parents[1] / "leader", "a", encoding="ascii")


def bytes_in(folder):
    return sum(f.stat().st_size for f in folder.glob("*") if f.is_file())


def replica(options):
    print("listening on " + options.listen, flush=True)
    copies = options.path.parents[1].glob("replica*/data")
    missing = max(map(bytes_in, copies)) - bytes_in(options.path)
    with open(options.path / "log", "ab") as log:
        log.write(b"x" * missing)
    if options.election:
        with lock_file(options) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            print("leading", flush=True)
            signal.pause()
    signal.pause()


def benchmark(options):
    time.sleep(options.seconds)
    count = int(1000 * options.seconds)
    with open(options.path / "log", "ab") as log:
        log.write(b"x" * (count * options.size))
    print(json.dumps({"appends_per_s": 1000, "p50_us": 900, "p99_us": 1500,
                      "p999_us": 2500, "count": count}))


def append_loop(options):
    # The folder with the replicas is where this one's own folder is.
    with open(pathlib.Path.cwd().parent / "leader", "a",
              encoding="ascii") as lock:
        while options.server:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                fcntl.flock(lock, fcntl.LOCK_UN)
            except BlockingIOError:
                print("%.6f" % time.monotonic(), flush=True)
            time.sleep(0.002)


def main(argv):
    command = {"replica": replica, "benchmark": benchmark,
               "append-loop": append_loop}[argv[0]]
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--path", type=pathlib.Path)
    for name in ("--quorum", "--outstanding", "--size"):
        parser.add_argument(name, type=int)
    for name in ("--listen", "--peers", "--server"):
        parser.add_argument(name)
    for name in ("--election", "--json"):
        parser.add_argument(name, action="store_true")
    parser.add_argument("--seconds", type=float)
    command(parser.parse_args(argv[1:]))


if __name__ == "__main__":
    main(sys.argv[1:])
