// The members of the log change, are lost, come back as somebody else, or lie.

#include <algorithm>
#include <vector>

#include "absl/strings/match.h"
#include "scenarios/log_story.h"
#include "scenarios/scenario.h"
#include "sim/log_cluster.h"

namespace quorate::scenarios {
namespace {

using State = log::LogStatus::State;

}  // namespace

// The operational guide's way from three masters to five: start two more, tell
// the log. Nobody restarts, and appends go on.
SCENARIO(Members, ThreeBecomeFiveUnderLoad) {
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  const int d = log.Add(3);
  const int e = log.Add(3);
  Load(world, log, 20);
  EXPECT_NOW(ChangeMembers(world, log, {d}, {}));
  Load(world, log, 20);
  EXPECT_NOW(ChangeMembers(world, log, {e}, {}));
  EXPECT_NOW(log.Members(Leader(log)).size() == 5);
  // Five tolerate two.
  log.Retire(0);
  log.Retire(1);
  EXPECT_NOW(Acknowledges(world, log, 30s));
}

// From five to three with the removed ones stopped first, as the guide has it:
// what only they and one other had decided is not lost.
SCENARIO(Members, FiveBecomeThreeAlsoWhenTheOthersWereStoppedFirst) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, Electing(5));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  // Two that stay do not hear of the latest entries.
  const int leader = Leader(log);
  const int first = (leader + 1) % 5;
  const int second = (leader + 2) % 5;
  log.Kill(first);
  log.Kill(second);
  Load(world, log, 10);
  EXPECT_NOW(Acknowledges(world, log, 10s));
  log.Start(first);
  log.Start(second);
  world.RunFor(random->Between(1ms, 2s));
  const int removed_a = (leader + 3) % 5;
  const int removed_b = (leader + 4) % 5;
  log.Retire(removed_a);
  log.Retire(removed_b);
  EXPECT_NOW(Acknowledges(world, log, 30s));
  EXPECT_NOW(ChangeMembers(world, log, {}, {removed_a}));
  EXPECT_NOW(ChangeMembers(world, log, {}, {removed_b}));
  EXPECT_NOW(log.Members(Leader(log)).size() == 3);
  EXPECT_NOW(Acknowledges(world, log, 10s));
  EXPECT_SOON(log.Converged(), 10s);
}

// One master becomes three, and one again, without wiping anything.
SCENARIO(Members, OneBecomesThreeAndOneAgain) {
  sim::LogCluster log(world, Electing(1));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  Load(world, log, 10);
  const int b = log.Add(2);
  const int c = log.Add(2);
  EXPECT_NOW(ChangeMembers(world, log, {b}, {}));
  EXPECT_NOW(ChangeMembers(world, log, {c}, {}));
  Load(world, log, 10);
  EXPECT_NOW(ChangeMembers(world, log, {}, {b}));
  EXPECT_NOW(ChangeMembers(world, log, {}, {c}));
  log.Retire(b);
  log.Retire(c);
  EXPECT_NOW(Acknowledges(world, log, 30s));
}

// Every member is replaced, one after the other, the leader as well, while
// appends go on.
SCENARIO(Members, AllThreeAreReplacedUnderLoad) {
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  for (int old = 0; old < 3 && !world.failure(); ++old) {
    Load(world, log, 10);
    const int fresh = log.Add(2);
    EXPECT_NOW(ChangeMembers(world, log, {fresh}, {old}));
    log.Retire(old);
    EXPECT_NOW(Acknowledges(world, log, 30s));
  }
  EXPECT_SOON(log.Converged(), 10s);
}

// A leader that is removed sees the change through, and goes.
SCENARIO(Members, ALeaderRemovesItself) {
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  const int old = Leader(log);
  Load(world, log, 10);
  log.ChangeMembers(old, {}, {old});
  EXPECT_SOON(Changed(log), 30s);
  EXPECT_NOW(log.change_outcome->ok());
  EXPECT_SOON(Leader(log) >= 0 && Leader(log) != old, 30s);
  EXPECT_NOW(log.status(old).state == State::kJoining);
  log.Retire(old);
  EXPECT_NOW(Acknowledges(world, log, 10s));
}

