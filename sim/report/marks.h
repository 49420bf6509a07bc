// Which kinds of things have happened at all, in one run or in many: a crude
// measure of what the seeds have reached.
//
// A mark is what was noted, with who did it and to whom, all without digits:
// "replica receives data from replica", "agent launches"; or the kind of an
// event: "event: keep-alive"; or a span: "master leads in epoch". A seed that
// reaches no new mark may still be the first to reach two of them in a new
// order.

#ifndef QUORATE_SIM_REPORT_MARKS_H_
#define QUORATE_SIM_REPORT_MARKS_H_

#include <cstdint>
#include <set>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "sim/world.h"

namespace quorate::sim {

class Marks final : public Spectator {
 public:
  void OnEvent(io::Instant when, const char* kind, uint64_t hash) override;
  void OnNote(const Note& note) override;
  void OnSpan(io::Instant when, absl::string_view who, absl::string_view name,
              bool begins) override;

  const std::set<std::string>& all() const { return all_; }
  // Those since this was last called.
  std::set<std::string> TakeNew();

 private:
  void Add(std::string mark);

  // What has been looked at, so that only what is new costs more than a hash.
  absl::flat_hash_set<uint64_t> seen_;
  std::set<std::string> all_;
  std::set<std::string> new_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_REPORT_MARKS_H_
