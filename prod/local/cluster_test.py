"""Tests of the local cluster's layout: what `up` remembers and refuses."""

import pathlib
import signal
import socket
import tempfile
import unittest

from prod.local import cluster


class LayoutTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def choose(self, *arguments):
        return cluster.chosen_layout(cluster.parse_arguments(
            ["--folder=%s" % self.folder, "up", *arguments]))

    def test_ports_alternate(self):
        layout = cluster.Layout()
        self.assertEqual([layout.master_port(i) for i in range(3)],
                         [5050, 5052, 5054])
        self.assertEqual([layout.agent_port(i) for i in range(2)],
                         [5051, 5053])
        self.assertEqual(layout.quorum, 2)
        self.assertEqual(cluster.Layout(masters=5).quorum, 3)

    def test_remembers_what_was_chosen(self):
        self.assertEqual(self.choose(), cluster.Layout())
        chosen = self.choose("--zookeeper", "--zk-port=2182", "--agents=1")
        self.assertEqual(chosen, cluster.Layout(
            zookeeper=True, zk_port=2182, agents=1))
        cluster.save_layout(self.folder, chosen)
        self.assertEqual(self.choose(), chosen)
        self.assertEqual(self.choose("--agents=2"),
                         cluster.Layout(zookeeper=True, zk_port=2182))
        self.assertEqual(self.choose("--agents=2", "--no-zookeeper"),
                         cluster.Layout(zk_port=2182))

    def test_where_the_masters_are(self):
        layout = cluster.Layout(masters=2)
        self.assertEqual(layout.url, "127.0.0.1:5050,127.0.0.1:5052")
        layout = cluster.Layout(zookeeper=True)
        self.assertEqual(layout.url, "zk://127.0.0.1:2181/mesos")

    def test_refuses_to_change_what_runs(self):
        cluster.save_layout(self.folder, cluster.Layout())
        running = cluster.LocalCluster(self.folder, None, cluster.Layout())
        running.agents[1].start(["sleep", "1000"])
        self.addCleanup(running.agents[1].signal, signal.SIGKILL)
        self.assertEqual(self.choose("--agents=2"), cluster.Layout())
        with self.assertRaisesRegex(cluster.ClusterError, "down first"):
            self.choose("--agents=1")
        self.assertEqual(running.down(), ["agent2"])
        self.assertEqual(running.down(), [])
        self.choose("--agents=1")

    def test_refuses_a_taken_port(self):
        with socket.socket() as taken:
            taken.bind((cluster.HOST, 0))
            taken.listen()
            port = taken.getsockname()[1]
            self.assertFalse(cluster.port_is_free(port))
            binaries = self.folder / "binaries"
            binaries.mkdir()
            for name in cluster.BINARIES:
                (binaries / name).touch()
            local = cluster.LocalCluster(
                self.folder, binaries, cluster.Layout(zookeeper=True, zk_port=port))
            with self.assertRaisesRegex(cluster.ClusterError, "--zk-port"):
                local.up()
            self.assertFalse(any(p.running() for p in local.processes()))


if __name__ == "__main__":
    unittest.main()
