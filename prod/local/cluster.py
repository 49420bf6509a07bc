"""A highly available cluster on this machine: masters, agents and, if asked
for, a real ZooKeeper, each a process of its own, all on the loopback address.

As a program, run from the repository's root as `python3 -m prod.local.cluster`,
it is `./dev up` and `./dev down`. As a library:

    cluster = LocalCluster(folder, binaries, Layout(masters=3, agents=2))
    cluster.up()
    leader = cluster.leader()
    cluster.masters[leader].signal(signal.SIGKILL)
    cluster.await_leader(30)
    cluster.down()

Everything it writes is in one folder; the data in it stays until `wipe`.
"""

import argparse
import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import shutil
import signal
import socket
import sys
import time
import urllib.error
import urllib.request

from prod.local import processes

HOST = "127.0.0.1"
BINARIES = ("mesos-master", "mesos-agent", "mesos-executor", "mesos-execute",
            "mesos-log")
# How long `down` waits after TERM.
GRACE = 5
# How long `up` waits for ZooKeeper, for a leader, and for the agents.
START_SECONDS = 60
POLL_SECONDS = 0.1

_ZOOKEEPER_JARS = (
    "/usr/share/java/zookeeper.jar",
    "/usr/share/java/slf4j-simple.jar",
)
_ZOOKEEPER_CONFIG = """\
tickTime=500
dataDir=%s/data
clientPort=%d
clientPortAddress=127.0.0.1
maxClientCnxns=0
admin.enableServer=false
4lw.commands.whitelist=srvr
"""


