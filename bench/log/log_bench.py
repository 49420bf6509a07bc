"""`./dev bench log`: the replicated log beside etcd, ZooKeeper and the least
that this machine allows, all as separate processes on the loopback address.

Every round measures everything once, the systems in turn, so that a change of
the machine's mood meets all of them; the tables show medians over the rounds.
Before each step it waits for the machine to be quiet.
"""

import argparse
import contextlib
import fcntl
import json
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from bench.log import peer_systems
from bench.log import quorate
from bench.log import results
from bench.log import systems
from bench.log.results import BenchError, Cell

REPLICAS = (1, 3, 5)
SIZES = (128, 1024, 16 * 1024)
OUTSTANDING = (1, 64)
# What --quick leaves of them.
QUICK = ((3,), (1024,), (1, 64))
SYSTEMS = (quorate.Quorate, peer_systems.Etcd, peer_systems.ZooKeeper,
           systems.LevelDbFloor, systems.FileFloor)
PARTS = ("appends", "catch-up", "fail-over", "recovery")
# CPUs that others keep busy while a step may begin.
QUIET_LOAD = 0.5
QUIET_WINDOW_SECONDS = 0.5


def say(text):
    print(text, file=sys.stderr, flush=True)


def _cpu_ticks():
    """All ticks so far, and those in which a CPU had nothing to do at all."""
    with open("/proc/stat", encoding="ascii") as stat:
        ticks = [int(word) for word in stat.readline().split()[1:9]]
    return sum(ticks), ticks[3]


def _cpus():
    with open("/proc/stat", encoding="ascii") as stat:
        return sum(line.startswith("cpu") for line in stat) - 1


def busy_cpus(window=QUIET_WINDOW_SECONDS):
    """How many CPUs were at work, or waited for a disk, in that window.

    The load average would still show the step before.
    """
    total, idle = _cpu_ticks()
    time.sleep(window)
    new_total, new_idle = _cpu_ticks()
    passed = max(1, new_total - total)
    return _cpus() * (1 - (new_idle - idle) / passed)


def await_quiet(patience, load=busy_cpus, clock=time.monotonic):
    """Waits for a quiet machine, but not for ever; says whether it is."""
    deadline = clock() + patience
    while (busy := load()) >= QUIET_LOAD:
        if clock() >= deadline:
            say("  (not quiet: %.1f CPUs are busy with something else)" % busy)
            return False
    return True


class Driver:
    """Measures what the options ask for."""

    def __init__(self, options, tools, folder):
        self.options = options
        self.results = results.Results()
        self._tools = tools
        self._folder = folder
        self._noisy = 0
        self._steps = 0

    def run(self):
        chosen = [s for s in SYSTEMS if s.name in self.options.systems]
        for number in range(max(map(self._rounds_of, PARTS))):
            # Nobody always comes first.
            shift = number % len(chosen)
            order = chosen[shift:] + chosen[:shift]
            say("Round %d" % (number + 1))
            if number < self._rounds_of("appends"):
                for replicas in self.options.replicas:
                    for system in order:
                        self._appends(system, replicas)
            for part in PARTS[1:]:
                if number < self._rounds_of(part):
                    for system in order:
                        if system.events:
                            self._event(part, system)
        if self._noisy:
            self.results.notes.append(
                "%d of %d steps began while the machine was not quiet"
                % (self._noisy, self._steps))
        return self.results

    def _rounds_of(self, part):
        if part not in self.options.only:
            return 0
        # Peers take minutes to fill.
        if part in ("catch-up", "recovery"):
            return self.options.fill_rounds
        return self.options.rounds

    @contextlib.contextmanager
    def _system(self, kind, what):
        """A system in a folder of its own; a failure ends only this part."""
        folder = pathlib.Path(tempfile.mkdtemp(dir=self._folder,
                                               prefix=kind.name + "-"))
        system = kind(self._tools, folder)
        try:
            yield system
        except BenchError as error:
            text = "%s, %s: %s" % (results.TITLES[kind.name], what, error)
            say("  failed: " + text)
            self.results.failures.append(text)
        finally:
            system.stop()
            shutil.rmtree(folder, ignore_errors=True)

    def _begin_step(self):
        self._steps += 1
        if not await_quiet(self.options.patience):
            self._noisy += 1

    def _appends(self, kind, replicas):
        with self._system(kind, "%d replicas" % replicas) as system:
            system.start(replicas)
            for size in self.options.sizes:
                for outstanding in self.options.outstanding:
                    cell = Cell(replicas, size, outstanding)
                    self._begin_step()
                    result = system.measure(size, outstanding,
                                            self.options.seconds)
                    self.results.add(cell, kind.name, result)
                    say("  %-42s %-16s %10s /s  p99 %s us" % (
                        cell.title(), results.TITLES[kind.name],
                        results.number_text(result["appends_per_s"]),
                        results.number_text(result["p99_us"])))

    def _event(self, part, kind):
        with self._system(kind, part) as system:
            self._begin_step()
            if part == "fail-over":
                name = "fail-over ms, SIGKILL of the leader of 3"
                value = 1000 * system.fail_over()
            elif part == "catch-up":
                name = ("catch-up MiB/s of an empty replica, %d MiB"
                        % self.options.mib)
                value = system.catch_up(self.options.mib)
            else:
                name = ("recovery MiB/s at start, %d MiB"
                        % self.options.mib)
                value = system.recover(self.options.mib)
            self.results.add_event(name, kind.name, value)
            say("  %-42s %-16s %10s" % (
                name, results.TITLES[kind.name], results.number_text(value)))


