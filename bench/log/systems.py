"""Replicated logs as separate processes on the loopback address.

Each is used the same way:

    system = Etcd(Tools(folder_with_programs), folder)
    try:
        system.start(3)
        result = system.measure(size=1024, outstanding=64, seconds=3)
    finally:
        system.stop()

All that a system writes is below its folder. Its processes end with this one,
even if this one is killed.
"""

import dataclasses
import json
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

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
# Java and Go need a while to become fast.
WARM_UP_SECONDS = 1


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


def bound(argv):
    """argv for a process that ends with the one that starts it."""
    return ["setpriv", "--pdeathsig", "KILL", "--", *map(str, argv)]


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


class Peer(System):
    """One whose clients are programs of bench/log/peers."""

    def load(self):
        """The program."""
        raise NotImplementedError

    def _servers(self):
        leader = self.leader() or 0
        return addresses(self.ports[leader:] + self.ports[:leader])

    def measure(self, size, outstanding, seconds):
        return results.parse_result(run(
            [self.load(), "--servers=" + self._servers(), "--size=%d" % size,
             "--outstanding=%d" % outstanding, "--seconds=%g" % seconds],
            seconds + START_SECONDS))

    def warm_up(self):
        self.measure(1024, 64, WARM_UP_SECONDS)

    def fill(self, mib):
        run([self.load(), "--servers=" + self._servers(),
             "--size=%d" % FILL_SIZE, "--outstanding=%d" % FILL_OUTSTANDING,
             "--count=%d" % (mib * MIB // FILL_SIZE), "--patience=60"],
            LONG_SECONDS)

    def ack_command(self, servers):
        return [self.load(), "--servers=" + addresses(servers), "--acks",
                "--seconds=1000", "--patience=%g" % self.patience]


class ZooKeeper(Peer):
    """ZooKeeper of libzookeeper-java with its default settings."""

    name = "zookeeper"
    # Its client notices by itself that a server is gone.
    patience = 30.0
    _CONFIG = (
        "tickTime=2000\ninitLimit=%d\nsyncLimit=5\ndataDir=%s\n"
        "clientPort=%d\nclientPortAddress=127.0.0.1\n"
        "admin.enableServer=false\n4lw.commands.whitelist=srvr\n")

    def load(self):
        return self.tools.zookeeper_load

    def start(self, count, running=None, init_limit=10):
        self._prepare(count, init_limit)
        for index in range(count if running is None else running):
            self._launch(index)
        self._await_serving()
        self.warm_up()

    def _prepare(self, count, init_limit):
        ports = PORTS.take(3 * count)
        self.ports = ports[:count]
        # What one server of several needs to know of the others.
        ensemble = "".join(
            "server.%d=%s:%d:%d\n" % (i + 1, HOST, ports[count + 2 * i],
                                      ports[count + 2 * i + 1])
            for i in range(count)) if count > 1 else ""
        for i, port in enumerate(self.ports):
            data = self.folder / ("replica%d" % i) / "data"
            data.mkdir(parents=True)
            (data / "myid").write_text("%d\n" % (i + 1))
            (data.parent / "zoo.cfg").write_text(
                self._CONFIG % (init_limit, data, port) + ensemble)

    def _launch(self, index):
        process = self._process("replica%d" % index)
        process.start(bound([
            "java", "-Xmx3g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-cp",
            "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar",
            "org.apache.zookeeper.server.quorum.QuorumPeerMain",
            process.folder / "zoo.cfg"]))
        self.replicas.append(process)

    def _mode(self, index):
        try:
            with socket.create_connection((HOST, self.ports[index]),
                                          timeout=2) as connection:
                connection.sendall(b"srvr")
                answer = b""
                while block := connection.recv(4096):
                    answer += block
        except OSError:
            return None
        mode = re.search(rb"Mode: (\w+)", answer)
        return mode.group(1).decode() if mode else None

    def _await_serving(self, seconds=START_SECONDS):
        started = range(len(self.replicas))
        await_true("ZooKeeper to serve",
                   lambda: all(self._mode(i) for i in started), self.replicas,
                   seconds)

    def leader(self):
        for index in range(len(self.replicas)):
            if self._mode(index) in ("leader", "standalone"):
                return index
        return None

    def catch_up(self, mib):
        self.start(3, running=2, init_limit=600)
        self.fill(mib)
        start = time.monotonic()
        self._launch(2)
        self._await_serving(LONG_SECONDS)
        return mib / (time.monotonic() - start)

    def recover(self, mib):
        self.start(1)
        self.fill(mib)
        self.stop()
        start = time.monotonic()
        self._launch(0)
        self._await_serving(LONG_SECONDS)
        return mib / (time.monotonic() - start)


class Etcd(Peer):
    """etcd of etcd-server with its default settings."""

    name = "etcd"
    # It keeps what it sent to a dead leader for seconds: rather ask again.
    patience = 0.2

    def load(self):
        return self.tools.etcd_load

    def start(self, count):
        self.ports = PORTS.take(count)
        self._peers = PORTS.take(count)
        for index in range(count):
            self._launch(index, range(count), "new")
        self._await_serving(range(count))
        self.warm_up()

    def _launch(self, index, members, state):
        process = self._process("replica%d" % index)
        urls = ["http://%s:%d" % (HOST, port) for port in self._peers]
        client = "http://%s:%d" % (HOST, self.ports[index])
        process.start(bound([
            "etcd", "--name=r%d" % index,
            "--data-dir=%s" % (process.folder / "data"),
            "--listen-client-urls=" + client,
            "--advertise-client-urls=" + client,
            "--listen-peer-urls=" + urls[index],
            "--initial-advertise-peer-urls=" + urls[index],
            "--initial-cluster=" + ",".join(
                "r%d=%s" % (i, urls[i]) for i in members),
            "--initial-cluster-state=" + state,
            # Room for what is filled in; a limit, no allocation.
            "--quota-backend-bytes=%d" % (8 << 30), "--log-level=error"]))
        self.replicas.append(process)

    def _ask(self, index, path, body):
        request = urllib.request.Request(
            "http://%s:%d%s" % (HOST, self.ports[index], path),
            json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return json.load(answer)
        except (OSError, ValueError):
            return None

    def _status(self, index):
        return self._ask(index, "/v3/maintenance/status", {}) or {}

    def _await_serving(self, indexes, seconds=START_SECONDS):
        await_true("etcd to serve",
                   lambda: all(self._status(i).get("leader", "0") != "0"
                               for i in indexes), self.replicas, seconds)

    def leader(self):
        for index in range(len(self.replicas)):
            status = self._status(index)
            member = status.get("header", {}).get("member_id")
            if member and member == status.get("leader"):
                return index
        return None

    def _applied(self, index):
        return int(self._status(index).get("raftAppliedIndex", 0))

    def catch_up(self, mib):
        self.start(2)
        self.fill(mib)
        goal = self._applied(self.leader() or 0)
        self.ports += PORTS.take(1)
        self._peers += PORTS.take(1)
        member = {"peerURLs": ["http://%s:%d" % (HOST, self._peers[2])]}
        # It refuses members until it is sure of those that it has.
        await_true("etcd to accept another member",
                   lambda: self._ask(0, "/v3/cluster/member/add", member),
                   self.replicas, poll=0.5)
        start = time.monotonic()
        self._launch(2, range(3), "existing")
        await_true("the new member to catch up",
                   lambda: self._applied(2) >= goal, self.replicas,
                   LONG_SECONDS)
        return mib / (time.monotonic() - start)

    def recover(self, mib):
        self.start(1)
        self.fill(mib)
        self.stop()
        start = time.monotonic()
        self._launch(0, [0], "new")
        self._await_serving([0], LONG_SECONDS)
        return mib / (time.monotonic() - start)


class Quorate(System):
    """mesos-log: one process appends, the others are replicas."""

    name = results.OURS
    # A replica that caught up writes less than this in a second.
    _IDLE_BYTES = MIB

    def start(self, count):
        # Each measurement has replicas of its own.
        self._count = count

    def start_elected(self):
        self.ports = PORTS.take(3)
        for index in range(3):
            self._launch(index, election=True)
        await_true("a leader", lambda: self.leader() is not None, self.replicas)

    def _flags(self, index):
        others = self.ports[:index] + self.ports[index + 1:]
        return [
            "--path=%s" % (self.folder / ("replica%d" % index) / "data"),
            "--quorum=%d" % (len(self.ports) // 2 + 1),
            "--listen=%s:%d" % (HOST, self.ports[index]),
            "--peers=" + addresses(others),
        ]

    def _launch(self, index, election):
        process = self._process("replica%d" % index)
        (process.folder / "data").mkdir(parents=True, exist_ok=True)
        # A replica that is started again says anew that it listens.
        process.log.unlink(missing_ok=True)
        process.start(bound([
            self.tools.mesos_log, "replica", *self._flags(index),
            *(["--election"] if election else [])]))
        self.replicas.append(process)
        await_true("a replica to listen",
                   lambda: "listening on" in self._said(process), [process],
                   LONG_SECONDS)

    @staticmethod
    def _said(process):
        try:
            return process.log.read_text(errors="replace")
        except OSError:
            return ""

    def leader(self):
        """The last that said so: "leading" or "following", on a line."""
        for index, process in enumerate(self.replicas):
            said = re.findall(r"^(leading|following)\b", self._said(process),
                              re.MULTILINE)
            if said and said[-1] == "leading" and process.running():
                return index
        return None

    def measure(self, size, outstanding, seconds):
        self.ports = PORTS.take(self._count)
        try:
            return self.append(size, outstanding, seconds)
        finally:
            self.stop()
            for data in self.folder.glob("replica*/data"):
                shutil.rmtree(data)

    def append(self, size, outstanding, seconds, absent=()):
        """Appends from replica 0; the others run and do not stand."""
        for index in range(1, len(self.ports)):
            if index not in absent:
                self._launch(index, election=False)
        (self.folder / "replica0" / "data").mkdir(parents=True, exist_ok=True)
        return results.parse_result(run(
            [self.tools.mesos_log, "benchmark", *self._flags(0),
             "--size=%d" % size, "--outstanding=%d" % outstanding,
             "--seconds=%g" % seconds, "--json"], seconds + START_SECONDS))

    def ack_command(self, servers):
        return [self.tools.mesos_log, "append-loop",
                "--servers=" + addresses(servers)]

    def fill(self, mib, lost=()):
        """Appends about that much and stops; the MiB that there are.

        All replicas form the log; then the lost ones end, with their disks.
        """
        rate = self.append(FILL_SIZE, FILL_OUTSTANDING, 1)
        self.stop()
        for index in lost:
            shutil.rmtree(self.folder / ("replica%d" % index) / "data")
        count = rate["count"]
        left = mib * MIB / FILL_SIZE - count
        if left > 0:
            seconds = max(left / rate["appends_per_s"], 0.1)
            count += self.append(FILL_SIZE, FILL_OUTSTANDING, seconds,
                                 lost)["count"]
            self.stop()
        return count * FILL_SIZE / MIB

    def catch_up(self, mib):
        self.ports = PORTS.take(3)
        filled = self.fill(mib, lost=[2])
        for index in (0, 1):
            self._launch(index, election=True)
        await_true("a leader", lambda: self.leader() is not None, self.replicas)
        start = time.monotonic()
        self._launch(2, election=True)
        return filled / (self._quiet_since(self.replicas[2],
                                           filled * MIB) - start)

    def _quiet_since(self, process, least):
        """When it had written at least that much and then hardly more."""
        written, since = 0, time.monotonic()

        def quiet():
            nonlocal written, since
            now, total = time.monotonic(), bytes_written(process.pid())
            if total - written > self._IDLE_BYTES or total < least:
                written, since = total, now
            return now - since > 1

        await_true("the empty replica to catch up", quiet, self.replicas,
                   LONG_SECONDS)
        return since

    def recover(self, mib):
        self.ports = PORTS.take(1)
        filled = self.fill(mib)
        start = time.monotonic()
        self._launch(0, election=True)
        await_true("the replica to lead", lambda: self.leader() is not None,
                   self.replicas, LONG_SECONDS)
        return filled / (time.monotonic() - start)


def bytes_written(pid):
    """What the process has written, to files and connections; 0 if gone."""
    try:
        text = pathlib.Path("/proc/%d/io" % pid).read_text()
    except (OSError, TypeError):
        return 0
    return int(re.search(r"wchar: (\d+)", text).group(1))


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


ALL = (Quorate, Etcd, ZooKeeper, LevelDbFloor, FileFloor)