class ClusterError(Exception):
    """What went wrong, in words for the person who ran the command."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """How many of each, and where.

    Masters and agents alternate from base_port on, so that the first agent
    has the port 5051, where people expect it.
    """

    masters: int = 3
    agents: int = 2
    # Who elects the leader: a ZooKeeper, or else the masters themselves.
    zookeeper: bool = False
    base_port: int = 5050
    zk_port: int = 2181
    # Further flags for every master, every agent.
    master_flags: tuple = ()
    agent_flags: tuple = ()

    @property
    def quorum(self):
        return self.masters // 2 + 1

    @property
    def url(self):
        """What agents and frameworks take as --master."""
        if self.zookeeper:
            return "zk://%s:%d/mesos" % (HOST, self.zk_port)
        return ",".join("%s:%d" % (HOST, self.master_port(i))
                        for i in range(self.masters))

    def master_port(self, index):
        return self.base_port + 2 * index

    def agent_port(self, index):
        return self.base_port + 2 * index + 1


def say(text):
    print(text, flush=True)


def port_is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            return True
        except OSError:
            return False


def get_json(port, path):
    """The answer's body, or None: not there, not ready, or a redirect."""
    connection = "http://%s:%d%s" % (HOST, port, path)
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(connection, timeout=5) as answer:
            return json.load(answer)
    except (OSError, ValueError, urllib.error.HTTPError):
        return None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class LocalCluster:
    """See the top of the file. Processes are told apart by index, from 0."""

    def __init__(self, folder, binaries, layout, report=say):
        """`binaries` is a folder with all of BINARIES; they are copied."""
        self.folder = pathlib.Path(folder).resolve()
        self.layout = layout
        self._source = pathlib.Path(binaries) if binaries else None
        self._report = report
        self.bin = self.folder / "bin"
        self.zookeeper = self._process("zookeeper")
        self.masters = [
            self._process("master%d" % (i + 1)) for i in range(layout.masters)
        ]
        self.agents = [
            self._process("agent%d" % (i + 1)) for i in range(layout.agents)
        ]

    def _process(self, name):
        return processes.Process(name, self.folder / name)

    def processes(self):
        zookeeper = [self.zookeeper] if self.layout.zookeeper else []
        return [*zookeeper, *self.masters, *self.agents]

    # Starting.

    def up(self):
        """Starts what does not run and waits until the cluster is whole.

        Returns the index of the leading master. Raises ClusterError.
        """
        if not all(p.running() for p in self.processes()):
            self._copy_binaries()
            self._check_ports()
        if self.layout.zookeeper:
            self.start_zookeeper()
        for i in range(self.layout.masters):
            self.start_master(i)
        for i in range(self.layout.agents):
            self.start_agent(i)
        leader = self.await_leader()
        self.await_agents()
        for process in self.processes():
            if not process.running():
                raise ClusterError(
                    "%s has ended.%s" % (process.name, _log_of(process))
                )
        return leader

    def _copy_binaries(self):
        """A later build must not pull the programs from under the cluster."""
        self.bin.mkdir(parents=True, exist_ok=True)
        for name in BINARIES:
            new = self.bin / (name + ".new")
            shutil.copyfile(self._source / name, new)
            new.chmod(0o755)
            new.rename(self.bin / name)

    def _ports(self):
        layout = self.layout
        if layout.zookeeper:
            yield self.zookeeper, layout.zk_port, "--zk-port"
        for i, process in enumerate(self.masters):
            yield process, layout.master_port(i), "--base-port"
        for i, process in enumerate(self.agents):
            yield process, layout.agent_port(i), "--base-port"

    def _check_ports(self):
        for process, port, option in self._ports():
            if not process.running() and not port_is_free(port):
                raise ClusterError(
                    "port %d, for %s, is in use by another program.\n"
                    "Choose another one: ./dev up %s=PORT"
                    % (port, process.name, option)
                )

    def start_zookeeper(self):
        """Starts it, unless it runs, and waits until it serves."""
        process = self.zookeeper
        if not process.running():
            folder = process.folder
            (folder / "data").mkdir(parents=True, exist_ok=True)
            config = folder / "zoo.cfg"
            config.write_text(_ZOOKEEPER_CONFIG % (folder, self.layout.zk_port))
            process.start(
                [
                    "java",
                    "-Xmx128m",
                    "-XX:+UseSerialGC",
                    "-XX:TieredStopAtLevel=1",
                    "-Dzookeeper.preAllocSize=1024",
                    "-cp",
                    ":".join(_ZOOKEEPER_JARS),
                    "org.apache.zookeeper.server.ZooKeeperServerMain",
                    str(config),
                ]
            )
        self._await("ZooKeeper to serve", self._zookeeper_serves, [process], 1)
        self._report("  zookeeper  %s:%d" % (HOST, self.layout.zk_port))

    def _zookeeper_serves(self):
        # The port opens before the server answers requests.
        address = (HOST, self.layout.zk_port)
        try:
            with socket.create_connection(address, timeout=2) as connection:
                connection.sendall(b"srvr")
                answer = b""
                while block := connection.recv(4096):
                    answer += block
                return b"Mode:" in answer
        except OSError:
            return False

    def start_master(self, index):
        process, port = self.masters[index], self.layout.master_port(index)
        if not process.running():
            process.start(
                [
                    str(self.bin / "mesos-master"),
                    "--ip=" + HOST,
                    "--port=%d" % port,
                    "--hostname=" + HOST,
                    ("--zk=" if self.layout.zookeeper else "--masters=")
                    + self.layout.url,
                    "--quorum=%d" % self.layout.quorum,
                    "--work_dir=%s" % (process.folder / "work"),
                    *self.layout.master_flags,
                ]
            )
        self._report("  %s    http://%s:%d" % (process.name, HOST, port))

    def start_agent(self, index):
        process, port = self.agents[index], self.layout.agent_port(index)
        if not process.running():
            first = 31000 + 1000 * index
            process.start(
                [
                    str(self.bin / "mesos-agent"),
                    "--ip=" + HOST,
                    "--port=%d" % port,
                    "--hostname=" + HOST,
                    "--master=" + self.layout.url,
                    "--work_dir=%s" % (process.folder / "work"),
                    "--runtime_dir=%s" % (process.folder / "run"),
                    "--launcher_dir=%s" % self.bin,
                    "--resources=cpus:2;mem:1024;disk:4096;ports:[%d-%d]"
                    % (first, first + 999),
                    "--attributes=rack:r%d" % (index + 1),
                    *self.layout.agent_flags,
                ]
            )
        self._report("  %s     http://%s:%d" % (process.name, HOST, port))

    # Looking.

    def leader(self):
        """The index of the master that leads, or None."""
        for i in range(self.layout.masters):
            if self._leader_state(i) is not None:
                return i
        return None

    def _leader_state(self, index):
        """/state of that master if it leads: others redirect."""
        port = self.layout.master_port(index)
        state = get_json(port, "/state")
        if state and state.get("leader") == "master@%s:%d" % (HOST, port):
            return state
        return None

    def _registered_ports(self):
        leader = self.leader()
        state = None if leader is None else self._leader_state(leader)
        agents = state.get("slaves", []) if state else []
        return {int(a["port"]) for a in agents if a.get("active")}

    def await_leader(self, seconds=START_SECONDS):
        """The index of the leading master."""
        self._await(
            "a leading master",
            lambda: self.leader() is not None,
            self.masters,
            self.layout.quorum,
            seconds,
        )
        index = self.leader()
        self._report("  leader     %s" % self.masters[index].name)
        return index

    def await_agents(self, seconds=START_SECONDS):
        """Waits until all agents are registered with the leader."""
        ports = {self.layout.agent_port(i) for i in range(self.layout.agents)}
        self._await(
            "the agents to register",
            lambda: ports <= self._registered_ports(),
            self.agents,
            len(self.agents),
            seconds,
        )
        self._report("  registered %d agents" % len(ports))

    def _await(self, what, condition, watched, needed, seconds=START_SECONDS):
        """Polls until the condition holds.

        Gives up early when fewer than `needed` of the watched processes run.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            dead = [p for p in watched if not p.running()]
            if len(watched) - len(dead) < needed:
                raise ClusterError(
                    "%s ended while waiting for %s.%s"
                    % (dead[0].name, what, _log_of(dead[0]))
                )
            if time.monotonic() > deadline:
                raise ClusterError(
                    "no sign of %s after %d s.%s"
                    % (what, seconds, "".join(map(_log_of, watched)))
                )
            time.sleep(POLL_SECONDS)

    # Stopping.

    def executors(self):
        """Handles on the executors, and their tasks, of these agents.

        They outlive their agent by design. The environment that an agent
        gives them names its work directory.
        """
        roots = tuple(str(p.folder / "work") + "/" for p in self.agents)
        return processes.handles_by_environment(
            lambda env: env.get("MESOS_DIRECTORY", "").startswith(roots)
        )

    def down(self):
        """Stops the processes it started, and the agents' executors.

        Returns the names of what it stopped.
        """
        # In this order nobody complains of another's absence.
        stopped = processes.stop(self.agents, GRACE)
        executors = self.executors()
        processes.stop_all(executors, GRACE)
        for handle in executors:
            with handle:
                stopped.append("executor or task, pid %d" % handle.pid)
        stopped += processes.stop(self.masters, GRACE)
        stopped += processes.stop([self.zookeeper], GRACE)
        return stopped

    def wipe(self):
        """Removes everything it wrote. Only after `down`."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _log_of(process):
    return "\n\nThe end of %s:\n%s" % (process.log, process.log_tail())