@contextlib.contextmanager
def work_folder(base):
    """A folder for this run, removed after it; one run at a time."""
    base.mkdir(parents=True, exist_ok=True)
    with open(base / "lock", "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BenchError("another run uses %s" % base) from None
        # What a run that was killed has left.
        for left in base.glob("run-*"):
            shutil.rmtree(left, ignore_errors=True)
        folder = tempfile.mkdtemp(dir=base, prefix="run-")
        try:
            yield pathlib.Path(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _names(allowed):
    def parse(text):
        names = text.split(",")
        for name in names:
            if name not in allowed:
                raise argparse.ArgumentTypeError(
                    "%s is none of %s" % (name, ", ".join(allowed)))
        return tuple(names)
    return parse


def numbers(text):
    """The value of a flag: a tuple of positive numbers."""
    try:
        values = tuple(int(word) for word in text.split(","))
    except ValueError:
        values = ()
    if not values or min(values) < 1:
        raise argparse.ArgumentTypeError("numbers with commas between them")
    return values


def parse_arguments(argv):
    parser = argparse.ArgumentParser(
        prog="./dev bench log", allow_abbrev=False,
        description=__doc__.split(": ", maxsplit=1)[1].split("\n\n")[0])
    parser.add_argument("--binaries", type=pathlib.Path, required=True,
                        help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5, metavar="N",
                        help="how often to measure everything (5)")
    parser.add_argument("--fill-rounds", type=int, default=1, metavar="N",
                        help="how often for catch-up and recovery (1)")
    parser.add_argument("--seconds", type=float, default=3, metavar="S",
                        help="how long each step takes (3)")
    parser.add_argument("--replicas", type=numbers, metavar="N,..",
                        help="1,3,5")
    parser.add_argument("--sizes", type=numbers, metavar="BYTES,..",
                        help="128,1024,16384")
    parser.add_argument("--outstanding", type=numbers, metavar="N,..",
                        help="1,64")
    parser.add_argument("--systems", type=_names(results.SYSTEMS),
                        default=results.SYSTEMS, metavar="NAME,..",
                        help=",".join(results.SYSTEMS))
    parser.add_argument("--only", type=_names(PARTS), metavar="PART,..",
                        help=",".join(PARTS))
    parser.add_argument("--mib", type=int, default=1024, metavar="N",
                        help="how much to catch up and recover (1024)")
    parser.add_argument("--patience", type=float, default=60, metavar="S",
                        help="how long to wait for a quiet machine (60)")
    parser.add_argument("--quick", action="store_true",
                        help="3 replicas, 1 KiB, appends only")
    parser.add_argument("--json", action="store_true",
                        help="every single result instead of the tables")
    parser.add_argument("--folder", default=".cache/bench",
                        type=lambda text: pathlib.Path(text).resolve(),
                        help="where the logs are, on a real disk "
                        "(.cache/bench)")
    options = parser.parse_args(argv)
    replicas, sizes, outstanding = (
        QUICK if options.quick else (REPLICAS, SIZES, OUTSTANDING))
    options.replicas = options.replicas or replicas
    options.sizes = options.sizes or sizes
    options.outstanding = options.outstanding or outstanding
    options.only = options.only or (PARTS[:1] if options.quick else PARTS)
    if min(options.rounds, options.fill_rounds, options.mib) < 1 or (
            options.seconds <= 0):
        parser.error("rounds, seconds and MiB must be more than 0")
    return options


def tools_in(binaries):
    binaries = binaries.resolve()
    return systems.Tools(
        log_floor=binaries / "bench/floor/log_floor",
        etcd_load=binaries / "bench/log/peers/etcd_load",
        zookeeper_load=binaries / "bench/log/peers/zookeeper_load",
        mesos_log=binaries / "prod/mesos-log")


def about(options):
    """Where the numbers come from, in one line."""
    versions = []
    for package in ("etcd-server", "libzookeeper-java"):
        done = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Package} ${Version}", package],
            capture_output=True, text=True, check=False)
        versions.append(done.stdout or "no " + package)
    return "%s; %d CPUs, Linux %s; %d rounds of %g s" % (
        ", ".join(versions), _cpus(), platform.release(), options.rounds,
        options.seconds)


def measure(options, tools):
    with work_folder(options.folder) as folder:
        kept = Driver(options, tools, folder)
        kept.results.notes.append(about(options))
        try:
            return kept.run()
        except KeyboardInterrupt:
            # What there is by now is worth showing.
            kept.results.notes.append("interrupted: not all was measured")
            return kept.results


def _on_term(*_):
    raise KeyboardInterrupt


def main(argv):
    options = parse_arguments(argv)
    signal.signal(signal.SIGTERM, _on_term)
    try:
        measured = measure(options, tools_in(options.binaries))
    except BenchError as error:
        print("./dev: %s" % error, file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(measured.to_json(), indent=1))
    else:
        print(measured.table(), end="")
    return 1 if measured.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