// The answer to a removal may be lost with a leader that removed itself: its
// successor, asked the same again, says when it may be stopped.
SCENARIO(Members, ARemovalIsAskedForAgain) {
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  const int old = Leader(log);
  Load(world, log, 10);
  log.ChangeMembers(old, {}, {old});
  EXPECT_SOON(Changed(log), 30s);
  EXPECT_SOON(Leader(log) >= 0 && Leader(log) != old, 30s);
  log.ChangeMembers(Leader(log), {}, {old});
  EXPECT_SOON(Changed(log), 90s);
  EXPECT_NOW(log.change_outcome->ok());
  log.Retire(old);
  EXPECT_NOW(Acknowledges(world, log, 10s));
}

// A removed member that still runs, and is cut off while it is removed, may
// stand for leadership as often as it likes.
SCENARIO(Members, ARemovedMemberDisturbsNobody) {
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  const int leader = Leader(log);
  const int removed = (leader + 1) % 3;
  const int other = (leader + 2) % 3;
  log.Cut(removed, leader);
  log.Cut(removed, other);
  EXPECT_NOW(ChangeMembers(world, log, {}, {removed}));
  log.network().MendAll();
  const uint64_t before = log.acknowledged();
  Load(world, log, 400);
  EXPECT_NOW(log.acknowledged() > before + 100);
  EXPECT_NOW(log.status(removed).state == State::kJoining);
}

// A change to members that do not answer would stop the log. It is refused,
// with the reason, and the log goes on.
SCENARIO(Members, AChangeToMembersThatDoNotAnswerIsRefused) {
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  const int leader = Leader(log);
  const int fresh = log.Add(2);
  EXPECT_SOON(!log.status(fresh).member_id.empty() &&
                  log.status(fresh).state == State::kJoining,
              10s);
  log.Kill(fresh);
  world.RunFor(3s);
  // With a bulk change one would be enough to take the quorum away.
  log.ChangeMembers(leader, {fresh}, {(leader + 1) % 3, (leader + 2) % 3},
                    true);
  EXPECT_SOON(Changed(log), 90s);
  world.Took(sim::Fault::kDeadHostAdded, log.host(fresh).name());
  EXPECT_NOW(absl::IsDeadlineExceeded(*log.change_outcome));
  EXPECT_NOW(absl::StrContains(log.change_outcome->message(), "start it"));
  EXPECT_NOW(log.Members(leader).size() == 3);
  EXPECT_NOW(Acknowledges(world, log, 10s));
}

// One master that runs with another --quorum changes nothing: votes are counted
// by the members in the log.
SCENARIO(Members, AWrongQuorumOnOneMasterChangesNothing) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  const int odd = static_cast<int>(random->Below(3));
  log.Kill(odd);
  log.SetQuorum(odd, 1);
  log.Start(odd);
  EXPECT_SOON(log.status(odd).voting, 10s);
  // It cannot decide alone.
  log.Cut(odd, (odd + 1) % 3);
  log.Cut(odd, (odd + 2) % 3);
  for (int i = 0; i < 50 && !world.failure(); ++i) {
    log.Append(odd);
    world.RunFor(100ms);
  }
  log.HealAll();
  EXPECT_NOW(Acknowledges(world, log, 30s));
  EXPECT_SOON(log.Converged(), 10s);
  EXPECT_SOON(Leader(log) >= 0 &&
                  log.status(Leader(log)).metrics["log/quorum_mismatch"] == 1,
              10s);
}

// Nor does a master decide alone that believes in a quorum of one.
SCENARIO(Members, AQuorumOfOneDecidesNothing) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, 3);
  EXPECT_SOON(log.Converged(), 30s);
  const int odd = static_cast<int>(random->Below(3));
  const int other = (odd + 1) % 3;
  log.Kill(odd);
  log.SetQuorum(odd, 1);
  log.Start(odd);
  EXPECT_SOON(log.status(odd).voting, 10s);
  log.Cut(odd, other);
  log.Cut(odd, (odd + 2) % 3);
  log.Elect(odd);
  log.Elect(other);
  EXPECT_SOON(!log.Leaders().empty(), 10s);
  for (int i = 0; i < 20 && !world.failure(); ++i) {
    log.Append(odd);
    log.Append(other);
    world.RunFor(10ms);
  }
  EXPECT_NOW(log.acknowledged() > 0);
  log.HealAll();
  EXPECT_SOON(log.Converged(), 30s);
}

