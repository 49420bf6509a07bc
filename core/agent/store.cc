#include "core/agent/store.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace quorate::agent {

Store::Store(io::Environment& environment, const std::string& work_dir)
    : environment_(environment),
      paths_(work_dir),
      checkpoints_(std::make_unique<Checkpoints>(environment.disk(), work_dir)),
      lane_(environment.NewLane("checkpoints")) {}

Store::~Store() = default;

void Store::Try(Work work, std::function<void(const absl::Status&)> done) {
  auto outcome = std::make_shared<absl::Status>();
  lane_->Run(
      [outcome, work = std::move(work), checkpoints = checkpoints_.get()] {
        *outcome = work(*checkpoints);
      },
      [outcome, done = std::move(done)] { done(*outcome); });
}

void Store::Write(Work work, std::function<void()> done) {
  Try(std::move(work), [this, done = std::move(done)](const absl::Status& s) {
    if (s.ok()) return done();
    environment_.Exit(io::kExitDiskFailure,
                      absl::StrCat("cannot write to ", paths_.work_dir(),
                                   "/meta: ", s.ToString()));
  });
}

}  // namespace quorate::agent
