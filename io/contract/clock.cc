#include "io/clock.h"

#include <chrono>
#include <string>
#include <vector>

#include "io/contract/suites.h"

namespace quorate::io::contract {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

TEST_P(ClockContract, TimePassesAtLeastAsAskedFor) {
  Clock& clock = environment().clock();
  const Instant start = clock.Now();
  Instant fired;
  const Timer timer =
      clock.RunAfter(milliseconds(20), [&] { fired = clock.Now(); });
  ASSERT_TRUE(Await([&] { return fired != Instant(); }));
  EXPECT_GE(fired - start, milliseconds(20));
  EXPECT_GE(clock.Now(), fired);
}

TEST_P(ClockContract, WallTimeIsAfter2001) {
  EXPECT_GT(ToUnixSeconds(environment().clock().WallNow()), 1e9);
}

TEST_P(ClockContract, TimersRunInOrderOfTheirTime) {
  Clock& clock = environment().clock();
  std::vector<int> order;
  std::vector<Timer> timers;
  for (int delay : {30, 10, 20, 1}) {
    timers.push_back(clock.RunAfter(milliseconds(delay),
                                    [&, delay] { order.push_back(delay); }));
  }
  ASSERT_TRUE(Await([&] { return order.size() == 4; }));
  EXPECT_EQ(order, (std::vector<int>{1, 10, 20, 30}));
}

TEST_P(ClockContract, TimersThatAreDueRunInOrderOfCreation) {
  Clock& clock = environment().clock();
  std::vector<int> order;
  std::vector<Timer> timers;
  int i = 0;
  for (Duration delay : {Duration(0), Duration(hours(-1)), Duration(0),
                         Duration(milliseconds(-1)), Duration(0)}) {
    timers.push_back(clock.RunAfter(delay, [&, i] { order.push_back(i); }));
    ++i;
  }
  EXPECT_TRUE(order.empty()) << "a timer ran inside RunAfter";
  ASSERT_TRUE(Await([&] { return order.size() == 5; }));
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST_P(ClockContract, AnEndlessChainOfTimersStarvesNobody) {
  Clock& clock = environment().clock();
  int turns = 0;
  Timer chain;
  std::function<void()> next = [&] {
    ++turns;
    chain = clock.RunAfter(Duration(0), next);
  };
  next();
  bool fired = false;
  const Timer other = clock.RunAfter(Duration(0), [&] { fired = true; });
  ASSERT_TRUE(Await([&] { return fired; }));
  // The chain began first; it does not run twice before the other does.
  EXPECT_LE(turns, 2);
}

TEST_P(ClockContract, CancelledTimersDoNotRun) {
  Clock& clock = environment().clock();
  int ran = 0;
  const auto run = [&ran] { ++ran; };
  Timer cancelled = clock.RunAfter(milliseconds(1), run);
  cancelled.Cancel();
  cancelled.Cancel();
  Timer replaced = clock.RunAfter(milliseconds(1), run);
  replaced = Timer();
  {
    const Timer destroyed = clock.RunAfter(Duration(0), run);
  }
  Settle();
  EXPECT_EQ(ran, 0);
}

TEST_P(ClockContract, AMovedTimerStillRuns) {
  bool ran = false;
  Timer first =
      environment().clock().RunAfter(Duration(0), [&] { ran = true; });
  const Timer second = std::move(first);
  first = Timer();
  EXPECT_TRUE(Await([&] { return ran; }));
}

TEST_P(ClockContract, ATimerCancelsOthersThatAreDueAsWell) {
  Clock& clock = environment().clock();
  bool ran = false;
  Timer victim;
  const Timer killer = clock.RunAfter(Duration(0), [&] { victim.Cancel(); });
  victim = clock.RunAfter(Duration(0), [&] { ran = true; });
  Settle();
  EXPECT_FALSE(ran);
}

TEST_P(ClockContract, ATimerMayGoAwayInItsOwnCallback) {
  struct Owner {
    Timer timer;
  };
  auto owner = std::make_unique<Owner>();
  const std::string text(100, 'x');
  std::string after;
  owner->timer = environment().clock().RunAfter(Duration(0), [&, text] {
    owner.reset();
    after = text;  // Of the callback itself, which still runs.
  });
  ASSERT_TRUE(Await([&] { return !after.empty(); }));
  EXPECT_EQ(after, text);
}

TEST_P(ClockContract, CancellingAFinishedTimerDoesNothing) {
  Clock& clock = environment().clock();
  bool first_ran = false;
  bool second_ran = false;
  Timer first = clock.RunAfter(Duration(0), [&] { first_ran = true; });
  ASSERT_TRUE(Await([&] { return first_ran; }));
  const Timer second = clock.RunAfter(Duration(0), [&] { second_ran = true; });
  first.Cancel();
  EXPECT_TRUE(Await([&] { return second_ran; }));
}

}  // namespace
}  // namespace quorate::io::contract
