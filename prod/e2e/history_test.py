"""Histories of real processes, judged by the search for a linear order.

Three replicated sets run as processes; clients add words and read through
whoever leads, while leaders are killed and stopped. Each call is written down
with its times and its answer, and check_history has to find an order in which
the answers make sense. A read is a word as well: the entries before it are its
answer.
"""
import collections
import json
import os
import pathlib
import random
import signal
import subprocess
import tempfile
import threading
import time
import unittest

from prod.e2e.harness import HOST, RUNFILES, await_true, free_base_port

REPLICATED_SET = RUNFILES / "prod/examples/replicated_set"
CHECK_HISTORY = RUNFILES / "sim/check_history"
LINEARIZABLE, VIOLATION = 0, 1

CLIENTS = 4
KEYS = 4
PATIENCE_SECONDS = 2.0


class Call:
    """What a client asks: to add to a key's words, or to read them."""

    def __init__(self, client, key, word, reads):
        self.client = client
        self.key = key
        self.word = word  # a name that no other call has
        self.reads = reads
        self.begin = time.monotonic_ns()
        self.end = None
        self.result = None

    def line(self):
        value = {"client": self.client, "key": self.key,
                 "op": "get" if self.reads else "append", "begin": self.begin}
        if not self.reads:
            value["value"] = self.word + ","
        if self.end is not None:
            value.update(result=self.result, end=self.end)
        return json.dumps(value)


