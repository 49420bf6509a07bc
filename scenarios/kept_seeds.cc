#include "scenarios/kept_seeds.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace quorate::scenarios {
namespace {

const Scenario* Find(const std::string& name) {
  for (const Scenario& scenario : All()) {
    if (scenario.name == name) return &scenario;
  }
  return nullptr;
}

// The first word of `text`, which keeps the rest.
std::string TakeWord(absl::string_view& text) {
  const std::pair<absl::string_view, absl::string_view> halves =
      absl::StrSplit(text, absl::MaxSplits(' ', 1));
  text = absl::StripLeadingAsciiWhitespace(halves.second);
  return std::string(halves.first);
}

absl::StatusOr<KeptSeed> ParseLine(absl::string_view line) {
  KeptSeed kept;
  kept.story = TakeWord(line);
  const std::string run = TakeWord(line);
  kept.why = std::string(line);
  if (kept.why.empty()) {
    return absl::InvalidArgumentError("expecting STORY SEED WHY");
  }
  if (Find(kept.story) == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("no story is called '", kept.story, "'"));
  }
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(run, absl::MaxSplits('/', 1));
  if (!absl::SimpleAtoi(parts.first, &kept.seed)) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", parts.first, "' is no seed"));
  }
  if (parts.second.empty()) return kept;
  absl::StatusOr<ExtraFault> fault = ParseExtraFault(parts.second);
  if (!fault.ok()) return fault.status();
  kept.extra_fault = *std::move(fault);
  return kept;
}

}  // namespace

absl::StatusOr<std::vector<KeptSeed>> ParseKeptSeeds(absl::string_view text) {
  std::vector<KeptSeed> all;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line.front() == '#') continue;
    absl::StatusOr<KeptSeed> kept = ParseLine(line);
    if (!kept.ok()) {
      return absl::Status(
          kept.status().code(),
          absl::StrCat("line ", number, ": ", kept.status().message()));
    }
    all.push_back(*std::move(kept));
  }
  return all;
}

std::optional<std::string> RunKeptSeed(const KeptSeed& kept) {
  const Scenario& story = *Find(kept.story);
  if (!kept.extra_fault) return Run(story, kept.seed).failure;
  return RunWithExtraFault(story, kept.seed, *kept.extra_fault).outcome.failure;
}

}  // namespace quorate::scenarios
