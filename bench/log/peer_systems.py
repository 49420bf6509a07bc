"""etcd and ZooKeeper, from Debian's packages, with their default settings."""

import json
import re
import socket
import time
import urllib.request

from bench.log import results
from bench.log.systems import (
    FILL_OUTSTANDING,
    FILL_SIZE,
    HOST,
    LONG_SECONDS,
    MIB,
    PORTS,
    START_SECONDS,
    System,
    addresses,
    await_true,
    bound,
    run,
)

# Java and Go need a while to become fast.
WARM_UP_SECONDS = 1


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
