"""Replicated logs as separate processes on the loopback address.

Each is used the same way:

    system = Etcd(tools, folder)
    try:
        system.start(3)
        result = system.measure(size=1024, outstanding=64, seconds=3)
    finally:
        system.stop()

All that a system writes is below its folder. Its processes end with this one,
even if this one is killed.
"""

import dataclasses
import os
import pathlib
import signal
import subprocess
import time

from bench.log import results
from bench.log.results import BenchError
from prod.local import cluster
from prod.local import processes

HOST = "127.0.0.1"
START_SECONDS = 60
# How long a fill, a catch-up or a recovery may take.
LONG_SECONDS = 1800
GRACE = 5
POLL_SECONDS = 0.005
# In flight while a log is filled; not measured.
FILL_OUTSTANDING = 256
FILL_SIZE = 1024
MIB = 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Tools:
    """Where the programs are."""

    log_floor: pathlib.Path
    etcd_load: pathlib.Path
    zookeeper_load: pathlib.Path
    mesos_log: pathlib.Path


class Ports:
    """Free ports of this machine, below those of outgoing connections.

    Each is given only once, so that no system waits for another one's ports.
    """

    def __init__(self, first=21000, end=32000):
        self._left = iter(range(first, end))

    def take(self, count):
        ports = []
        for port in self._left:
            if len(ports) == count:
                break
            if cluster.port_is_free(port):
                ports.append(port)
        if len(ports) < count:
            raise BenchError("no free ports are left")
        return ports


PORTS = Ports()


# Given the pid of the process that starts it. By then the kernel has promised
# the signal: a parent that died before that is not the parent any more.
_UNLESS_ORPHAN = 'test "$PPID" = "$0" && exec "$@"'


def bound(argv):
    """argv for a process that ends with this one, which starts it."""
    return ["setpriv", "--pdeathsig", "KILL", "--", "sh", "-c", _UNLESS_ORPHAN,
            str(os.getpid()), *map(str, argv)]


def run(argv, seconds):
    """What the program writes to its standard output. Raises BenchError."""
    try:
        done = subprocess.run(
            bound(argv), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise BenchError("%s: no end after %d s" % (argv[0], seconds)) from None
    except OSError as error:
        raise BenchError("%s: %s" % (argv[0], error)) from None
    if done.returncode != 0:
        raise BenchError("%s: %s" % (
            pathlib.Path(argv[0]).name,
            (done.stderr or done.stdout).strip()[-500:]
            or "status %d" % done.returncode))
    return done.stdout


def await_true(what, condition, watched, seconds=START_SECONDS,
               poll=POLL_SECONDS):
    """Polls; gives up when a watched process ends. Raises BenchError."""
    deadline = time.monotonic() + seconds
    while not condition():
        for process in watched:
            if not process.running():
                raise BenchError("%s ended while waiting for %s:\n%s" % (
                    process.name, what, process.log_tail()))
        if time.monotonic() > deadline:
            raise BenchError("no sign of %s after %d s:\n%s" % (
                what, seconds, watched[0].log_tail() if watched else ""))
        time.sleep(poll)


def addresses(ports):
    return ",".join("%s:%d" % (HOST, port) for port in ports)


class System:
    """What they share. Replicas are told apart by index, from 0."""

    name = None
    # Some show more than throughput.
    events = True

    def __init__(self, tools, folder):
        self.tools = tools
        self.folder = pathlib.Path(folder).resolve()
        self.replicas = []
        self.ports = []

    def start(self, count):
        """Starts a new, empty log and waits until it can be used."""
        raise NotImplementedError

    def start_elected(self):
        """Starts three that elect a leader among them."""
        self.start(3)

    def measure(self, size, outstanding, seconds):
        """Appends for that long; the result as results.parse_result()."""
        raise NotImplementedError

    def leader(self):
        """The index of the replica that leads, or None."""
        raise NotImplementedError

    def ack_command(self, servers):
        """A program that appends and prints each acknowledgement's time."""
        raise NotImplementedError

    def catch_up(self, mib):
        """MiB/s at which an empty replica of three gets the others' records."""
        raise NotImplementedError

    def recover(self, mib):
        """MiB/s at which one replica with that much starts to serve."""
        raise NotImplementedError

    def stop(self):
        processes.stop(self.replicas, GRACE)
        self.replicas = []

    def _process(self, name):
        return processes.Process(name, self.folder / name)

    def fail_over(self, settle=1.0, after=1.0):
        """Seconds without acknowledgements after the leader is killed."""
        self.start_elected()
        await_true("a leader", lambda: self.leader() is not None, self.replicas)
        leader = self.leader()
        # The client talks to one that survives, if it has the choice.
        servers = self.ports[leader + 1:] + self.ports[:leader]
        client = self._process("client")
        try:
            client.start(bound(self.ack_command([*servers,
                                                 self.ports[leader]])))
            acks = lambda: results.parse_acks(client.log.read_text())
            await_true("acknowledgements", lambda: len(acks()) > 20, [client])
            time.sleep(settle)
            killed = time.monotonic()
            self.replicas[leader].signal(signal.SIGKILL)
            await_true(
                "acknowledgements after the leader's end",
                lambda: bool(acks()) and acks()[-1] > killed + after, [client],
                poll=0.1)
            return results.outage(acks(), killed)
        finally:
            client.stop(GRACE)


class Floor(System):
    """The least it can cost: see bench/floor/log_floor.cc."""

    events = False
    options = ()

    def start(self, count):
        self._count = count
        self._runs = 0

    def measure(self, size, outstanding, seconds):
        folder = self.folder / ("run%d" % self._runs)
        self._runs += 1
        folder.mkdir(parents=True)
        return results.parse_result(run(
            [self.tools.log_floor, "--folder=%s" % folder,
             "--replicas=%d" % self._count, "--size=%d" % size,
             "--outstanding=%d" % outstanding, "--seconds=%g" % seconds,
             *self.options], seconds + START_SECONDS))


class FileFloor(Floor):
    name = "floor-file"


class LevelDbFloor(Floor):
    name = "floor-leveldb"
    options = ("--leveldb",)
