"""Cuts in the network, under load: between masters, to ZooKeeper and to agents,
both ways, one way and flapping. Nothing that was acknowledged is lost, no task
is lost or starts twice, and no two leaders are obeyed.
"""
import re
import time
import unittest

from prod.e2e.cluster_under_load import HighAvailabilityTest, begin
from prod.e2e.harness import await_true


def setUpModule():
    begin()


class Partitions:
    zookeepers = 0

    def begin(self):
        cluster = self.cluster(masters=3, zookeepers=self.zookeepers)
        # Masters that lose their leadership end.
        self.enterContext(cluster.supervised())
        return cluster

    @staticmethod
    def others(cluster, master):
        return [m for m in cluster.masters if m is not master]

    def await_another(self, cluster, load, old):
        """Another master leads, and works, while the old one is cut off."""
        await_true(
            "another master leads",
            lambda: any(m is not old for m in cluster.leaders()))
        load.await_progress()
        # Its own words: it may be cut off from this process as well.
        await_true("the old leader has stepped down", lambda: (
            len(re.findall("lost leadership", old.log()))
            >= len(old.reigns())))

    def test_the_leader_is_cut_off(self):
        cluster = self.begin()
        with self.load(cluster) as load:
            # From the other masters, but from nobody else.
            old = cluster.await_leader()
            cluster.cut([old], self.others(cluster, old))
            self.await_another(cluster, load, old)
            cluster.heal()
            # From everything.
            old = cluster.await_leader()
            cluster.network.isolate(old.gate)
            self.await_another(cluster, load, old)
            cluster.heal()
            load.await_progress()

    def test_one_way(self):
        cluster = self.begin()
        with self.load(cluster) as load:
            # What the leader says does not arrive.
            old = cluster.await_leader()
            cluster.cut_one_way([old], self.others(cluster, old))
            self.await_another(cluster, load, old)
            cluster.heal()
            # What it is told does not arrive.
            old = cluster.await_leader()
            cluster.cut_one_way(self.others(cluster, old), [old])
            self.await_another(cluster, load, old)
            cluster.heal()
            # A follower that hears nobody deposes nobody.
            leader = cluster.await_leader()
            epochs = leader.reigns()
            deaf = self.others(cluster, leader)[0]
            cluster.cut_one_way(self.others(cluster, deaf), [deaf])
            load.await_progress()
            self.assertEqual(leader.reigns(), epochs)
            cluster.heal()

    def test_flapping_and_agents(self):
        cluster = self.begin()
        with self.load(cluster) as load:
            leader = cluster.await_leader()
            for _ in range(8):
                cluster.cut([leader], self.others(cluster, leader))
                time.sleep(0.7)
                cluster.heal()
                time.sleep(0.3)
            load.await_progress()
            # An agent is cut off from the leader, and the other one works.
            leader = cluster.await_leader()
            agent = cluster.agents[0]
            cluster.cut([agent], [leader])
            load.await_progress()
            cluster.heal()
            # The agents, from all masters, one way and the other.
            cluster.cut_one_way(cluster.agents, cluster.masters)
            time.sleep(3)
            cluster.heal()
            cluster.cut_one_way(cluster.masters, cluster.agents)
            time.sleep(3)
            cluster.heal()
            load.await_progress()


class MastersElect(Partitions, HighAvailabilityTest):
    pass


class ZooKeeperElects(Partitions, HighAvailabilityTest):
    zookeepers = 3

    def test_zookeeper_is_cut_off(self):
        cluster = self.begin()
        with self.load(cluster) as load:
            # From the leader.
            old = cluster.await_leader()
            cluster.cut([old], cluster.zookeepers)
            self.await_another(cluster, load, old)
            cluster.heal()
            # Its own leader, from the other servers.
            server = cluster.zookeeper_leader()
            cluster.cut([server],
                        [z for z in cluster.zookeepers if z is not server])
            await_true("ZooKeeper has another leader",
                       lambda: cluster.zookeeper_leader()
                       not in (None, server))
            cluster.heal()
            load.await_progress()
            # From the agents: whom they know they go on with.
            cluster.cut(cluster.agents, cluster.zookeepers)
            load.await_progress()
            cluster.heal()
            # From all masters: nobody leads, until it is back.
            cluster.cut(cluster.masters, cluster.zookeepers)
            await_true("nobody leads", lambda: not cluster.leaders())
            cluster.heal()
            load.await_progress()


if __name__ == "__main__":
    unittest.main()