// A master too many follows without a vote, whatever it declares.
SCENARIO(Members, AnExtraMasterIsALearner) {
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  const int extra = log.Add(2);
  Load(world, log, 20);
  EXPECT_SOON(log.status(extra).state == State::kJoining && log.Converged(),
              10s);
  EXPECT_NOW(log.Members(Leader(log)).size() == 3);
  // Nor does it help when a majority is gone.
  const int leader = Leader(log);
  log.Retire((leader + 1) % 3);
  log.Retire((leader + 2) % 3);
  world.RunFor(5s);
  EXPECT_NOW(log.Leaders().empty());
}

// Three fresh masters beside two old ones do not begin a second log.
SCENARIO(Members, FreshMastersBesideOldOnesFormNothing) {
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  const std::string cluster = log.status(Leader(log)).cluster_id;
  log.Retire(0);
  std::vector<int> fresh = {log.Add(2), log.Add(2), log.Add(2)};
  world.RunFor(10s);
  for (int i : fresh) EXPECT_NOW(log.status(i).cluster_id == cluster);
  EXPECT_NOW(Acknowledges(world, log, 30s));
}

// All that declare the same --quorum for a while is a wish: the log grows by
// itself. One that stays away is dropped only after a long time.
SCENARIO(Members, TheMembersFollowADeclaredQuorum) {
  sim::LogClusterOptions options = Electing(3);
  options.log.member_gone_after = std::chrono::minutes(2);
  sim::LogCluster log(world, options);
  EXPECT_SOON(Leader(log) >= 0, 30s);
  for (int i = 0; i < 3 && !world.failure(); ++i) {
    log.SetQuorum(i, 3);
    log.Kill(i);
    log.Start(i);
    EXPECT_NOW(Acknowledges(world, log, 30s));
  }
  log.Add(3);
  log.Add(3);
  EXPECT_SOON(Leader(log) >= 0 && log.Members(Leader(log)).size() == 5,
              std::chrono::minutes(3));
  const int leader = Leader(log);
  const int gone = (leader + 1) % 5;
  log.Retire(gone);
  log.Add(3);
  world.RunFor(std::chrono::seconds(60));
  EXPECT_SOON(Leader(log) >= 0, 10s);
  EXPECT_NOW(Has(log.Members(Leader(log)), gone));
  EXPECT_SOON(Leader(log) >= 0 && !Has(log.Members(Leader(log)), gone),
              std::chrono::minutes(4));
}

// Disks that are not what they were.

// A disk is wiped while a write may be half acknowledged: whoever comes back
// with it is somebody else, and takes its place only by a change.
SCENARIO(Members, AWipedDiskIsANewMember) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  for (int turn = 0; turn < 3 && !world.failure(); ++turn) {
    for (int leader : log.Leaders()) log.Append(leader);
    world.RunFor(random->Between(0us, 2ms));
    const int wiped = static_cast<int>(random->Below(3));
    log.status(wiped);
    const std::string old_id = log.id(wiped);
    log.LosePower(wiped);
    log.Wipe(wiped);
    log.Start(wiped);
    // The others must be enough, and the wiped one must not help them forget.
    log.Cut(wiped, static_cast<int>((wiped + 1 + random->Below(2)) % 3));
    Load(world, log, 20);
    log.network().MendAll();
    EXPECT_SOON(log.status(wiped).state == State::kJoining, 30s);
    EXPECT_NOW(log.id(wiped) != old_id);
    EXPECT_SOON(Leader(log) >= 0, 30s);
    log.ReplaceId(Leader(log), old_id, wiped);
    EXPECT_SOON(Changed(log), 90s);
    if (!log.change_outcome->ok()) break;
  }
  EXPECT_NOW(Acknowledges(world, log, 30s));
  EXPECT_SOON(log.Converged(), 10s);
}

