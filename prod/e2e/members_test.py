"""The operator changes the masters of a cluster under load, as the guide tells:
more and fewer of them, others in place of dead ones.
"""
import unittest

from prod.e2e.cluster_under_load import HighAvailabilityTest, begin
from prod.e2e.harness import await_true

DONE = "Done.\n"
REMOVED = "Done. Members that were removed may be stopped now.\n"


def setUpModule():
    begin()


class Members:
    """Stories that take seconds; those in which masters wait for the operator
    to make up his mind are in guide_test.py.
    """

    zookeepers = 0

    def await_learner(self, master):
        await_true("%s follows as a learner" % master,
                   lambda: master.role() == "learner")

    @staticmethod
    def flags(cluster):
        """As docs/operations.md tells: an odd number of --masters needs no
        --quorum."""
        majority = len(cluster.masters) // 2 + 1
        return {**cluster.election_flags(),
                "quorum": majority if cluster.zookeepers else None}

    def add_two(self, cluster):
        """New machines, made members."""
        added = [cluster.add_master() for _ in range(2)]
        for master in added:
            master.start(**self.flags(cluster))
            self.await_learner(master)
        for master in added:
            self.assertEqual(
                cluster.change_members("add", master.member_id()), DONE)

    def remove(self, cluster, master):
        """No member any more, and switched off."""
        self.assertEqual(
            cluster.change_members("remove", master.member_id()), REMOVED)
        cluster.masters.remove(master)
        cluster.retired.append(master)
        if master.running():  # A leader that is removed ends.
            master.stop()

    def tell_all(self, cluster, load):
        """A rolling restart with flags as they are to be now."""
        for master in cluster.masters:
            master.restart(**self.flags(cluster))
            await_true("its replica is back", lambda m=master: m.role() in (
                "leading", "following"))
            load.await_progress()

    def assert_members(self, cluster, masters):
        self.assertCountEqual(map(str, cluster.members()), map(str, masters))

    def test_three_become_five_and_three_again(self):
        cluster = self.cluster(masters=3, zookeepers=self.zookeepers,
                               spares=2)
        with self.load(cluster) as load:
            self.add_two(cluster)
            self.assert_members(cluster, cluster.masters)
            self.tell_all(cluster, load)
            # Two may be away now.
            old = cluster.await_leader()
            other = next(m for m in cluster.masters if m is not old)
            old.kill()
            other.kill()
            load.await_progress()
            for gone in (old, other):
                gone.start()
                await_true("it is back", lambda m=gone: m.role() in (
                    "leading", "following"))
            # A follower, and the leader.
            leader = cluster.await_leader()
            self.remove(cluster, next(m for m in cluster.masters
                                      if m is not leader))
            self.remove(cluster, leader)
            self.assert_members(cluster, cluster.masters)
            self.tell_all(cluster, load)

    def test_one_becomes_three_and_one_again(self):
        cluster = self.cluster(masters=1, zookeepers=self.zookeepers,
                               spares=2)
        first = cluster.masters[0]
        with self.load(cluster) as load:
            self.add_two(cluster)
            self.tell_all(cluster, load)
            self.assert_members(cluster, cluster.masters)
            first.kill()
            load.await_progress()
            first.start()
            await_true("it is back", lambda: first.role() in (
                "leading", "following"))
            for master in cluster.masters[1:]:
                self.remove(cluster, master)
            self.assert_members(cluster, [first])
            first.restart(**self.flags(cluster))
            load.await_progress()

    def test_a_dead_master_is_replaced_and_comes_back(self):
        cluster = self.cluster(masters=3, zookeepers=self.zookeepers,
                               spares=1)
        with self.load(cluster) as load:
            dead = cluster.await_leader()
            dead_id = dead.member_id()
            dead.power_off()
            load.await_progress()
            cluster.masters.remove(dead)
            cluster.retired.append(dead)
            successor = cluster.add_master()
            successor.start(**self.flags(cluster))
            self.await_learner(successor)
            self.assertEqual(cluster.change_members(
                "replace", dead_id, successor.member_id()), REMOVED)
            self.assert_members(cluster, cluster.masters)
            # The old one comes back, and has no say: not even when the others
            # are one short.
            cluster.retired.remove(dead)
            cluster.masters.append(dead)
            dead.start()
            self.await_learner(dead)
            load.await_progress()
            cluster.await_leader().kill()
            load.await_progress()
            self.assertNotIn(dead, cluster.leaders())
            self.assertEqual(dead.role(), "learner")
            self.assertNotIn(dead.name, map(str, cluster.members()))
            dead.stop()


class MastersElect(Members, HighAvailabilityTest):
    pass


class ZooKeeperElects(Members, HighAvailabilityTest):
    zookeepers = 1


if __name__ == "__main__":
    unittest.main()
