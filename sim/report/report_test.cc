#include <gtest/gtest.h>

#include <string>

#include "absl/strings/match.h"
#include "sim/report/audience.h"
#include "sim/report/chrome_trace.h"
#include "sim/report/event_log.h"
#include "sim/report/marks.h"
#include "sim/report/recording.h"
#include "sim/report/timeline_page.h"
#include "sim/world.h"

namespace quorate::sim {
namespace {

using std::chrono_literals::operator""ms;

// Two nodes, of which one leads for a while.
struct Play {
  explicit Play(Spectator* spectator) {
    world.spectator = spectator;
    world.Span("node1", "runs", true);
    world.After(1ms, "beat", [this] {
      world.Note("node1", "beats", uint64_t{1});
      leads.Begin("leads in epoch 1");
    });
    world.After(2ms, "packet", [this] {
      if (world.spectator != nullptr) {
        world.spectator->OnPacket("node1", "node2", io::Instant(1ms),
                                  world.now(), 3);
      }
      world.Note("node2", "receives data from", "abc", "node1");
    });
    world.After(3ms, "beat", [this] {
      world.Took(Fault::kKill, "node2");
      leads.Begin("leads in epoch 2");
    });
    world.RunFor(10ms);
  }

  World world{1};
  OpenSpan leads{world, "node1"};
};

TEST(SpectatorTest, ChangesNothing) {
  Recording recording;
  EXPECT_EQ(Play(&recording).world.trace_hash(),
            Play(nullptr).world.trace_hash());
}

TEST(RecordingTest, KeepsWhatHappened) {
  Recording recording;
  Play play(&recording);
  recording.Close(play.world.now());
  ASSERT_EQ(recording.notes().size(), 2);
  EXPECT_EQ(recording.Text(recording.notes()[0].what), "beats");
  EXPECT_FALSE(recording.notes()[0].is_fault);
  EXPECT_EQ(recording.Text(recording.notes()[1].what), "kill");
  EXPECT_TRUE(recording.notes()[1].is_fault);
  ASSERT_EQ(recording.packets().size(), 1);
  EXPECT_EQ(recording.Text(recording.packets()[0].what), "receives data from");
  EXPECT_EQ(recording.packets()[0].sent, io::Instant(1ms));
  ASSERT_EQ(recording.spans().size(), 3);
  EXPECT_EQ(recording.spans()[0].ends, io::Instant(3ms));
  EXPECT_EQ(recording.spans()[1].ends, io::Instant(10ms));
  EXPECT_EQ(recording.events(), 3);
}

TEST(RecordingTest, KeepsTheLatest) {
  Recording recording;
  for (uint64_t i = 0; i < Recording::kMaxNotes + 5; ++i) {
    recording.OnNote({io::Instant(1ms), "node1", "beats", "", i});
  }
  EXPECT_EQ(recording.notes().size(), Recording::kMaxNotes);
  EXPECT_EQ(recording.notes().front().number, 5);
  EXPECT_EQ(recording.notes_dropped(), 5);
}

TEST(WorldTest, ClearingUpIsNoPartOfTheStory) {
  Recording recording;
  Play play(&recording);
  const uint64_t hash = play.world.trace_hash();
  play.world.EndStory();
  play.world.Note("node1", "is killed", uint64_t{9});
  play.world.Took(Fault::kKill, "node1");
  EXPECT_EQ(play.world.trace_hash(), hash);
  EXPECT_EQ(play.world.faults().of(Fault::kKill), 1);
  EXPECT_EQ(recording.notes().size(), 2);
}

TEST(ChromeTraceTest, HasHostsLivesArrowsAndFaults) {
  Recording recording;
  Play play(&recording);
  recording.Close(play.world.now());
  const std::string trace = ChromeTrace(recording);
  for (const char* part :
       {R"("name":"process_name","args":{"name":"node1"})",
        R"({"ph":"B","pid":1,"tid":1,"ts":0.000,"name":"runs","cat":"span"})",
        R"({"ph":"E","pid":1,"tid":1,"ts":10000.000,"name":"runs",)",
        R"("ts":1000.000,"id":1,"name":"leads in epoch 1")",
        R"({"ph":"f","pid":2,"tid":2,"ts":2000.000,)",
        R"("name":"kill","cat":"fault")"}) {
    EXPECT_TRUE(absl::StrContains(trace, part)) << part << "\n" << trace;
  }
}

TEST(TimelinePageTest, HoldsNoMarkupOfTheRun) {
  Recording recording;
  recording.OnNote({io::Instant(1ms), "</script><b>", "beats", "", 1});
  recording.Close(io::Instant(2ms));
  const std::string page = TimelinePage(
      recording, {.title = "<i>", .cause = "</script><script>alert(1)"});
  EXPECT_FALSE(absl::StrContains(page, "</script><"));
  EXPECT_FALSE(absl::StrContains(page, "<i>"));
  EXPECT_TRUE(absl::StrContains(page, "\\u003c/script>\\u003cb>"));
}

TEST(MarksTest, AreKindsAndToldOnce) {
  Marks marks;
  Play play(&marks);
  EXPECT_EQ(marks.all(), (std::set<std::string>{
                             "event: beat", "event: packet", "node beats",
                             "node kill", "node leads in epoch ",
                             "node receives data from node", "node runs"}));
  EXPECT_EQ(marks.TakeNew(), marks.all());
  Play again(&marks);
  EXPECT_TRUE(marks.TakeNew().empty());
}

std::string LogOf(uint64_t number) {
  std::string text;
  EventLog log([&](absl::string_view lines) {
    text.append(lines.data(), lines.size());
  });
  World world(1);
  world.spectator = &log;
  for (uint64_t i = 0; i < 20; ++i) {
    world.After(1ms, "beat", [&world, i, number] {
      world.Note("node1", "beats", i == 10 ? number : i);
    });
  }
  world.RunFor(1ms);
  log.Flush();
  return text;
}

TEST(EventLogTest, TellsWhereRunsPart) {
  EXPECT_EQ(FirstDifference(LogOf(1), LogOf(1)), std::nullopt);
  const auto difference = FirstDifference(LogOf(1), LogOf(2));
  ASSERT_TRUE(difference.has_value());
  EXPECT_TRUE(absl::StrContains(*difference, "part at line 22."))
      << *difference;
  EXPECT_TRUE(absl::StrContains(*difference,
                                "One:\nN\t1000000\tnode1\tbeats\t"
                                "\t1\n"))
      << *difference;
  EXPECT_TRUE(absl::StrContains(*difference,
                                "The other:\nN\t1000000\tnode1\tbeats\t\t2\n"));
}

TEST(EventLogTest, OneMayEndEarlier) {
  const std::string whole = LogOf(1);
  const std::string begin = whole.substr(0, whole.find('\n') + 1);
  const auto difference = FirstDifference(begin, whole);
  ASSERT_TRUE(difference.has_value());
  EXPECT_TRUE(absl::StrContains(*difference, "part at line 2.")) << *difference;
}

}  // namespace
}  // namespace quorate::sim