// A replica restored from a backup has forgotten votes that count. It finds
// out before it votes again, and never votes any more.
SCENARIO(Members, ARestoredBackupIsQuarantined) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  const int victim = static_cast<int>(random->Below(3));
  Load(world, log, static_cast<int>(random->Below(10)));
  log.Kill(victim);
  const auto backup = log.Backup(victim);
  log.Start(victim);
  EXPECT_SOON(log.status(victim).voting, 30s);
  Load(world, log, static_cast<int>(5 + random->Below(10)));
  EXPECT_SOON(Leader(log) >= 0 && log.Converged(), 30s);
  world.RunFor(1s);
  log.Kill(victim);
  log.Restore(victim, backup);
  log.Start(victim);
  EXPECT_SOON(log.status(victim).state == State::kQuarantined, 30s);
  EXPECT_NOW(Acknowledges(world, log, 30s));
  log.Kill(victim);
  log.Start(victim);
  EXPECT_SOON(log.status(victim).state == State::kQuarantined, 30s);
  EXPECT_SOON(log.Converged(), 20s);
}

// A backup of a time when the log had one member, or two: what its members do
// not remember the others do.
SCENARIO(Members, ABackupOfASmallerLogIsQuarantined) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, Electing(1));
  EXPECT_SOON(Leader(log) == 0, 30s);
  const bool two = random->Below(2) == 0;
  const int b = log.Add(2);
  if (two) EXPECT_NOW(ChangeMembers(world, log, {b}, {}));
  Load(world, log, 10);
  const auto backup = log.Backup(0);
  if (!two) EXPECT_NOW(ChangeMembers(world, log, {b}, {}));
  const int c = log.Add(2);
  EXPECT_NOW(ChangeMembers(world, log, {c}, {}));
  Load(world, log, 20);
  EXPECT_SOON(log.Converged(), 10s);
  log.Kill(0);
  log.Restore(0, backup);
  log.Start(0);
  EXPECT_SOON(log.status(0).state == State::kQuarantined, 30s);
  EXPECT_NOW(Acknowledges(world, log, 30s));
}

// Of the others the one answers first that missed everything since the backup.
SCENARIO(Members, AMemberThatMissedTheSameDoesNotVouchForABackup) {
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0 && log.Converged(), 30s);
  world.RunFor(1s);
  const int victim = Leader(log);
  const int behind = (victim + 1) % 3;
  const int other = (victim + 2) % 3;
  const auto backup = log.Backup(victim);
  log.Cut(behind, victim);
  log.Cut(behind, other);
  Load(world, log, 50);
  log.Kill(victim);
  log.Restore(victim, backup);
  log.network().MendAll();
  log.Cut(victim, other);
  log.Start(victim);
  world.RunFor(400ms);
  log.network().MendAll();
  EXPECT_SOON(log.status(victim).state == State::kQuarantined, 30s);
  EXPECT_NOW(Acknowledges(world, log, 30s));
}

// A newcomer without the token of the log is not let in; with it, it is.
SCENARIO(Members, ANewcomerHasToShowTheToken) {
  sim::LogClusterOptions options = Electing(3);
  options.log.join_token = "secret";
  sim::LogCluster log(world, options);
  EXPECT_SOON(Leader(log) >= 0, 30s);
  const int stranger = log.Add(2);
  log.SetJoinToken(stranger, "guess");
  log.Kill(stranger);
  log.Start(stranger);
  EXPECT_SOON(log.up(stranger) && !log.status(stranger).member_id.empty(), 10s);
  log.ChangeMembers(Leader(log), {stranger}, {});
  EXPECT_SOON(Changed(log), 90s);
  EXPECT_NOW(!log.change_outcome->ok());
  log.Kill(stranger);
  log.SetJoinToken(stranger, "secret");
  log.Start(stranger);
  EXPECT_NOW(ChangeMembers(world, log, {stranger}, {}));
}

// A disk that is copied to a second machine makes two replicas of one name:
// neither may vote, and each says so.
SCENARIO(Members, AClonedDiskIsQuarantined) {
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  Load(world, log, 10);
  const int original = (Leader(log) + 1) % 3;
  const int copy = log.Add(2);
  log.Kill(copy);
  log.Kill(original);
  log.Clone(original, copy);
  log.Start(original);
  log.Start(copy);
  EXPECT_SOON(log.status(copy).state == State::kQuarantined &&
                  log.status(original).state == State::kQuarantined,
              60s);
  Load(world, log, 20);
  EXPECT_NOW(Acknowledges(world, log, 30s));
  world.RunFor(5s);
  EXPECT_NOW(!log.status(copy).voting && !log.status(original).voting);
}

