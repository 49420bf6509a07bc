"""Masters that are not what they seem, under load: each is refused or harmless,
and an alarm and the words tell the operator what happened and what to do.
"""
import shutil
import unittest

from prod.e2e.cluster_under_load import HighAvailabilityTest, begin
from prod.e2e.harness import await_true


def setUpModule():
    begin()


class Strangers:
    zookeepers = 0

    def begin(self):
        return self.cluster(masters=3, zookeepers=self.zookeepers)

    @staticmethod
    def follower(cluster):
        leader = cluster.await_leader()
        return next(m for m in cluster.masters if m is not leader)

    def await_alarm(self, master, metric):
        await_true("%s of %s" % (metric, master),
                   lambda: master.metrics().get(metric) == 1)

    def start_empty(self, cluster, master, old_id):
        """What all the messages tell to do."""
        if master.running():
            master.stop()
        master.replica.rename(master.folder / ("away-" + old_id))
        master.start()
        await_true("it follows", lambda: master.role() == "learner")
        self.assertNotEqual(master.member_id(), old_id)
        cluster.change_members("replace", old_id, master.member_id())
        self.assertEqual(len(cluster.members()), 3)
        self.assertIn(master, cluster.members())

    def test_masters_that_do_not_belong(self):
        cluster = self.begin()
        with self.load(cluster) as load:
            # One too many.
            members = cluster.members()
            extra = cluster.add_master()
            extra.start(quorum=2, **cluster.election_flags())
            await_true("it follows", lambda: extra.role() == "learner")
            extra.await_log("3 members; this replica is not one of them")
            load.await_progress()
            self.assertCountEqual(cluster.members(), members)
            self.assertIn("learner", cluster.mesos_log(
                "members", "list",
                "--server=" + cluster.hosts_url).stdout)
            cluster.masters.remove(extra)
            cluster.retired.append(extra)
            extra.stop()
            # One of another cluster.
            stranger = cluster.add_master()
            stranger.start(quorum=1)
            await_true("it leads its own", stranger.leads)
            stranger.stop()
            stranger.start(**cluster.election_flags())
            if cluster.zookeepers:
                stranger.await_log("cluster_id names cluster .* Give this")
                stranger.await_end()
            else:
                # What it says of those that it speaks to, not of itself.
                stranger.await_log("belongs to another cluster")
            load.await_progress()
            self.assertCountEqual(cluster.members(), members)
            cluster.masters.remove(stranger)
            cluster.strangers.append(stranger)
            if stranger.running():
                stranger.stop()
            # One with another --quorum than the others.
            odd = self.follower(cluster)
            odd.restart(quorum=3)
            leader = cluster.await_leader()
            self.await_alarm(leader, "log/quorum_mismatch")
            self.assertIn("--quorum does not fit the 3 members",
                          leader.log_status()["explanation"])
            load.await_progress()
            self.assertCountEqual(cluster.members(), members)
            odd.restart(quorum=2)
            await_true("all is well again", lambda: cluster.await_leader()
                       .metrics().get("log/quorum_mismatch") == 0)

    def test_disks_that_are_not_what_they_were(self):
        cluster = self.begin()
        with self.load(cluster) as load:
            # Empty.
            wiped = self.follower(cluster)
            old_id = wiped.member_id()
            wiped.power_off()
            self.start_empty(cluster, wiped, old_id)
            load.await_progress()
            # Restored from a backup.
            old = self.follower(cluster)
            old_id = old.member_id()
            backup = old.folder / "backup"
            old.stop()
            shutil.copytree(old.replica, backup)
            old.start()
            # It has to vote for what the backup does not hold.
            await_true("it follows", lambda: old.role() == "following")
            load.await_progress()
            old.stop()
            shutil.rmtree(old.replica)
            backup.rename(old.replica)
            old.start()
            old.await_log("does not vote any more: (?s:.*)Move ")
            self.await_alarm(old, "log/quarantined")
            load.await_progress()
            self.start_empty(cluster, old, old_id)
            # In two machines at once.
            original = self.follower(cluster)
            original_id = original.member_id()
            original.stop()
            clone = cluster.add_master()
            clone.replica.parent.mkdir(parents=True)
            shutil.copytree(original.replica, clone.replica)
            original.start()
            clone.start(quorum=2, **cluster.election_flags())
            clone.await_log("does not vote")
            original.await_log("does not vote")
            load.await_progress()
            cluster.masters.remove(clone)
            cluster.retired.append(clone)
            clone.stop()
            self.start_empty(cluster, original, original_id)
            load.await_progress()


class MastersElect(Strangers, HighAvailabilityTest):
    pass


class ZooKeeperElects(Strangers, HighAvailabilityTest):
    zookeepers = 1


if __name__ == "__main__":
    unittest.main()
