"""A small network of hosts on this machine: network namespaces, joined by a
bridge whose connections can be cut.

    hosts.require()                  # in setUpModule: skips, or moves in
    network = hosts.Network()
    a, b = network.host("a"), network.host("b")
    a.run(["ping", "-c1", b.ip])     # a program on that host
    network.cut([a], [b])            # nothing passes between them
    network.cut_one_way([a], [b])    # what a sends to b is lost
    network.heal()

The process that calls require() moves into a namespace of its own and is one
more machine of the network, OPERATOR_IP. Nothing of this has a name in the
system, so nothing is left when the processes have ended, however they end.
"""

import ctypes
import functools
import itertools
import os
import signal
import socket
import subprocess
import sys
import unittest

OPERATOR_IP = "10.77.255.254"

_NEW_NETWORK = 0x40000000
_NEW_USER = 0x10000000
_LIBC = ctypes.CDLL(None, use_errno=True)
# Used once each: the kernel takes its time to remove what nobody needs.
_NUMBERS = itertools.count(1)
_janitor = None

# What is cut is a set of pairs, source and destination. The bridge sees what
# hosts send on its way in, and what this process sends on its way out.
_RULES = """
table bridge network {
  set lost { type ipv4_addr . ipv4_addr; }
  chain hosts {
    type filter hook prerouting priority 0;
    ip saddr . ip daddr @lost drop
  }
  chain operator {
    type filter hook output priority 0;
    ip saddr . ip daddr @lost drop
  }
}
"""


def _libc(function, *arguments):
    if function(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, "%s: %s" % (function.__name__,
                                         os.strerror(error)))


# Bazel's PATH has no folders of administrators' tools.
_PATH = os.environ.get("PATH", "/usr/bin") + ":/usr/sbin:/sbin"


def _tool(argv, commands=None):
    done = subprocess.run(argv, input=commands, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False,
                          env={**os.environ, "PATH": _PATH})
    if done.returncode != 0:
        raise OSError("%s: %s" % (" ".join(argv), done.stdout.strip()))
    return done.stdout


def _ip(*commands):
    _tool(["ip", "-batch", "-"], "\n".join(commands) + "\n")


def _nft(rules):
    _tool(["nft", "-f", "-"], rules)


def _move_in():
    """This process into a namespace of its own, as root of it."""
    uid, gid = os.getuid(), os.getgid()
    _libc(_LIBC.unshare, _NEW_NETWORK | (_NEW_USER if uid else 0))
    if uid:
        for name, text in (("setgroups", "deny"), ("uid_map", "0 %d 1" % uid),
                           ("gid_map", "0 %d 1" % gid)):
            with open("/proc/self/" + name, "w", encoding="ascii") as file:
                file.write(text)
    _ip("link set lo up",
        "link add bridge0 type bridge",
        "addr add %s/16 dev bridge0" % OPERATOR_IP,
        "link set bridge0 up")
    _nft(_RULES)
    global _janitor
    _janitor = _start_janitor()


def _start_janitor():
    """A process that survives this one and ends all that it leaves on hosts.

    It has to be given their namespaces: returns a socket for that. It holds
    them as long as this process lives, so that none of their numbers belongs
    to somebody else's namespace when it looks.
    """
    ours, giving = socket.socketpair()
    if os.fork() == 0:
        os.setsid()
        giving.close()
        null = os.open(os.devnull, os.O_RDWR)
        for standard in range(3):
            os.dup2(null, standard)
        namespaces = set()
        while True:
            _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
            if not descriptors:
                break
            namespaces.add(os.readlink("/proc/self/fd/%d" % descriptors[0]))
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink("/proc/%s/ns/net" % pid) in namespaces:
                    os.kill(int(pid), signal.SIGKILL)
            except OSError:
                pass
        os._exit(0)
    ours.close()
    return giving


@functools.lru_cache(maxsize=1)
def why_not():
    """Why there can be no such network here; None after it was begun."""
    try:
        _move_in()
        return None
    except OSError as error:
        return str(error)


def require():
    """Skips the tests of a module, and says so, where they cannot run.

    QUORATE_NETWORK_NAMESPACES=required makes that a failure. To be called
    before this process has threads.
    """
    reason = why_not()
    if reason is None:
        return
    message = "no network namespaces here (as root there are): " + reason
    if os.environ.get("QUORATE_NETWORK_NAMESPACES") == "required":
        raise AssertionError(message)
    print("SKIPPED: NOTHING WAS TESTED: " + message, file=sys.stderr)
    raise unittest.SkipTest(message)


