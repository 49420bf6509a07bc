// What a worker writes is read back as it was, or not at all.

#include "scenarios/job.h"

#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "scenarios/scenario.h"

namespace quorate::scenarios {

SCENARIO(Job, Story) { world.RunFor(1s); }

namespace {

Result SomeResult() {
  Result result;
  result.job.seed = 7;
  result.ending = Ending::kViolation;
  result.cause = "two\tleaders\nin one epoch";
  result.report = "a \\ report";
  result.trace_hash = 1;
  result.events = 2;
  result.simulated = 3s;
  result.faults.Add(sim::Fault::kKill, 4);
  result.marks = {"a\tmark", "b"};
  return result;
}

TEST(JobTest, ALineIsReadBack) {
  const absl::StatusOr<Result> read = FromLine(ToLine(SomeResult()));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(ToLine(*read), ToLine(SomeResult()));
  EXPECT_EQ(read->cause, SomeResult().cause);
  EXPECT_EQ(read->faults.of(sim::Fault::kKill), 4u);
  EXPECT_EQ(read->marks, SomeResult().marks);
}

TEST(JobTest, MalformedLinesAreRefused) {
  const std::vector<std::string> fields =
      absl::StrSplit(ToLine(SomeResult()), '\t');
  const auto refused = [&fields](size_t field, const std::string& text) {
    std::vector<std::string> other = fields;
    other[field] = text;
    return !FromLine(absl::StrJoin(other, "\t")).ok();
  };
  EXPECT_TRUE(refused(0, "1"));  // There is one scenario.
  EXPECT_TRUE(refused(1, "x"));
  EXPECT_TRUE(refused(2, "6"));
  EXPECT_TRUE(refused(2, "-1"));
  EXPECT_TRUE(refused(3, "\\"));
  EXPECT_TRUE(refused(7, "-1"));
  EXPECT_TRUE(refused(8, ""));
  EXPECT_TRUE(refused(8, "1 2"));
  EXPECT_TRUE(refused(8, fields[8] + " 0"));
  EXPECT_TRUE(refused(8, fields[8] + " "));
  EXPECT_TRUE(refused(9, "\\"));
  EXPECT_FALSE(refused(9, "c"));
  EXPECT_FALSE(FromLine("").ok());
}

}  // namespace
}  // namespace quorate::scenarios