# The commands.

_HOW_TO_TRY = """
The cluster is up. Try it:

  Run a command:
      {bin}/mesos-execute --master={url} \\
          --name=hello --command='echo hello; sleep 1'
  Read what it wrote, through whichever agent ran it:
      sandbox=$(ls -td {folder}/agent*/work/slaves/*/frameworks/*/executors/hello/runs/latest | head -1)
      curl -sf "http://{host}:[{agents}]/files/read?offset=0&path=$sandbox/stdout"
  See the cluster:
      curl -L http://{host}:{master}/state
  See the masters' replicated log:
      {bin}/mesos-log status --server={host}:{master}
  Kill the leader; another one takes over, and ./dev up starts it again:
      kill -9 $(cut -d' ' -f1 {leader_pid})

Logs are in {folder}/*/log. ./dev down stops it all.
"""


def _print_how_to_try(cluster, leader):
    layout = cluster.layout
    # A range with a step, as curl understands it: it asks each agent.
    agents = "%d-%d:2" % (
        layout.agent_port(0), layout.agent_port(layout.agents - 1))
    say(
        _HOW_TO_TRY.format(
            bin=os.path.relpath(cluster.bin),
            url=layout.url,
            host=HOST,
            agents=agents,
            master=layout.master_port(0),
            leader_pid=os.path.relpath(cluster.masters[leader].folder / "pid"),
            folder=cluster.folder,
        ).rstrip()
    )


