#include "core/election/cluster_record.h"

#include <glog/logging.h>

#include <cstdint>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace quorate::election {
namespace {

constexpr io::Duration kRetryDelay = std::chrono::seconds(1);
// That no znode has.
constexpr int32_t kNoVersion = std::numeric_limits<int32_t>::max();

}  // namespace

std::string ClusterRecordPath(const ZooKeeperUrl& url) {
  return absl::StrCat(url.path, "/cluster_id");
}

ClusterRecord::ClusterRecord(io::Environment& environment, GroupOptions group,
                             std::string claim, OnFound found)
    : environment_(environment),
      group_(std::move(group)),
      path_(ClusterRecordPath(group_.url)),
      claim_(std::move(claim)),
      found_(std::move(found)) {
  Connect();
}

ClusterRecord::~ClusterRecord() = default;

void ClusterRecord::Connect() {
  auto session = environment_.coordination().Connect(
      {.servers = group_.url.servers,
       .session_timeout = group_.session_timeout,
       .credentials = group_.url.credentials},
      this);
  if (session.ok()) {
    session_ = *std::move(session);
    return;
  }
  environment_.Exit(io::kExitFailure, absl::StrCat("cannot use ZooKeeper: ",
                                                   session.status().message()));
}

void ClusterRecord::OnConnected(int64_t) {
  connected_ = true;
  Look();
}

void ClusterRecord::OnExpired() {
  session_.reset();
  connected_ = false;
  timer_ = environment_.clock().RunAfter(kRetryDelay, [this] { Connect(); });
}

void ClusterRecord::OnAuthenticationFailed() {
  session_.reset();
  environment_.Exit(io::kExitFailure,
                    "ZooKeeper refused the credentials of the zk:// URL");
}

// A server that is behind may not have the znode yet, and a read would not
// tell. A write would: this one, which never changes anything.
void ClusterRecord::Look() {
  if (!claim_.empty()) return Create(path_.find('/', 1));
  session_->Set(path_, "", kNoVersion, [this](const absl::Status& status) {
    if (absl::IsNotFound(status)) return Found("");
    const bool is_there =
        absl::IsFailedPrecondition(status) || absl::IsPermissionDenied(status);
    is_there ? Get() : Retry(status);
  });
}

void ClusterRecord::Get() {
  session_->Get(path_, nullptr, [this](absl::StatusOr<io::Znode> znode) {
    if (!znode.ok()) return Retry(znode.status());
    Found(std::string(absl::StripAsciiWhitespace(znode->data)));
  });
}

void ClusterRecord::Create(size_t end) {
  const bool last = end == std::string::npos;
  session_->Create(path_.substr(0, end), last ? claim_ : "", {},
                   [this, end, last](absl::StatusOr<std::string> path) {
                     if (!path.ok() && !absl::IsAlreadyExists(path.status())) {
                       return Retry(path.status());
                     }
                     if (!last) return Create(path_.find('/', end + 1));
                     // Also what was just written: another may have been first.
                     Get();
                   });
}

void ClusterRecord::Retry(const absl::Status& status) {
  // A broken connection is repaired by OnConnected.
  if (absl::IsUnavailable(status) || absl::IsAborted(status)) return;
  LOG(WARNING) << "ZooKeeper, " << path_ << ": " << status;
  timer_ = environment_.clock().RunAfter(kRetryDelay, [this] {
    if (connected_) Look();
  });
}

// Not from inside the session, which ends with this.
void ClusterRecord::Found(std::string id) {
  timer_ = environment_.clock().RunAfter(io::Duration::zero(),
                                         [this, id = std::move(id)] {
                                           const OnFound found = found_;
                                           found(id);
                                         });
}

}  // namespace quorate::election
