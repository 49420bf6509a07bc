"""A cluster moves from ZooKeeper to the election of its own and back, one
process after the other, under load.
"""
import unittest

from prod.e2e.cluster_under_load import HighAvailabilityTest, begin
from prod.e2e.harness import await_true


def setUpModule():
    begin()


def serve_all(cluster):
    """Whether all replicas serve. As long as masters elect in two ways, one
    may lose its leadership to the other: a supervisor starts it again."""
    for master in cluster.masters:
        if not master.running():
            master.start()
    return all(m.role() in ("leading", "following") for m in cluster.masters)


class MigrationTest(HighAvailabilityTest):
    @staticmethod
    def roll_masters(cluster, load, **flags):
        for master in cluster.masters:
            master.restart(**flags)
            await_true("all replicas serve", lambda: serve_all(cluster))
            load.await_progress()
        await_true("all replicas serve", lambda: serve_all(cluster))

    @staticmethod
    def roll_agents(cluster, load, url):
        load.join_by(url)
        for agent in cluster.agents:
            agent.stop()
            agent.start(master=url)
            cluster.await_agents()
            load.await_progress()

    def lose_leader(self, cluster, load):
        old = cluster.await_leader()
        old.kill()
        cluster.await_leader(other_than=old)
        load.await_progress()
        old.start()

    def test_away_from_zookeeper_and_back(self):
        cluster = self.cluster(masters=3, zookeepers=1)
        with self.load(cluster) as load:
            # Masters elect by themselves, and say so in ZooKeeper, where the
            # agents look.
            self.roll_masters(cluster, load, masters=cluster.hosts_url)
            self.lose_leader(cluster, load)
            self.roll_agents(cluster, load, cluster.hosts_url)
            self.roll_masters(cluster, load, zk=None)
            cluster.zookeepers[0].kill()
            self.lose_leader(cluster, load)
            # And back.
            cluster.zookeepers[0].start()
            await_true("ZooKeeper serves", cluster.zookeepers[0].mode)
            self.roll_masters(cluster, load, zk=cluster.zk_url)
            self.roll_agents(cluster, load, cluster.zk_url)
            self.roll_masters(cluster, load, masters=None)
            self.lose_leader(cluster, load)


if __name__ == "__main__":
    unittest.main()