# What the command line can choose; kept beside the data between runs.
_CHOICES = ("masters", "agents", "zookeeper", "base_port", "zk_port")


def _layout_file(folder):
    return folder / "layout.json"


def save_layout(folder, layout):
    choices = {name: getattr(layout, name) for name in _CHOICES}
    _layout_file(folder).write_text(json.dumps(choices) + "\n")


def saved_layout(folder):
    """The layout of the last `up` there, or None."""
    try:
        return Layout(**json.loads(_layout_file(folder).read_text()))
    except (OSError, ValueError, TypeError):
        return None


@contextlib.contextmanager
def _only_one(folder):
    """One `up` or `down` at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def chosen_layout(options):
    """The saved layout, changed by what the command line asks for."""
    saved = saved_layout(options.folder)
    changes = {
        name: getattr(options, name)
        for name in _CHOICES
        if getattr(options, name) is not None
    }
    chosen = dataclasses.replace(saved or Layout(), **changes)
    if chosen.masters < 1 or chosen.agents < 1:
        raise ClusterError("at least one master and one agent")
    if saved and saved != chosen:
        old = LocalCluster(options.folder, None, saved)
        if any(p.running() for p in old.processes()):
            raise ClusterError(
                "a cluster with other options is running: ./dev down first"
            )
    return chosen


def up(options):
    with _only_one(options.folder):
        layout = chosen_layout(options)
        save_layout(options.folder, layout)
        say("%s, %d masters with quorum %d, %d agents:" % (
            layout.url, layout.masters, layout.quorum, layout.agents))
        cluster = LocalCluster(options.folder, options.binaries, layout)
        if all(p.running() for p in cluster.processes()):
            say("It is running already.")
        _print_how_to_try(cluster, cluster.up())


def down(options):
    if not options.folder.exists():
        say("Nothing is running.")
        return
    with _only_one(options.folder):
        layout = saved_layout(options.folder)
        cluster = LocalCluster(options.folder, None, layout or Layout())
        stopped = cluster.down()
        for name in stopped:
            say("  stopped %s" % name)
        if not stopped:
            say("Nothing is running.")
        if options.wipe:
            cluster.wipe()
            say("  removed %s" % options.folder)
        elif stopped:
            say("The data stays in %s: ./dev down --wipe removes it."
                % os.path.relpath(options.folder))


def parse_arguments(argv):
    parser = argparse.ArgumentParser(prog="./dev", description=__doc__.split(
        "\n\n", maxsplit=1)[0], allow_abbrev=False)
    parser.add_argument("--folder", type=lambda p: pathlib.Path(p).resolve(),
                        required=True, help=argparse.SUPPRESS)
    parser.add_argument("--binaries", help=argparse.SUPPRESS)
    commands = parser.add_subparsers(required=True, metavar="up|down")
    start = commands.add_parser("up", help="start the cluster",
                                allow_abbrev=False)
    default = Layout()
    start.add_argument("--masters", type=int, metavar="N",
                       help="how many (%d)" % default.masters)
    start.add_argument("--agents", type=int, metavar="N",
                       help="how many (%d)" % default.agents)
    start.add_argument("--zookeeper", action=argparse.BooleanOptionalAction,
                       help="whether a ZooKeeper elects the leader, instead of "
                       "the masters themselves")
    start.add_argument("--base-port", type=int, metavar="PORT",
                       help="the first master's (%d); then agents and masters "
                       "alternate" % default.base_port)
    start.add_argument("--zk-port", type=int, metavar="PORT",
                       help="ZooKeeper's (%d)" % default.zk_port)
    start.set_defaults(run=up)
    stop = commands.add_parser("down", help="stop it", allow_abbrev=False)
    stop.add_argument("--wipe", action="store_true",
                      help="remove its data as well")
    stop.set_defaults(run=down)
    return parser.parse_args(argv)


def main(argv):
    options = parse_arguments(argv)
    # As any filter: `./dev up | head` ends quietly.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        options.run(options)
        return 0
    except ClusterError as error:
        print("./dev: %s" % error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\n./dev: interrupted; ./dev down stops what was started",
              file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
