#include "core/agent/status_updates.h"

#include <gtest/gtest.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace quorate::agent {
namespace {

using Output = StatusUpdates::Output;

// Text in, text out. A line is a time in seconds and an input:
//
//   0 update t1 a            an update with uuid a of task t1
//   0 update t1 z terminal
//   5 ack t1 a
//   5 resume | pause | timer
//
// Outputs are "persist t1 a #1" (write number 1), "persist-ack t1 a #2",
// "accept t1 a >1" (after write 1), "forward t1 a >1", "finished t1 >2".
class Transcript {
 public:
  explicit Transcript(bool checkpointed = true) : checkpointed_(checkpointed) {}

  std::string Feed(absl::string_view line) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    int64_t seconds = 0;
    EXPECT_TRUE(absl::SimpleAtoi(words.at(0), &seconds));
    const io::Instant now{std::chrono::seconds(seconds)};
    StatusUpdates::Outputs out;
    std::string refused;
    const std::string& input = words.at(1);
    if (input == "update") {
      const absl::Status taken = machine.OnUpdate(
          now, Stream(words.at(2)),
          {words.at(3), words.size() > 4, absl::StrCat("<", words.at(3), ">")},
          checkpointed_, &out);
      if (!taken.ok()) refused = "refused";
    } else if (input == "ack") {
      const absl::Status known = machine.OnAcknowledgement(
          now, Stream(words.at(2)), words.at(3), &out);
      if (!known.ok()) refused = "unknown";
    } else if (input == "resume") {
      machine.Resume(now, &out);
    } else if (input == "pause") {
      machine.Pause();
    } else {
      EXPECT_EQ(input, "timer");
      machine.OnTimer(now, &out);
    }
    machine.CheckInvariants();
    std::vector<std::string> lines;
    for (const Output& output : out) lines.push_back(Text(output));
    if (!refused.empty()) lines.push_back(refused);
    return absl::StrJoin(lines, ", ");
  }

  static StatusUpdates::Stream Stream(const std::string& task) {
    return {"f", task};
  }

  StatusUpdates machine;

 private:
  static std::string Text(const Output& output) {
    const std::string& task = output.stream.task_id;
    const std::string after =
        output.after == 0 ? "" : absl::StrCat(" >", output.after);
    switch (output.kind) {
      case Output::Kind::kPersistUpdate:
        return absl::StrCat("persist ", task, " ", output.uuid, " #",
                            output.write);
      case Output::Kind::kPersistAcknowledgement:
        return absl::StrCat("persist-ack ", task, " ", output.uuid, " #",
                            output.write);
      case Output::Kind::kAccepted:
        return absl::StrCat("accept ", task, " ", output.uuid, after);
      case Output::Kind::kForward:
        EXPECT_EQ(output.content, absl::StrCat("<", output.uuid, ">"));
        return absl::StrCat("forward ", task, " ", output.uuid, after);
      case Output::Kind::kFinished:
        return absl::StrCat("finished ", task, after);
    }
    return "?";
  }

  const bool checkpointed_;
};

TEST(StatusUpdatesTest, OneAtATimeInOrderAndDurableFirst) {
  Transcript t;
  EXPECT_EQ(t.Feed("0 resume"), "");
  EXPECT_EQ(t.Feed("0 update t a"),
            "persist t a #1, forward t a >1, accept t a >1");
  EXPECT_EQ(t.Feed("1 update t b"), "persist t b #2, accept t b >2");
  // b follows only after the acknowledgement of a is durable.
  EXPECT_EQ(t.Feed("2 ack t a"), "persist-ack t a #3, forward t b >3");
  EXPECT_EQ(t.Feed("3 update t z terminal"), "persist t z #4, accept t z >4");
  EXPECT_EQ(t.Feed("4 ack t b"), "persist-ack t b #5, forward t z >5");
  EXPECT_EQ(t.Feed("5 ack t z"), "persist-ack t z #6, finished t >6");
  EXPECT_EQ(t.machine.streams(), 0u);
}

TEST(StatusUpdatesTest, ForwardsAgainAtDoublingIntervalsUpToTenMinutes) {
  Transcript t;
  t.Feed("0 resume");
  t.Feed("0 update t a");
  int64_t now = 0;
  for (const int64_t interval : {10, 20, 40, 80, 160, 320, 600, 600}) {
    ASSERT_EQ(t.machine.NextRetry(),
              io::Instant(std::chrono::seconds(now + interval)));
    EXPECT_EQ(t.Feed(absl::StrCat(now + interval - 1, " timer")), "");
    now += interval;
    EXPECT_EQ(t.Feed(absl::StrCat(now, " timer")), "forward t a >1");
  }
  t.Feed(absl::StrCat(now, " ack t a"));
  EXPECT_EQ(t.machine.NextRetry(), std::nullopt);
  // The next update begins with short intervals.
  t.Feed(absl::StrCat(now, " update t b"));
  EXPECT_EQ(t.machine.NextRetry(), io::Instant(std::chrono::seconds(now + 10)));
}

TEST(StatusUpdatesTest, WithoutAMasterUpdatesWait) {
  Transcript t;
  EXPECT_EQ(t.Feed("0 update t a"), "persist t a #1, accept t a >1");
  EXPECT_EQ(t.Feed("0 update u b"), "persist u b #2, accept u b >2");
  EXPECT_EQ(t.Feed("5 resume"), "forward t a >1, forward u b >2");
  EXPECT_EQ(t.Feed("6 pause"), "");
  EXPECT_EQ(t.machine.NextRetry(), std::nullopt);
  EXPECT_EQ(t.Feed("100 timer"), "");
  // An acknowledgement that was on its way still counts.
  EXPECT_EQ(t.Feed("101 ack t a"), "persist-ack t a #3");
  EXPECT_EQ(t.Feed("102 resume"), "forward u b >2");
}

