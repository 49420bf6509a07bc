"""A cluster whose programs are on hosts of their own (hosts.py): ZooKeeper,
masters and agents.

    cluster = Cluster(folder, masters=3, agents=2)   # masters elect
    cluster = Cluster(folder, masters=3, agents=2, zookeepers=3)
    cluster.up()
    cluster.await_leader().kill()
    cluster.down()

A machine loses its power with power_off(): nobody hears of it, and what was
not synced is kept, since the machine below does not lose its own.
"""
import collections
import contextlib
import http.client
import json
import re
import signal
import socket
import threading

from prod.e2e import hosts
from prod.e2e.harness import RUNFILES, await_true
from prod.local import processes

MASTER_PORT = 5050
AGENT_PORT = 5051
ZOOKEEPER_PORT = 2181
BINARIES = RUNFILES / "prod"
# Of ZooKeeper's sessions, masters' and agents'.
SESSION_SECONDS = 3
GRACE = 5

_ZOOKEEPER = """\
tickTime=300
initLimit=20
syncLimit=5
dataDir=%s
clientPort=%d
clientPortAddress=%s
maxClientCnxns=0
admin.enableServer=false
4lw.commands.whitelist=srvr
"""
_JARS = "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar"


def get(host, port, path, timeout=2.0):
    """(status, headers, body) of an answer, or None; follows no redirect."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def get_json(host, port, path, timeout=2.0):
    """The body of an answer with status 200, or None."""
    answer = get(host, port, path, timeout)
    if answer is None or answer[0] != 200:
        return None
    try:
        return json.loads(answer[2])
    except ValueError:
        return None


class Machine:
    """A host with one program on it."""

    def __init__(self, cluster, name, host=None):
        self.cluster = cluster
        self.name = name
        self.host = host or cluster.network.host(name)
        self.process = processes.Process(name, cluster.folder / name)
        # What is cut for it alone.
        self.dark = False

    def __repr__(self):
        return self.name

    @property
    def ip(self):
        """Where others reach it."""
        return self.gate.ip

    @property
    def gate(self):
        """What is cut to cut it off."""
        return getattr(self.host, "router", self.host)

    @property
    def folder(self):
        return self.process.folder

    def launch(self, argv):
        if self.dark:
            self.dark = False
            self.cluster.redraw()
        self.process.start(self.host.argv(argv))

    def running(self):
        return self.process.running()

    def signal(self, number):
        assert self.process.signal(number), self.name + " does not run"

    def pause(self):
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def await_end(self):
        await_true(self.name + " ends", lambda: not self.running())

    def kill(self):
        """Without a word; but the kernel closes its connections."""
        self.signal(signal.SIGKILL)
        self.await_end()

    def stop(self):
        self.signal(signal.SIGTERM)
        self.await_end()

    def power_off(self):
        """As kill, and the connections are left as they are."""
        self.dark = True
        self.cluster.redraw()
        self.kill()

    def log(self):
        try:
            return self.process.log.read_text(errors="replace")
        except OSError:
            return ""

    def await_log(self, pattern, seconds=60.0):
        await_true("%s logs '%s'" % (self.name, pattern),
                   lambda: re.search(pattern, self.log()), seconds)


class ZooKeeper(Machine):
    """One server of the ensemble."""

    def start(self):
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        servers = self.cluster.zookeepers
        (data / "myid").write_text("%d\n" % (servers.index(self) + 1))
        ensemble = "".join(
            "server.%d=%s:2888:3888\n" % (i + 1, server.ip)
            for i, server in enumerate(servers)) if len(servers) > 1 else ""
        config = self.folder / "zoo.cfg"
        config.write_text(
            _ZOOKEEPER % (data, ZOOKEEPER_PORT, self.ip) + ensemble)
        self.launch([
            "java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "-Dzookeeper.preAllocSize=1024",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", _JARS,
            "org.apache.zookeeper.server.quorum.QuorumPeerMain", config])

    def mode(self):
        """leader, follower, standalone; None while it does not serve."""
        try:
            with socket.create_connection((self.ip, ZOOKEEPER_PORT),
                                          timeout=2) as connection:
                connection.sendall(b"srvr")
                answer = b""
                while block := connection.recv(4096):
                    answer += block
        except OSError:
            return None
        mode = re.search(rb"Mode: (\w+)", answer)
        return mode.group(1).decode() if mode else None


class Master(Machine):
    """Restarted with start(); flags that are given to it stay."""

    def __init__(self, cluster, name, host=None, port=MASTER_PORT, **flags):
        """`port`: where others reach it."""
        super().__init__(cluster, name, host)
        self.port = port
        self.flags = flags

    @property
    def endpoint(self):
        return "%s:%d" % (self.ip, self.port)

    @property
    def replica(self):
        """The directory of its log."""
        return self.folder / "work/replicated_log"

    def start(self, **flags):
        """None takes a flag away."""
        self.flags.update(flags)
        given = {"ip": self.host.ip, "port": MASTER_PORT, "hostname": self.ip,
                 "work_dir": self.folder / "work",
                 "zk_session_timeout": "%dsecs" % SESSION_SECONDS,
                 **self._advertised(), **self.flags}
        self.launch([BINARIES / "mesos-master",
                     *("--%s=%s" % flag for flag in given.items()
                       if flag[1] is not None)])

    def _advertised(self):
        if self.host is self.gate:
            return {}
        return {"advertise_ip": self.ip, "advertise_port": self.port}

    def restart(self, **flags):
        if self.running():
            self.stop()
        self.start(**flags)

    def metrics(self):
        return get_json(self.ip, self.port, "/metrics/snapshot") or {}

    def leads(self):
        return self.metrics().get("master/elected") == 1

    def state(self):
        """/state, if it leads."""
        return get_json(self.ip, self.port, "/state", timeout=10)

    def told_leader(self):
        """host:port of the master that this one takes for the leader."""
        answer = get(self.ip, self.port, "/redirect", timeout=1)
        location = answer and answer[1].get("Location")
        return location.strip("/") if location else None

    def log_status(self):
        """What mesos-log status tells of its replica; None: no answer."""
        done = self.cluster.mesos_log("status", "--json",
                                      "--server=" + self.endpoint)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def member_id(self):
        status = self.log_status()
        return status and status["member_id"]

    def role(self):
        """Of its replica: leading, following, learner, ..."""
        status = self.log_status()
        return status and status["role"]

    def reigns(self):
        return [int(epoch) for epoch in
                re.findall(r"leading, in epoch (\d+)", self.log())]


class Agent(Machine):
    def __init__(self, cluster, name):
        super().__init__(cluster, name)
        self.port = AGENT_PORT

    def start(self, master=None):
        self.launch([
            BINARIES / "mesos-agent", "--ip=" + self.ip,
            "--port=%d" % self.port, "--hostname=" + self.ip,
            "--master=" + (master or self.cluster.url),
            "--zk_session_timeout=%dsecs" % SESSION_SECONDS,
            "--work_dir=%s" % (self.folder / "work"),
            "--runtime_dir=%s" % (self.folder / "run"),
            "--launcher_dir=%s" % BINARIES.resolve(),
            "--resources=cpus:4;mem:4096;disk:4096;ports:[31000-32000]"])

    def obeyed(self):
        return [int(epoch) for epoch in
                re.findall(r"registered as \S+ in epoch (\d+)", self.log())]


class Cluster:
    """See the top of the file."""

    def __init__(self, folder, masters=3, agents=2, zookeepers=0,
                 quorum=None, builtin=None, spares=0, behind_router=None):
        """`builtin`: masters elect by themselves, as they do without a
        ZooKeeper; with both they announce the leader there. `spares`: how many
        more masters agents are told of from the beginning. `behind_router`:
        the outer port of the first master, which is behind a router then.
        """
        self.folder = folder
        self.network = hosts.Network()
        self._cuts = []
        self.zookeepers = [ZooKeeper(self, "zk%d" % (i + 1))
                           for i in range(zookeepers)]
        self.builtin = builtin if builtin is not None else not zookeepers
        self._spares = [self.network.host("m%d" % (masters + i + 1))
                        for i in range(spares)]
        self.masters = []
        # Those that are switched off for good, and those of other clusters.
        self.retired = []
        self.strangers = []
        if behind_router:
            host = self.network.host_behind_nat(
                "m1", {behind_router: MASTER_PORT})
            self.masters.append(Master(self, "m1", host, behind_router))
        while len(self.masters) < masters:
            self._add_master(None)
        quorum = quorum or masters // 2 + 1
        for master in self.masters:
            master.flags.update(self.election_flags(), quorum=quorum)
        self.agents = [Agent(self, "a%d" % (i + 1)) for i in range(agents)]

    def add_master(self, **flags):
        """A new machine, with an empty disk; not started."""
        spare = self._spares.pop(0) if self._spares else None
        return self._add_master(spare, **flags)

    def _add_master(self, host, **flags):
        taken = {m.name for m in self.masters + self.retired
                 + self.strangers}
        name = next(name for name in map("m{}".format, range(1, 100))
                    if name not in taken)
        master = Master(self, name, host, **flags)
        self.masters.append(master)
        return master

    @property
    def zk_url(self):
        return "zk://%s/mesos" % ",".join(
            "%s:%d" % (server.ip, ZOOKEEPER_PORT)
            for server in self.zookeepers)

    @property
    def hosts_url(self):
        return ",".join(master.endpoint for master in self.masters)

    @property
    def url(self):
        """What agents take as --master."""
        if not self.builtin:
            return self.zk_url
        return ",".join([m.endpoint for m in self.masters]
                        + ["%s:%d" % (s.ip, MASTER_PORT)
                           for s in self._spares])

    def election_flags(self):
        """--zk and --masters as things are now."""
        return {"zk": self.zk_url if self.zookeepers else None,
                "masters": self.hosts_url if self.builtin else None}

    def machines(self):
        return [*self.zookeepers, *self.masters, *self.retired,
                *self.strangers, *self.agents]

    # The network: cuts stay until heal(), machines without power are out.

    def redraw(self):
        self.network.heal()
        for senders, receivers in self._cuts:
            self.network.cut_one_way(senders, receivers)
        for machine in self.machines():
            if machine.dark:
                self.network.isolate(machine.gate)

    def cut_one_way(self, senders, receivers):
        """Machines, or hosts.OPERATOR for the tests and their framework."""
        self._cuts.append((senders, receivers))
        self.redraw()

    def cut(self, some, others):
        self._cuts += [(some, others), (others, some)]
        self.redraw()

    def heal(self):
        self._cuts = []
        self.redraw()

    # Starting and looking.

    def up(self):
        for machine in self.machines():
            machine.start()
        if self.zookeepers:
            await_true("ZooKeeper serves",
                       lambda: all(z.mode() for z in self.zookeepers))
        self.await_leader()
        self.await_agents()

    def down(self):
        for machine in self.machines():
            machine.process.signal(signal.SIGCONT)
        processes.stop([m.process for m in self.agents], GRACE)
        roots = tuple("%s/work/" % a.folder for a in self.agents)
        executors = processes.handles_by_environment(
            lambda env: env.get("MESOS_DIRECTORY", "").startswith(roots))
        processes.stop_all(executors, GRACE)
        for handle in executors:
            handle.close()
        processes.stop([m.process for m in self.masters + self.retired
                        + self.strangers], GRACE)
        processes.stop([z.process for z in self.zookeepers], 0)
        self.network.heal()
        self.network.close()

    def leaders(self):
        """All masters that claim to lead."""
        return [m for m in self.masters if m.running() and m.leads()]

    def await_leader(self, other_than=None, seconds=60.0):
        """The only master that claims to lead."""
        found = []

        def one():
            found[:] = self.leaders()
            return len(found) == 1 and found[0] is not other_than

        try:
            await_true("one master leads", one, seconds)
        except AssertionError:
            raise AssertionError("not within %d s: one master leads, but %s"
                                 % (seconds, found)) from None
        return found[0]

    def told_leader(self):
        """host:port of the leader that most masters tell; None: nobody's."""
        told = collections.Counter(
            filter(None, (m.told_leader() for m in self.masters
                          if m.running())))
        return told.most_common(1)[0][0] if told else None

    def registered(self):
        """Agent ids by machine, of those that are connected to the leader."""
        for leader in self.leaders():
            state = leader.state()
            if state:
                ids = {s["hostname"]: s["id"] for s in state["slaves"]
                       if s["active"]}
                return {a.name: ids[a.ip] for a in self.agents
                        if a.ip in ids}
        return {}

    def await_agents(self, seconds=90.0):
        await_true("all agents are registered",
                   lambda: len(self.registered()) == len(self.agents), seconds)

    def zookeeper_leader(self):
        return next((z for z in self.zookeepers if z.running()
                     and z.mode() in ("leader", "standalone")), None)

    @contextlib.contextmanager
    def supervised(self):
        """Meanwhile masters that end are started again, as in practice."""
        ended = threading.Event()

        def watch():
            while not ended.wait(0.5):
                for master in self.masters:
                    if not master.running():
                        master.start()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    # The operator's tool.

    def mesos_log(self, *arguments):
        return hosts.OPERATOR.run([BINARIES / "mesos-log", *arguments])

    def change_members(self, *arguments):
        """mesos-log members ...; what it says."""
        done = self.mesos_log("members", "--server=" + self.hosts_url,
                              *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def members(self):
        """The masters that are members of the log, as the leader knows."""
        status = self.await_leader().log_status()
        ids = {m.member_id(): m for m in self.masters if m.running()}
        return [ids.get(member, member) for member in status["members"]]

    def print_logs(self, lines=40):
        for machine in self.machines():
            print("--- %s (%s)\n%s" % (machine.name, machine.ip,
                                       machine.process.log_tail(lines)))