class Member:
    """One life of a process."""

    def __init__(self, flags, log):
        self.process = subprocess.Popen(
            [REPLICATED_SET, *flags], text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        self.epoch = None  # while it says that it leads
        self.said = log
        self.words = []  # in the order of the log
        self.pending = {}  # word -> Call
        self.changed = threading.Condition()
        self._threads = [threading.Thread(target=self._read_words),
                         threading.Thread(target=self._read_news)]
        for thread in self._threads:
            thread.start()

    def _read_words(self):
        for line in self.process.stdout:
            now = time.monotonic_ns()
            word = line.strip()
            with self.changed:
                call = self.pending.pop(word, None)
                if call is not None:
                    call.result = self._state(call.key) if call.reads else "ok"
                    call.end = now
                self.words.append(word)
                self.changed.notify_all()

    def _state(self, key):
        """The words of a key so far. A word is KEY-KIND-NUMBER."""
        return "".join(word + "," for word in self.words
                       if word.startswith(key + "-add-"))

    def _read_news(self):
        for line in self.process.stderr:
            self.said.append(line)
            if line.startswith("leading in epoch "):
                self.epoch = int(line.split()[-1])
            elif line.startswith("following: "):
                self.epoch = None

    def ask(self, call):
        """Waits for a while; the answer may come later, or never."""
        with self.changed:
            self.pending[call.word] = call
            try:
                self.process.stdin.write(call.word + "\n")
            except (OSError, ValueError):
                return  # It is dead, and its pipe perhaps closed.
            self.changed.wait_for(lambda: call.end is not None,
                                  PATIENCE_SECONDS)

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.epoch = None
        self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join()
        self.process.stdout.close()
        self.process.stderr.close()
        try:
            self.process.stdin.close()
        except OSError:
            pass  # a word that it did not read any more


class Group:
    """Three members, the clients, and all that these asked."""

    def __init__(self, folder):
        base = free_base_port(3)
        self._folder = pathlib.Path(folder)
        self._addresses = ["%s:%d" % (HOST, base + i) for i in range(3)]
        self.logs = [[] for _ in range(3)]
        self.members = [self._new(i) for i in range(3)]
        self.stopped = set()
        self.calls = []
        self.retired_words = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._clients = [threading.Thread(target=self._run_client, args=(i,))
                         for i in range(CLIENTS)]

    def _new(self, i):
        others = self._addresses[:i] + self._addresses[i + 1:]
        # A snapshot would not tell the order of the words.
        return Member(["--path=%s" % (self._folder / str(i)), "--quorum=2",
                       "--listen=" + self._addresses[i],
                       "--peers=" + ",".join(others),
                       "--snapshot_every=1000000"], self.logs[i])

    def leader(self):
        """The number of the one that says so with the highest epoch."""
        leading = [(member.epoch, i) for i, member in enumerate(self.members)
                   if member.epoch is not None and i not in self.stopped]
        return max(leading)[1] if leading else None

    def _run_client(self, number):
        choose = random.Random(number)
        client = number
        while not self._over.is_set():
            leader = self.leader()
            if leader is None:
                self._over.wait(0.01)
                continue
            with self._lock:
                key = "k%d" % choose.randrange(KEYS)
                reads = choose.random() < 0.5
                word = "%s-%s-%d" % (key, "read" if reads else "add",
                                     len(self.calls))
                call = Call(client, key, word, reads)
                self.calls.append(call)
            self.members[leader].ask(call)
            if call.end is None:
                client += CLIENTS  # One call at a time, for each of them.

    def start_clients(self):
        for client in self._clients:
            client.start()

    def end(self):
        self._over.set()
        for client in self._clients:
            if client.ident is not None:
                client.join()
        for member in self.members:
            member.kill()

    def answered(self):
        return sum(call.end is not None for call in list(self.calls))

    def kill(self, i):
        self.members[i].kill()
        self.retired_words.append(self.members[i].words)

    def start_again(self, i):
        self.members[i] = self._new(i)

    def stop(self, i):
        self.stopped.add(i)
        self.members[i].signal(signal.SIGSTOP)

    def go_on(self, i):
        self.stopped.discard(i)
        self.members[i].signal(signal.SIGCONT)


def judge(lines, folder):
    """check_history's exit code, and what it says."""
    path = pathlib.Path(folder) / "history"
    path.write_text("\n".join(lines), encoding="utf-8")
    done = subprocess.run([CHECK_HISTORY, "kv", path, "120"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False)
    return done.returncode, done.stdout


class HistoryTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
        self.group = Group(self.folder)
        self.addCleanup(self.group.end)

    def await_answers(self, count):
        """So many more calls are answered."""
        wanted = self.group.answered() + count
        try:
            await_true("%d calls are answered" % count,
                       lambda: self.group.answered() >= wanted)
        except AssertionError as error:
            raise AssertionError("%s\n%s" % (error, "\n".join(
                "".join(log[-5:]) for log in self.group.logs))) from error

    def await_leader(self, other_than=None):
        await_true("another one leads", lambda: self.group.leader() not in
                   (None, other_than))
        return self.group.leader()

    def disturb(self):
        """Each time the leader: it dies, or does not run for a while."""
        group = self.group
        for _ in range(3):
            dead = self.await_leader()
            group.kill(dead)
            self.await_leader(other_than=dead)
            self.await_answers(30)
            group.start_again(dead)
            self.await_answers(30)
            asleep = self.await_leader()
            group.stop(asleep)
            self.await_leader(other_than=asleep)
            self.await_answers(30)
            group.go_on(asleep)
            self.await_answers(30)

    def assert_one_order(self, words):
        longest = max(words, key=len)
        for some in words:
            self.assertEqual(some, longest[:len(some)])

    def test_leaders_die_and_stop(self):
        group = self.group
        group.start_clients()
        self.await_answers(30)
        self.disturb()
        group.end()
        self.assert_one_order([member.words for member in group.members] +
                              group.retired_words)
        kinds = collections.Counter(
            (call.reads, call.end is not None) for call in group.calls)
        print("reads and adds, answered and not: %s" % dict(kinds))
        self.assertGreater(kinds[True, True], 100)
        self.assertGreater(kinds[False, True], 100)
        self.assertGreater(kinds[True, False] + kinds[False, False], 0)
        self.assertEqual(
            judge([call.line() for call in group.calls], self.folder)[0],
            LINEARIZABLE, self.folder)
        self.refuse_what_is_wrong()

    def refuse_what_is_wrong(self):
        """The same history with one answer that nobody could have got."""
        group = self.group
        latest = max((call for call in group.calls if call.reads and call.end
                      and call.result.count(",") > 2), key=lambda c: c.begin)
        right = latest.result
        words = right.split(",")[:-1]
        for wrong in (words[1:],  # An add that was acknowledged is lost.
                      words[1::-1] + words[2:],
                      words[:len(words) // 2],  # A stale leader has answered.
                      words + ["never-added"]):
            latest.result = "".join(word + "," for word in wrong)
            code, said = judge([call.line() for call in group.calls],
                               self.folder)
            self.assertEqual(code, VIOLATION, said)
        latest.result = right


if __name__ == "__main__":
    unittest.main()