def _new_namespace():
    """A descriptor that keeps a new network namespace in being."""
    mine = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _libc(_LIBC.unshare, _NEW_NETWORK)
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    finally:
        _libc(_LIBC.setns, mine, _NEW_NETWORK)
        os.close(mine)


def _run(argv, seconds):
    return subprocess.run(
        [str(word) for word in argv], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=seconds, check=False)


class Host:
    """A machine of the network."""

    def __init__(self, name, ip):
        self.name = name
        self.ip = ip
        self._namespace = _new_namespace()
        socket.send_fds(_janitor, [b"."], [self._namespace])

    def __repr__(self):
        return self.name

    @property
    def path(self):
        """Of its namespace, for programs that this process starts."""
        return "/proc/%d/fd/%d" % (os.getpid(), self._namespace)

    def argv(self, argv):
        """A command line that runs `argv` on this host, as the same pid."""
        return ["nsenter", "--net=" + self.path, "--", *map(str, argv)]

    def run(self, argv, seconds=120):
        """Runs it there to its end: a CompletedProcess, with text."""
        return _run(self.argv(argv), seconds)

    def close(self):
        os.close(self._namespace)


class Network:
    """All hosts, and what passes between them."""

    def __init__(self):
        self.hosts = {}

    def host(self, name):
        """Adds a machine, connected to all others."""
        number = next(_NUMBERS)
        host = Host(name, "10.77.%d.%d" % (number // 250, number % 250))
        self._plug(host, number)
        self.hosts[name] = host
        return host

    def host_behind_nat(self, name, forward):
        """Adds a machine that the others reach by the ports of its router.

        `forward` maps the router's ports to its own. Its ip is 192.168.1.2,
        which nobody else can reach; `router` is its way out, and what is cut.
        """
        router = self.host(name + "-router")
        host = Host(name, "192.168.1.2")
        _tool(router.argv(["ip", "-batch", "-"]),
              "link add inner type veth peer name eth0 netns %s\n"
              "addr add 192.168.1.1/24 dev inner\n"
              "link set inner up\n" % host.path)
        _tool(host.argv(["ip", "-batch", "-"]),
              "link set lo up\n"
              "addr add 192.168.1.2/24 dev eth0\n"
              "link set eth0 up\n"
              "route add default via 192.168.1.1\n")
        # Also for itself, when it asks for its own outer address.
        redirects = "\n".join(
            "ip daddr %s tcp dport %d dnat to 192.168.1.2:%d"
            % (router.ip, outer, inner) for outer, inner in forward.items())
        _tool(router.argv(["nft", "-f", "-"]), """
            table ip nat {
              chain in {
                type nat hook prerouting priority dstnat;
                %s
              }
              chain out {
                type nat hook postrouting priority srcnat;
                masquerade
              }
            }""" % redirects)
        _tool(router.argv(
            ["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]))
        host.router = router
        self.hosts[name] = host
        return host

    @staticmethod
    def _plug(host, number):
        _ip("link add port%d type veth peer name eth0 netns %s"
            % (number, host.path),
            "link set port%d master bridge0 up" % number)
        _tool(host.argv(["ip", "-batch", "-"]),
              "link set lo up\n"
              "addr add %s/16 dev eth0\n"
              "link set eth0 up\n" % host.ip)

    # What is lost on its way. The arguments are hosts, or whatever else has an
    # `ip`.

    def cut_one_way(self, senders, receivers):
        """From now on nothing of it arrives, and nobody is told."""
        pairs = ["%s . %s" % (a.ip, b.ip)
                 for a in senders for b in receivers if a is not b]
        if pairs:
            _nft("add element bridge network lost { %s }" % ", ".join(pairs))

    def cut(self, some, others):
        self.cut_one_way(some, others)
        self.cut_one_way(others, some)

    def isolate(self, host):
        """From all hosts, and from this process."""
        self.cut([host], [OPERATOR, *(other for other in self.hosts.values()
                                      if other is not host)])

    def heal(self):
        _nft("flush set bridge network lost")

    def close(self):
        for host in self.hosts.values():
            host.close()


class _Operator:
    """This process, as a host."""

    name = "operator"
    ip = OPERATOR_IP

    @staticmethod
    def run(argv, seconds=120):
        return _run(argv, seconds)


OPERATOR = _Operator()
