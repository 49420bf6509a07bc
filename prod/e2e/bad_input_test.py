"""Bad input at the ports of real processes: the status codes that existing
clients know, and no process dies of it."""
import os
import random
import socket
import tempfile
import unittest

from prod.e2e.harness import HOST, RUNFILES, free_base_port
from prod.local import cluster as local

SCHEDULER = "/api/v1/scheduler"
EXECUTOR = "/api/v1/executor"
JSON = {"Content-Type": "application/json"}


def exchange(port, data, timeout=30):
    """What comes back for these bytes, until the end or an idle second."""
    answer = b""
    with socket.create_connection((HOST, port), timeout=timeout) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while block := connection.recv(65536):
                answer += block
        except (ConnectionResetError, BrokenPipeError):
            pass
    return answer


def post(port, path, body, headers=()):
    head = ["POST %s HTTP/1.1" % path, "Host: x",
            "Content-Length: %d" % len(body)]
    head += ["%s: %s" % h for h in dict(headers).items()]
    answer = exchange(port, "\r\n".join(head).encode() + b"\r\n\r\n" + body)
    if not answer:
        return None, b""
    return int(answer.split()[1]), answer.partition(b"\r\n\r\n")[2]


class BadInputTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
        base = free_base_port(8)
        cls.cluster = local.LocalCluster(
            folder, RUNFILES / "prod",
            local.Layout(masters=1, agents=1, base_port=base,
                         zk_port=base + 7))
        # After the end: that is when leaks are told.
        cls.addClassCleanup(cls.check_logs)
        cls.addClassCleanup(cls.cluster.down)
        cls.cluster.up()
        cls.master = cls.cluster.layout.master_port(0)
        cls.agent = cls.cluster.layout.agent_port(0)
        cls.pids = cls.current_pids()

    @classmethod
    def check_logs(cls):
        """No sanitizer, if the programs have one, found anything."""
        for process in cls.cluster.processes():
            text = process.log.read_text(errors="replace")
            at = text.find("Sanitizer")
            assert at < 0, process.name + ": " + text[max(0, at - 500):at + 3000]

    @classmethod
    def current_pids(cls):
        return [p.pid() for p in cls.cluster.processes()]

    def tearDown(self):
        self.assertEqual(self.current_pids(), self.pids, "a process died")

    def test_refusals_of_the_scheduler_api(self):
        subscribe = b'{"type":"SUBSCRIBE","subscribe":{"framework_info":%s}}'
        info = b'{"user":"u","name":"n"}'
        unknown = b'{"type":"REVIVE","framework_id":{"value":"nobody"}}'
        cases = [
            ("malformed JSON", b"{bad", JSON, 400, b"syntax error at line 1"),
            ("empty body", b"", JSON, 400, b"Failed to parse body into JSON"),
            ("not an object", b"[1]", JSON, 400, b"Expecting a JSON object"),
            ("no content type", unknown, {}, 400,
             b"Expecting 'Content-Type' to be present"),
            ("wrong content type", unknown, {"Content-Type": "text/plain"},
             415, b"Expecting 'Content-Type' of"),
            ("bad protobuf", b"\xff\xff\xff",
             {"Content-Type": "application/x-protobuf"}, 400,
             b"Failed to parse body into Call protobuf"),
            ("no type", b"{}", JSON, 400, b"Expecting 'type' to be present"),
            ("unknown type", b'{"type":"DANCE"}', JSON, 400,
             b"Expecting 'type' to be present"),
            ("no subscribe", b'{"type":"SUBSCRIBE"}', JSON, 400,
             b"Expecting 'subscribe' to be present"),
            ("no user", subscribe % b'{"name":"n"}', JSON, 400,
             b"subscribe.framework_info.user"),
            ("stream id on subscribe", subscribe % info,
             {**JSON, "Mesos-Stream-Id": "x"}, 400,
             b"Subscribe calls should not include"),
            ("not acceptable", subscribe % info,
             {**JSON, "Accept": "text/html"}, 406, b"Expecting 'Accept'"),
            ("no framework id", b'{"type":"REVIVE"}', JSON, 400,
             b"Expecting 'framework_id' to be present"),
            ("unknown framework", unknown, JSON, 400,
             b"Framework cannot be found"),
            ("deep nesting", b'{"a":' * 100000, JSON, 400, b""),
        ]
        for name, body, headers, status, text in cases:
            with self.subTest(name):
                got, answer = post(self.master, SCHEDULER, body, headers)
                self.assertEqual(got, status, answer)
                self.assertIn(text, answer)

    def test_refusals_of_the_executor_api(self):
        for name, body, headers, status in [
                ("malformed JSON", b"{bad", JSON, 400),
                ("wrong content type", b"{}", {"Content-Type": "a/b"}, 415),
                ("unknown framework",
                 b'{"type":"SUBSCRIBE","subscribe":{},'
                 b'"executor_id":{"value":"e"},"framework_id":{"value":"f"}}',
                 JSON, 400)]:
            with self.subTest(name):
                got, answer = post(self.agent, EXECUTOR, body, headers)
                self.assertEqual(got, status, answer)

    def test_methods_and_paths(self):
        for port, request, status in [
                (self.master, b"GET /api/v1/scheduler HTTP/1.1", b"405"),
                (self.master, b"PUT /api/v1 HTTP/1.1", b"405"),
                (self.master, b"GET /nowhere HTTP/1.1", b"404"),
                (self.master, b"GET /%00 HTTP/1.1", b"400"),
                (self.master, b"GET /%zz HTTP/1.1", b"400"),
                (self.agent, b"GET /files/read HTTP/1.1", b"400"),
                (self.agent, b"GET /files/read?path=/etc/passwd HTTP/1.1",
                 b"404"),
                (self.agent,
                 b"GET /files/read?path=/slave/log/../../etc/passwd HTTP/1.1",
                 b"404")]:
            with self.subTest(request=request):
                answer = exchange(port, request + b"\r\nHost: x\r\n\r\n")
                self.assertEqual(answer.split()[1:2], [status], answer[:200])

    def test_oversized_messages(self):
        huge = 1 << 40
        for name, data, status in [
                ("announced body", b"POST /api/v1 HTTP/1.1\r\nHost: x\r\n"
                 b"Content-Length: %d\r\n\r\n" % huge, b"413"),
                ("request line", b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n\r\n",
                 b"414"),
                ("headers", b"GET / HTTP/1.1\r\nHost: x\r\nX: "
                 + b"a" * 100000 + b"\r\n\r\n", b"431"),
                ("many headers", b"GET / HTTP/1.1\r\nHost: x\r\n"
                 + b"X: y\r\n" * 1000 + b"\r\n", b"431"),
                ("chunk size", b"POST /api/v1 HTTP/1.1\r\nHost: x\r\n"
                 b"Transfer-Encoding: chunked\r\n\r\nffffffffffffff\r\n",
                 b"413")]:
            with self.subTest(name):
                answer = exchange(self.master, data)
                self.assertEqual(answer.split()[1:2], [status], answer[:200])

    def test_truncated_and_smuggled_messages(self):
        for name, data in [
                ("both lengths", b"POST /api/v1 HTTP/1.1\r\nHost: x\r\n"
                 b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
                ("two lengths", b"POST /api/v1 HTTP/1.1\r\nHost: x\r\n"
                 b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc"),
                ("space before colon",
                 b"GET /health HTTP/1.1\r\nHost : x\r\n\r\n"),
                ("folded header",
                 b"GET /health HTTP/1.1\r\nHost: x\r\n y\r\n\r\n")]:
            with self.subTest(name):
                answer = exchange(self.master, data)
                self.assertEqual(answer.split()[1:2], [b"400"], answer[:200])
        for data in [b"", b"G", b"GET / HTTP/1.1\r\nHost",
                     b"POST /api/v1 HTTP/1.1\r\nHost: x\r\n"
                     b"Content-Length: 100\r\n\r\nabc"]:
            exchange(self.master, data)

    def test_garbage_on_every_port(self):
        source = random.Random(1)
        for _ in range(200):
            data = source.randbytes(source.randrange(1, 3000))
            port = source.choice([self.master, self.agent])
            exchange(port, source.choice([b"", b"QRT/1\n", b"QRT/9\n"]) + data)

    def test_a_subscriber_that_never_reads_and_one_that_leaves(self):
        body = (b'{"type":"SUBSCRIBE","subscribe":{"framework_info":'
                b'{"user":"u","name":"n"}}}')
        request = (b"POST /api/v1/scheduler HTTP/1.1\r\nHost: x\r\n"
                   b"Content-Type: application/json\r\nContent-Length: %d\r\n"
                   b"\r\n" % len(body)) + body
        for _ in range(20):
            connection = socket.create_connection((HOST, self.master))
            connection.sendall(request)
            connection.close()
        self.assertEqual(post(self.master, "/api/v1",
                              b'{"type":"GET_HEALTH"}', JSON)[0], 200)