TEST(StatusUpdatesTest, RepeatedUpdatesAreAcceptedAndGoNoFurther) {
  Transcript t;
  t.Feed("0 resume");
  t.Feed("0 update t a");
  t.Feed("0 update t b");
  EXPECT_EQ(t.Feed("1 update t a"), "accept t a >1");
  t.Feed("2 ack t a");
  EXPECT_EQ(t.Feed("3 update t a"), "accept t a >3");
  t.Feed("4 update t z terminal");
  EXPECT_EQ(t.Feed("5 update t late"), "accept t late >4");
}

TEST(StatusUpdatesTest, UnknownAcknowledgementsChangeNothing) {
  Transcript t;
  t.Feed("0 resume");
  EXPECT_EQ(t.Feed("0 ack t a"), "unknown");
  t.Feed("0 update t a");
  t.Feed("0 update t b");
  EXPECT_EQ(t.Feed("1 ack t b"), "unknown");
  t.Feed("2 ack t a");
  EXPECT_EQ(t.Feed("3 ack t a"), "unknown");
  EXPECT_TRUE(t.machine.HasPending(Transcript::Stream("t")));
}

TEST(StatusUpdatesTest, StreamsThatAreNotCheckpointedWaitForNoWrite) {
  Transcript t(/*checkpointed=*/false);
  t.Feed("0 resume");
  EXPECT_EQ(t.Feed("0 update t a"), "forward t a, accept t a");
  EXPECT_EQ(t.Feed("0 update t z terminal"), "accept t z");
  EXPECT_EQ(t.Feed("0 ack t a"), "forward t z");
  EXPECT_EQ(t.Feed("0 ack t z"), "finished t");
}

TEST(StatusUpdatesTest, TooManyWaitingUpdatesAreRefusedButNotTheLast) {
  Transcript t;
  for (size_t i = 0; i < StatusUpdates::kMaxPending; ++i) {
    t.Feed(absl::StrCat("0 update t u", i));
  }
  EXPECT_EQ(t.Feed("0 update t more"), "refused");
  EXPECT_EQ(t.Feed("0 update t z terminal"),
            "persist t z #1001, accept t z >1001");
}

StatusUpdates::Record Taken(const std::string& uuid, bool terminal = false) {
  return {false, {uuid, terminal, absl::StrCat("<", uuid, ">")}};
}
StatusUpdates::Record Acknowledged(const std::string& uuid) {
  return {true, {.uuid = uuid}};
}

TEST(StatusUpdatesTest, RecoveryGoesOnWithWhatWaited) {
  Transcript t;
  EXPECT_TRUE(t.machine.Recover(
      Transcript::Stream("t"),
      {Taken("a"), Acknowledged("a"), Taken("b"), Taken("z", true)}));
  EXPECT_FALSE(t.machine.Recover(Transcript::Stream("u"),
                                 {Taken("y", true), Acknowledged("y")}));
  EXPECT_EQ(t.machine.streams(), 1u);
  t.machine.CheckInvariants();
  EXPECT_EQ(t.Feed("0 resume"), "forward t b");
  // The executor, which never heard that they were accepted, repeats them.
  EXPECT_EQ(t.Feed("0 update t a"), "accept t a");
  EXPECT_EQ(t.Feed("0 update t z terminal"), "accept t z");
  EXPECT_EQ(t.Feed("1 ack t b"), "persist-ack t b #1, forward t z >1");
  EXPECT_EQ(t.Feed("2 ack t z"), "persist-ack t z #2, finished t >2");
}

// Whatever the point of a crash, recovery from the records that were durable
// then forwards nothing that comes before what a framework has acknowledged
// durably, and loses nothing that an executor was told is accepted.
TEST(StatusUpdatesTest, RecoveryFromEveryPrefixOfTheRecords) {
  Transcript t;
  t.Feed("0 resume");
  std::vector<StatusUpdates::Record> records;
  StatusUpdates::Outputs out;
  const StatusUpdates::Stream stream = Transcript::Stream("t");
  const std::vector<std::string> uuids = {"a", "b", "c", "z"};
  for (const std::string& uuid : uuids) {
    ASSERT_TRUE(
        t.machine.OnUpdate({}, stream, {uuid, uuid == "z", "<>"}, true, &out)
            .ok());
  }
  for (const std::string& uuid : uuids) {
    ASSERT_TRUE(t.machine.OnAcknowledgement({}, stream, uuid, &out).ok());
  }
  for (const Output& output : out) {
    if (output.kind == Output::Kind::kPersistUpdate) {
      records.push_back(Taken(output.uuid, output.uuid == "z"));
    } else if (output.kind == Output::Kind::kPersistAcknowledgement) {
      records.push_back(Acknowledged(output.uuid));
    }
  }
  ASSERT_EQ(records.size(), 8u);
  for (size_t size = 0; size <= records.size(); ++size) {
    StatusUpdates recovered;
    const bool open =
        recovered.Recover(stream, {records.begin(), records.begin() + size});
    EXPECT_EQ(open, size < 8);
    StatusUpdates::Outputs forwarded;
    recovered.Resume({}, &forwarded);
    recovered.CheckInvariants();
    const size_t taken = std::min<size_t>(size, 4);
    const size_t acknowledged = size - taken;
    if (acknowledged == taken) {
      EXPECT_TRUE(forwarded.empty());
    } else {
      ASSERT_EQ(forwarded.size(), 1u);
      EXPECT_EQ(forwarded[0].uuid, uuids[acknowledged]);
    }
  }
}

}  // namespace
}  // namespace quorate::agent
