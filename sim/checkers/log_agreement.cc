#include "sim/checkers/log_agreement.h"

#include "absl/strings/str_cat.h"

namespace quorate::sim {

class LogAgreement::Observer final : public log::LogObserver {
 public:
  Observer(LogAgreement& checker, std::string replica)
      : checker_(checker), replica_(std::move(replica)) {}

  void OnPromised(uint64_t round, const std::string& member) override {
    const std::pair<uint64_t, std::string> promised{round, member};
    if (promised < promised_) {
      checker_.world_.Fail(absl::StrCat(replica_, " promised round ",
                                        promised_.first, " and then ", round));
    }
    promised_ = promised;
  }

  void OnLearned(uint64_t position, const std::string& entry) override {
    checker_.Learned(replica_, position, entry);
  }

 private:
  LogAgreement& checker_;
  const std::string replica_;
  std::pair<uint64_t, std::string> promised_;
};

LogAgreement::LogAgreement(World& world) : world_(world) {}
LogAgreement::~LogAgreement() = default;

log::LogObserver* LogAgreement::Observe(const std::string& replica) {
  auto& observer = observers_[replica];
  if (observer == nullptr) {
    observer = std::make_unique<Observer>(*this, replica);
  }
  return observer.get();
}

void LogAgreement::Learned(const std::string& replica, uint64_t position,
                           const std::string& entry) {
  auto [known, is_new] = learned_.emplace(position, entry);
  if (!is_new && known->second != entry) {
    world_.Fail(absl::StrCat("at position ", position, " ", replica,
                             " learned another entry than others did"));
  }
  auto acknowledged = acknowledged_.find(position);
  if (acknowledged != acknowledged_.end() &&
      entry.find(acknowledged->second) == std::string::npos) {
    world_.Fail(absl::StrCat("the acknowledged entry at position ", position,
                             " was replaced"));
  }
}

void LogAgreement::Acknowledged(uint64_t position, const std::string& payload) {
  acknowledged_[position] = payload;
  auto known = learned_.find(position);
  if (known == learned_.end() ||
      known->second.find(payload) == std::string::npos) {
    world_.Fail(absl::StrCat("position ", position,
                             " was acknowledged and holds something else"));
  }
}

}  // namespace quorate::sim
