"""The replicated log by itself, as processes: mesos-log."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from prod.e2e.harness import HOST, RUNFILES, await_true, free_base_port

MESOS_LOG = RUNFILES / "prod/mesos-log"
REPLICATED_SET = RUNFILES / "prod/examples/replicated_set"


def tool(*arguments, check=True, cwd=None):
    """Runs mesos-log; what it prints."""
    done = subprocess.run([MESOS_LOG, *map(str, arguments)], cwd=cwd,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=120)
    if check and done.returncode != 0:
        raise AssertionError("%s: %s" % (arguments, done.stderr))
    return done


class Replicas:
    """Replicas in folders of their own, each at a port of its own."""

    def __init__(self, folder, count):
        self.folder = pathlib.Path(folder)
        base = free_base_port(count)
        self.addresses = ["%s:%d" % (HOST, base + i) for i in range(count)]
        self.processes = {}

    def path(self, i):
        return self.folder / ("r%d" % i)

    def start(self, i, quorum=2):
        log = open(self.folder / ("r%d.log" % i), "a", encoding="utf-8")
        self.processes[i] = subprocess.Popen(
            [MESOS_LOG, "replica", "--path=%s" % self.path(i),
             "--quorum=%d" % quorum, "--listen=" + self.addresses[i],
             "--peers=" + ",".join(self.addresses), "--election"],
            stdout=log, stderr=log)
        log.close()

    def kill(self, i, number=signal.SIGKILL):
        process = self.processes.pop(i)
        process.send_signal(number)
        process.wait(30)

    def kill_all(self):
        for i in list(self.processes):
            self.kill(i)

    def status(self, i):
        """As that replica sees the log; None while it does not answer."""
        done = tool("status", "--server=" + self.addresses[i], "--json",
                    check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def member_id(self, i):
        return self.status(i)["member_id"]

    def leader(self):
        """The number of the one that leads; None when nobody does."""
        for i in self.processes:
            view = self.status(i)
            if view is not None and view["role"] == "leading":
                return i
        return None

    def append(self, seconds=1.0):
        """Appends for a while; how many were acknowledged."""
        running = [self.addresses[i] for i in self.processes]
        loop = subprocess.Popen(
            [MESOS_LOG, "append-loop", "--server=" + ",".join(running)],
            stdout=subprocess.PIPE, text=True)
        time.sleep(seconds)
        loop.kill()
        return len(loop.communicate()[0].splitlines())


class LogTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
        self.log = Replicas(folder, 5)
        self.addCleanup(self.log.kill_all)
        self.folder = pathlib.Path(folder)

    def await_leader(self):
        leader = None

        def found():
            nonlocal leader
            leader = self.log.leader()
            return leader is not None

        try:
            await_true("somebody leads", found)
        except AssertionError as error:
            views = {i: self.log.status(i) for i in self.log.processes}
            raise AssertionError(json.dumps(views, indent=1)) from error
        return leader

    def committed(self, i):
        lines = tool("read", "--path=%s" % self.log.path(i)).stdout
        return lines.splitlines()

    def join(self, i, leader):
        """Starts one with an empty directory, and makes it a member."""
        self.log.start(i)
        await_true("it follows", lambda: (self.log.status(i) or {}).get(
            "role") == "learner")
        before = len(self.log.status(leader)["members"])
        tool("members", "add", self.log.member_id(i),
             "--server=" + self.log.addresses[leader])
        self.assertEqual(len(self.log.status(leader)["members"]), before + 1)

    def test_members_change_and_a_leader_dies(self):
        log = self.log
        log.start(0, quorum=1)
        self.await_leader()
        self.assertGreater(log.append(), 0)
        # One becomes three.
        for i in (1, 2):
            log.start(i)
            await_true("it follows", lambda i=i: (log.status(i) or {}).get(
                "role") == "learner")
            done = tool("members", "--server=" + log.addresses[0], "add",
                        " " + log.member_id(i)[:8].upper())
            self.assertEqual(done.stdout, "Done.\n")
        self.assertEqual(len(log.status(0)["members"]), 3)
        # The leader dies, and comes back.
        leader = self.await_leader()
        log.kill(leader)
        self.await_leader()
        self.assertGreater(log.append(3), 0)
        log.start(leader)
        # A dead member is replaced by a new one, by any server's word.
        gone = next(i for i in (0, 1, 2) if i != self.await_leader())
        gone_id = log.member_id(gone)
        log.kill(gone)
        log.start(3)
        await_true("it follows", lambda: (log.status(3) or {}).get("role") ==
                   "learner")
        done = tool("members", "replace", gone_id, log.member_id(3),
                    "--server=" + log.addresses[3])
        self.assertIn("may be stopped now", done.stdout)
        self.assertNotIn(gone_id, log.status(3)["members"])
        self.assertGreater(log.append(), 0)
        # Everybody has the same.
        log.kill_all()
        contents = [self.committed(i) for i in (0, 1, 2, 3) if i != gone]
        shortest = min(map(len, contents))
        self.assertGreater(shortest, 0)
        for content in contents:
            self.assertEqual(content[:shortest], contents[0][:shortest])

    def test_a_relative_path(self):
        made = tool("format", "--path=new/log/", cwd=self.folder)
        self.assertTrue((self.folder / "new" / "log").is_dir(), made)
        seen = tool("status", "--path=" + str(self.folder / "new/log"))
        self.assertIn("FORMATTED", seen.stdout)

    def test_backup_restore_and_force(self):
        log = self.log
        for i in range(3):
            log.start(i)
        self.await_leader()
        self.assertGreater(log.append(), 0)
        running = tool("status", "--path=%s" % log.path(0), check=False)
        self.assertEqual(running.returncode, 1)
        self.assertIn("a replica runs in", running.stderr)
        log.kill_all()
        entries = self.committed(0)
        backup = self.folder / "backup"
        tool("verify", "--path=%s" % log.path(0))
        made = tool("backup", "--path=%s" % log.path(0), "--to=%s" % backup)
        self.assertNotIn("InitGoogleLogging", made.stderr)
        tool("verify", "--from=%s" % backup)
        dumped = tool("dump", "--path=%s" % log.path(0)).stdout
        self.assertIn("APPEND", dumped)
        self.assertNotIn("round 0", dumped)

        # Only replica 0 is left: it does not lead alone, until it is forced to.
        log.start(0)
        time.sleep(4)
        self.assertIsNone(log.leader())
        log.kill(0)
        refused = tool("force", "--path=%s" % log.path(0), check=False)
        self.assertEqual(refused.returncode, 1)
        confirm = refused.stderr.strip().rsplit("=", 1)[1]
        tool("force", "--path=%s" % log.path(0), "--confirm=" + confirm)
        log.start(0)
        self.assertEqual(self.await_leader(), 0)
        self.assertGreater(log.append(), 0)
        # A member of the old generation has no part in it.
        log.start(1)
        time.sleep(2)
        self.assertEqual(len(log.status(0)["members"]), 1)
        log.kill(1)
        # A newcomer has.
        self.join(3, leader=0)
        log.kill_all()
        self.assertEqual(self.committed(0)[:len(entries)], entries)

        # The same from the backup.
        tool("restore", "--from=%s" % backup, "--path=%s" % log.path(4),
             "--confirm=" + confirm)
        log.start(4)
        self.assertEqual(self.await_leader(), 4)
        shutil.rmtree(log.path(2))
        self.join(2, leader=4)
        log.kill_all()
        self.assertEqual(self.committed(4)[:len(entries)], entries)

    def test_an_explicit_genesis(self):
        log = self.log
        ids = [tool("format", "--path=%s" % log.path(i)).stdout.strip()
               for i in range(3)]
        again = tool("format", "--path=%s" % log.path(0), check=False)
        self.assertEqual(again.returncode, 1)
        bad = tool("format", "--members=%s,%s" % (ids[0], ids[1][1:]),
                   check=False)
        self.assertEqual(bad.returncode, 1)
        self.assertIn("'%s'" % ids[1][1:], bad.stderr)
        token = tool("format", "--members=" + ", ".join(ids)).stdout.strip()
        for i in range(3):
            tool("format", "--path=%s" % log.path(i), "--genesis=" + token)
        for i in range(3):
            log.start(i)
        self.await_leader()
        self.assertEqual(sorted(log.status(0)["members"]), sorted(ids))
        self.join(3, leader=self.await_leader())
        self.assertEqual(
            tool("format", "--path=%s" % log.path(4), "--genesis=nonsense",
                 check=False).returncode, 1)

    def test_the_benchmark_measures(self):
        log = self.log
        for i in (0, 1):
            subprocess_log = open(self.folder / "b.log", "a", encoding="utf-8")
            self.log.processes[i] = subprocess.Popen(
                [MESOS_LOG, "replica", "--path=%s" % log.path(i), "--quorum=2",
                 "--listen=" + log.addresses[i],
                 "--peers=" + ",".join(log.addresses[:3])],
                stdout=subprocess_log, stderr=subprocess_log)
            subprocess_log.close()
        flags = ["--path=%s" % log.path(2), "--quorum=2",
                 "--listen=" + log.addresses[2],
                 "--peers=" + ",".join(log.addresses[:3]), "--json"]
        done = tool("benchmark", *flags, "--size=100", "--outstanding=8",
                    "--seconds=0.5")
        # Nothing else is there.
        measured = json.loads(done.stdout)
        self.assertIn("listening on", done.stderr)
        self.assertGreater(measured["count"], 0)
        self.assertLessEqual(measured["p50_us"], measured["p99_us"])
        # Without the others it says what it waits for.
        log.kill_all()
        waiting = subprocess.Popen([MESOS_LOG, "benchmark", *flags], text=True,
                                   stderr=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL)
        time.sleep(3)
        waiting.kill()
        self.assertRegex(waiting.communicate()[1],
                         r"waiting: .*(needs|waiting for)")
        for bad in ("--election", "--seconds=0", "--seconds=-1",
                    "--outstanding=0", "--size=0", "--quorum=0"):
            refused = tool("benchmark",
                           *[f for f in flags if not bad.startswith(f[:5])],
                           bad, check=False)
            self.assertEqual(refused.returncode, 1, bad)
            self.assertIn(bad.split("=")[0], json.loads(
                refused.stdout)["error"])

    def test_what_cannot_be_meant_is_refused(self):
        held = self.log.addresses[0]
        path = "--path=%s" % self.log.path(0)
        for arguments, said in (
                (["status", "--server=,"], "--server names no server"),
                (["members", "list", "--server= "], "names no server"),
                (["append-loop", "--server=,"], "names no server"),
                (["status"], "--server"),
                (["verify"], "--from"),
                (["read"], "--path=TEXT is required"),
                (["read", "--path="], "--path"),
                (["format"], "is required"),
                (["replica", path, "--listen=" + held, "--quorum=0"],
                 "--quorum"),
                (["replica", path, "--listen=0.0.0.0:5050"], "--advertise"),
                (["members", "add", "", "--server=" + held], "no server"),
                (["dump", path], "holds no replica")):
            done = tool(*arguments, check=False)
            self.assertEqual(done.returncode, 1, arguments)
            self.assertIn(said, done.stderr)

    def test_dead_servers_are_given_up(self):
        dead = "--server=" + ",".join(self.log.addresses[:3])
        for verb in (["status"], ["members", "list"], ["append-loop"]):
            begin = time.monotonic()
            done = tool(*verb, dead, "--json", check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(self.log.addresses[2],
                          json.loads(done.stdout)["error"])
            self.assertLess(time.monotonic() - begin, 5)

    def test_a_follower_shows_what_the_leader_sees(self):
        log = self.log
        for i in range(3):
            log.start(i)
        leader = self.await_leader()
        first, second = [i for i in range(3) if i != leader]
        ids = [log.member_id(i) for i in range(3)]

        def states(i):
            view = log.status(i)
            return {peer["id"]: peer["state"] for peer in view["peers"]}

        await_true("all are well", lambda: states(first) == {
            ids[leader]: "leading", ids[second]: "ok"})
        log.kill(second)
        await_true("one is silent", lambda: states(first) == {
            ids[leader]: "leading", ids[second]: "silent"})
        # Without a leader, what the follower knows by itself.
        log.kill(leader)
        self.assertIn(ids[leader], states(first))

    def test_damage_is_reported(self):
        log = self.log
        log.start(0, quorum=1)
        self.await_leader()
        self.assertGreater(log.append(), 0)
        log.kill_all()
        path = "--path=%s" % log.path(0)
        tool("verify", path)
        records = log.path(0) / "records"
        (records / "CURRENT").unlink()
        salvaged = tool("verify", path, check=False)
        self.assertEqual(salvaged.returncode, 1)
        self.assertIn("records.damaged", salvaged.stderr)
        self.assertNotIn("InitGoogleLogging", salvaged.stderr)
        # The log goes on with it; then it is all right.
        shutil.rmtree(log.path(0) / "records.damaged")
        tool("verify", path)

    def set_process(self, i, stdin):
        log = self.log
        out = open(self.folder / ("set%d" % i), "w", encoding="utf-8")
        log.processes[i] = subprocess.Popen(
            [REPLICATED_SET, "--path=%s" % log.path(i), "--quorum=2",
             "--listen=" + log.addresses[i], "--snapshot_every=10",
             "--peers=" + ",".join(log.addresses)], stdin=stdin, stdout=out)
        out.close()

    def test_a_replicated_set(self):
        words = ["word %d, or %d" % (i, -i) for i in range(4000)]
        given = self.folder / "words"
        given.write_text("\n".join(words), encoding="utf-8")
        for i in range(3):
            with open(given, encoding="utf-8") as stdin:
                self.set_process(i, stdin)

        def shown(i):
            text = (self.folder / ("set%d" % i)).read_text(encoding="utf-8")
            return sorted(text.splitlines())

        for i in range(3):
            await_true("all words are there",
                       lambda i=i: shown(i) == sorted(words))
        # Also for one that comes when most of the log is given up.
        self.set_process(3, subprocess.DEVNULL)
        await_true("it has all words", lambda: shown(3) == sorted(words))
        self.assertGreater(self.log.status(3)["base"], 0)


if __name__ == "__main__":
    unittest.main()
