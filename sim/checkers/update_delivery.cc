#include "sim/checkers/update_delivery.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace quorate::sim {

class UpdateDelivery::Observer final : public agent::UpdateObserver {
 public:
  Observer(UpdateDelivery& checker, std::string agent)
      : checker_(checker), agent_(std::move(agent)) {}

  void OnTaken(const std::string& framework_id, const std::string& task_id,
               const std::string& uuid, bool durable) override {
    checker_.Taken(agent_, framework_id, task_id, uuid, durable);
  }

 private:
  UpdateDelivery& checker_;
  const std::string agent_;
};

UpdateDelivery::UpdateDelivery(World& world) : world_(world) {}
UpdateDelivery::~UpdateDelivery() = default;

agent::UpdateObserver* UpdateDelivery::Observe(const std::string& agent) {
  auto& observer = observers_[agent];
  if (observer == nullptr) observer = std::make_unique<Observer>(*this, agent);
  return observer.get();
}

void UpdateDelivery::Taken(const std::string& agent,
                           const std::string& framework_id,
                           const std::string& task_id, const std::string& uuid,
                           bool durable) {
  Stream& stream = streams_[{agent, framework_id, task_id}];
  if (std::find(stream.uuids.begin(), stream.uuids.end(), uuid) !=
      stream.uuids.end()) {
    return;  // Again, by a restarted agent or an executor that repeats.
  }
  // A launch was on its way when its framework was removed.
  if (removed_frameworks_.count(framework_id) > 0) stream.excused = true;
  stream.uuids.push_back(uuid);
  stream.durable.push_back(durable);
  ++taken_;
}

void UpdateDelivery::Heard(const std::string& agent,
                           const std::string& framework_id,
                           const std::string& task_id,
                           const std::string& uuid) {
  Stream& stream = streams_[{agent, framework_id, task_id}];
  if (stream.excused) return;
  const auto found = std::find(stream.uuids.begin(), stream.uuids.end(), uuid);
  if (found == stream.uuids.end()) {
    return world_.Fail(absl::StrCat(
        "an update of ", task_id, " is heard that ", agent,
        " has not taken, or has not made durable before it told anybody"));
  }
  const size_t index = found - stream.uuids.begin();
  if (index < stream.heard) return;
  // A restart may have lost what was not durable.
  const auto skipped = std::find(stream.durable.begin() + stream.heard,
                                 stream.durable.begin() + index, true);
  if (skipped != stream.durable.begin() + index) {
    return world_.Fail(absl::StrCat(
        "update ", index + 1, " of ", task_id, " is heard after ", stream.heard,
        " of them: ", agent, " has left out what is between"));
  }
  stream.heard = index + 1;
  ++heard_;
}

void UpdateDelivery::Forgotten(const std::string& agent) {
  for (auto& [key, stream] : streams_) {
    if (std::get<0>(key) == agent) stream.excused = true;
  }
}

void UpdateDelivery::FrameworkRemoved(const std::string& framework_id) {
  removed_frameworks_.insert(framework_id);
  for (auto& [key, stream] : streams_) {
    if (std::get<1>(key) == framework_id) stream.excused = true;
  }
}

std::string UpdateDelivery::Unheard() const {
  std::string unheard;
  for (const auto& [key, stream] : streams_) {
    if (stream.excused) continue;
    // What is not durable may have been lost with everything after it.
    const size_t due =
        std::find(stream.durable.begin(), stream.durable.end(), false) -
        stream.durable.begin();
    if (stream.heard >= due) continue;
    absl::StrAppend(&unheard, due - stream.heard, " updates of ",
                    std::get<2>(key), " on ", std::get<0>(key), "; ");
  }
  return unheard;
}

}  // namespace quorate::sim
