"""The network of hosts itself: what is cut is cut, in that direction only."""
import socket
import subprocess
import unittest

from prod.e2e import hosts
from prod.e2e.harness import await_true
from prod.local import processes

PORT = 7000
# Answers each connection with its address as the server sees it, then with
# whatever it is sent.
ECHO = """
import socket, threading
server = socket.create_server(("", %d))
def serve(connection, peer):
    try:
        connection.sendall((peer[0] + "\\n").encode())
        while data := connection.recv(100):
            connection.sendall(data)
    except ConnectionError:
        pass
while True:
    threading.Thread(target=serve, args=server.accept(), daemon=True).start()
""" % PORT


def setUpModule():
    hosts.require()


class HostsTest(unittest.TestCase):
    def setUp(self):
        self.network = hosts.Network()
        self.addCleanup(self.network.close)
        self.addCleanup(self.network.heal)

    def echo_server(self, host):
        server = subprocess.Popen(host.argv(["python3", "-c", ECHO]))
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)

    def connect(self, ip, port=PORT):
        connection = socket.create_connection((ip, port), timeout=0.5)
        self.addCleanup(connection.close)
        return connection

    def answers(self, ip, port=PORT):
        try:
            return bool(self.connect(ip, port).recv(1))
        except OSError:
            return False

    def test_hosts_reach_each_other_until_they_are_cut(self):
        a, b = self.network.host("a"), self.network.host("b")
        self.echo_server(b)
        await_true("b answers", lambda: self.answers(b.ip))
        ask = ("import socket; print(socket.create_connection(('%s', %d), "
               "timeout=1).recv(20).decode())" % (b.ip, PORT))
        done = a.run(["python3", "-c", ask])
        self.assertEqual(done.stdout.strip(), a.ip, done.stderr)
        self.network.cut([a], [b])
        self.assertIn("timed out", a.run(["python3", "-c", ask]).stderr)
        self.assertTrue(self.answers(b.ip))
        self.network.isolate(b)
        self.assertFalse(self.answers(b.ip))
        self.network.heal()
        self.assertEqual(a.run(["python3", "-c", ask]).stdout.strip(), a.ip)

    def test_one_way(self):
        a = self.network.host("a")
        self.echo_server(a)
        await_true("a answers", lambda: self.answers(a.ip))
        connection = self.connect(a.ip)
        stream = connection.makefile("rb")
        self.assertEqual(stream.readline().decode().strip(),
                         hosts.OPERATOR_IP)
        # What a says does not arrive, and what it is told does: it answers
        # when it can again.
        self.network.cut_one_way([a], [hosts.OPERATOR])
        connection.sendall(b"x")
        with self.assertRaises(TimeoutError):
            connection.recv(1)
        self.network.heal()
        connection.settimeout(30)
        self.assertEqual(connection.recv(1), b"x")

    def test_nothing_outlives_the_test(self):
        script = ("from prod.e2e import hosts\nimport os, subprocess\n"
                  "hosts.require()\nhost = hosts.Network().host('a')\n"
                  "print(subprocess.Popen(host.argv(['sleep', '1000']),"
                  " start_new_session=True).pid, flush=True)\n"
                  "os.kill(os.getpid(), 9)\n")
        done = subprocess.run(["python3", "-c", script], text=True,
                              stdout=subprocess.PIPE, check=False)
        pid = int(done.stdout)
        await_true("it is ended", lambda: processes.start_time(pid) is None)

    def test_behind_a_router_only_what_is_forwarded_is_reached(self):
        inner = self.network.host_behind_nat("inner", {6000: PORT})
        a = self.network.host("a")
        self.echo_server(inner)
        self.echo_server(a)
        await_true("it answers",
                   lambda: self.answers(inner.router.ip, 6000))
        self.assertFalse(self.answers(inner.ip))
        self.assertFalse(self.answers(inner.router.ip))
        # It reaches others as its router, and itself by the way round.
        ask = ("import socket; print(socket.create_connection(('%s', %d), "
               "timeout=5).recv(20).decode())")
        await_true("a answers", lambda: self.answers(a.ip))
        self.assertEqual(inner.run(["python3", "-c", ask % (a.ip, PORT)])
                         .stdout.strip(), inner.router.ip)
        done = inner.run(["python3", "-c", ask % (inner.router.ip, 6000)])
        self.assertEqual(done.stdout.strip(), "192.168.1.1", done.stderr)


if __name__ == "__main__":
    unittest.main()
