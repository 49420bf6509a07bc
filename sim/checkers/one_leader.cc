#include "sim/checkers/one_leader.h"

#include "absl/strings/str_cat.h"

namespace quorate::sim {

void OneLeader::Acts(const std::string& master_id, uint64_t epoch) {
  auto known = leaders_.find(epoch);
  if (known != leaders_.end()) {
    if (known->second == master_id) return;
    return world_.Fail(absl::StrCat("masters ", known->second, " and ",
                                    master_id, " both act in epoch ", epoch));
  }
  if (!leaders_.empty() && epoch < leaders_.rbegin()->first) {
    world_.Fail(absl::StrCat("master ", master_id, " begins to act in epoch ",
                             epoch, ", after one of epoch ",
                             leaders_.rbegin()->first));
  }
  leaders_[epoch] = master_id;
}

}  // namespace quorate::sim