// A copy of a disk that starts when the original has lived on: the copy is
// found out and says so, and the original is not disturbed.
SCENARIO(Members, ACopyOfAnEarlierLifeIsQuarantined) {
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  Load(world, log, 10);
  const int original = (Leader(log) + 1) % 3;
  const int copy = log.Add(2);
  log.Kill(copy);
  log.Kill(original);
  log.Clone(original, copy);
  for (int life = 0; life < 2; ++life) {
    log.Start(original);
    EXPECT_SOON(log.status(original).voting, 60s);
    if (life == 0) log.Kill(original);
  }
  world.RunFor(5s);  // Everybody has a link to the original.
  log.Start(copy);
  EXPECT_SOON(log.status(copy).state == State::kQuarantined, 60s);
  EXPECT_NOW(Acknowledges(world, log, 30s));
  EXPECT_NOW(log.status(original).voting);
}

// With a majority of the disks gone the log stops, and says what is missing.
SCENARIO(Members, AMajorityOfDisksLostStopsTheLog) {
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  Load(world, log, 10);
  for (int i : {0, 1}) {
    log.LosePower(i);
    log.Wipe(i);
    log.Start(i);
  }
  const uint64_t before = log.acknowledged();
  Load(world, log, 1000);
  EXPECT_NOW(log.acknowledged() <= before + 1);
  EXPECT_NOW(log.Leaders().empty());
}

// Elections without a coordination service.

// B hears both A and C, who do not hear each other: somebody leads, and stays.
SCENARIO(Members, ALineOfThreeHasALeader) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  const int middle = static_cast<int>(random->Below(3));
  log.Cut((middle + 1) % 3, (middle + 2) % 3);
  world.RunFor(10s);
  const uint64_t before = log.acknowledged();
  Load(world, log, 2000);
  EXPECT_NOW(log.acknowledged() > before + 500);
}

// A member that hears nobody, and is heard by all, does not depose the leader
// again and again.
SCENARIO(Members, ADeafMemberDisturbsNobody) {
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  const int leader = Leader(log);
  const int deaf = (leader + 1) % 3;
  log.CutOneWay(leader, deaf);
  Load(world, log, 200);
  const uint64_t epoch = log.status(leader).epoch;
  const uint64_t before = log.acknowledged();
  Load(world, log, 4000);
  EXPECT_NOW(log.acknowledged() > before + 2000);
  EXPECT_NOW(log.status(leader).epoch == epoch);
}

// A leader that sleeps for an hour wakes up to somebody else's reign, and does
// no harm.
SCENARIO(Members, ALeaderThatSleptDoesNoHarm) {
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  const int old = Leader(log);
  log.Append(old);
  log.process(old).Pause();
  EXPECT_SOON(log.Leaders().size() == 2, 30s);
  Load(world, log, 50);
  world.RunFor(std::chrono::hours(1));
  log.process(old).Resume();
  log.Append(old);
  log.Read(old);
  EXPECT_SOON(Leader(log) >= 0 && Leader(log) != old, 10s);
  EXPECT_NOW(Acknowledges(world, log, 10s));
  EXPECT_SOON(log.Converged(), 10s);
}

// A read is answered only by who leads at that time, and with everything that
// was acknowledged before.
SCENARIO(Members, ReadsAreLinearizable) {
  auto random = world.NewRandom("story");
  sim::LogCluster log(world, Electing(3));
  EXPECT_SOON(Leader(log) >= 0, 30s);
  for (int turn = 0; turn < 6 && !world.failure(); ++turn) {
    const int i = static_cast<int>(random->Below(3));
    const int j = (i + 1) % 3;
    log.Cut(i, j);
    log.Cut(i, (i + 2) % 3);
    for (int step = 0; step < 60; ++step) {
      for (int leader : log.Leaders()) {
        log.Append(leader);
        log.Read(leader);
      }
      world.RunFor(random->Between(1ms, 100ms));
    }
    log.network().MendAll();
    world.RunFor(random->Between(1ms, 3s));
  }
  EXPECT_NOW(log.reads_answered() > 10);
}

}  // namespace quorate::scenarios
