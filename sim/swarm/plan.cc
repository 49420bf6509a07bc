#include "sim/swarm/plan.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace quorate::sim {
namespace {

template <typename Knobs>
auto Find(Knobs& knobs, absl::string_view name) {
  return std::find_if(
      knobs.begin(), knobs.end(),
      [name](const Plan::Knob& knob) { return knob.name == name; });
}

std::string Assignment(const Plan::Knob& knob) {
  return absl::StrCat(knob.name, "=", knob.value);
}

}  // namespace

void Plan::Add(const Knob& knob) {
  CHECK(Find(knobs_, knob.name) == knobs_.end()) << knob.name << " twice";
  CHECK_LE(knob.value, knob.most) << knob.name;
  CHECK_LE(knob.tame, knob.most) << knob.name;
  knobs_.push_back(knob);
}

uint64_t Plan::at(absl::string_view name) const {
  const auto knob = Find(knobs_, name);
  CHECK(knob != knobs_.end()) << "no knob " << name;
  return knob->value;
}

absl::Status Plan::Set(absl::string_view name, uint64_t value) {
  const auto knob = Find(knobs_, name);
  if (knob == knobs_.end()) {
    return absl::NotFoundError(absl::StrCat(
        "this plan has no '", name, "'; it has: ",
        absl::StrJoin(knobs_, ", ", [](std::string* out, const Knob& knob) {
          absl::StrAppend(out, knob.name);
        })));
  }
  const uint64_t least = knob->kind == Kind::kSize ? knob->tame : 0;
  if (value < least || value > knob->most) {
    return absl::OutOfRangeError(absl::StrCat("'", name, "' has to be between ",
                                              least, " and ", knob->most));
  }
  knob->value = value;
  return absl::OkStatus();
}

std::string Plan::ToString() const {
  std::vector<std::string> parts;
  for (const Knob& knob : knobs_) {
    if (knob.value != knob.tame || knob.kind == Kind::kSize) {
      parts.push_back(Assignment(knob));
    }
  }
  return absl::StrJoin(parts, " ");
}

std::string Plan::Difference(const Plan& drawn) const {
  std::vector<std::string> parts;
  for (const Knob& knob : knobs_) {
    if (knob.value != drawn.at(knob.name)) parts.push_back(Assignment(knob));
  }
  return absl::StrJoin(parts, ",");
}

absl::StatusOr<std::vector<Setting>> ParseSettings(absl::string_view text) {
  std::vector<Setting> settings;
  for (absl::string_view part : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    const std::pair<std::string, std::string> sides =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    Setting setting{sides.first, 0};
    if (!absl::SimpleAtoi(sides.second, &setting.value)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "'", part, "' is not NAME=NUMBER, as in kill=0,storm-ms=500"));
    }
    settings.push_back(std::move(setting));
  }
  return settings;
}

namespace {

// Values to try instead, the greatest change first.
std::vector<uint64_t> Tamer(const Plan::Knob& knob) {
  if (knob.value == knob.tame) return {};
  std::vector<uint64_t> values = {knob.tame};
  if (knob.value < knob.tame) return values;
  const uint64_t excess = knob.value - knob.tame;
  for (const uint64_t rest : {excess / 8, excess / 2, excess * 7 / 8}) {
    if (rest != 0 && rest != excess) values.push_back(knob.tame + rest);
  }
  return values;
}

}  // namespace

Plan Shrink(Plan failing, const std::function<bool(const Plan&)>& fails,
            const std::function<bool()>& may_go_on) {
  bool smaller = true;
  while (smaller) {
    smaller = false;
    for (size_t i = 0; i < failing.knobs().size(); ++i) {
      for (const uint64_t value : Tamer(failing.knobs()[i])) {
        if (!may_go_on()) return failing;
        Plan candidate = failing;
        if (!candidate.Set(failing.knobs()[i].name, value).ok()) continue;
        if (!fails(candidate)) continue;
        failing = std::move(candidate);
        smaller = true;
        break;
      }
    }
  }
  return failing;
}

}  // namespace quorate::sim
