#include "core/election/cluster_record.h"

#include <glog/logging.h>

#include <cstdint>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace quorate::election {
namespace {

constexpr io::Duration kRetryDelay = std::chrono::seconds(1);
constexpr size_t kIdBytes = 16;
// That no znode has.
constexpr int32_t kNoVersion = std::numeric_limits<int32_t>::max();

}  // namespace

std::string ClusterRecordPath(const ZooKeeperUrl& url) {
  return absl::StrCat(url.path, "/cluster_id");
}

absl::StatusOr<std::string> ParseClusterRecord(
    const ZooKeeperUrl& url, const std::optional<std::string>& content) {
  if (!content) return std::string();
  std::string id = absl::HexStringToBytes(*content);
  if (id.size() == kIdBytes && absl::BytesToHexString(id) == *content) {
    return id;
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "ZooKeeper's znode ", ClusterRecordPath(url),
      content->empty()
          ? std::string(" is empty")
          : absl::StrCat(" holds '", absl::CHexEscape(*content), "'"),
      ", which is no cluster's id"));
}

ClusterRecord::ClusterRecord(io::Environment& environment, GroupOptions group,
                             std::string claim, OnFound found,
                             OnProblem problem)
    : environment_(environment),
      group_(std::move(group)),
      path_(ClusterRecordPath(group_.url)),
      claim_(std::move(claim)),
      found_(std::move(found)),
      problem_(std::move(problem)) {
  WaitForAnswer();
  Connect();
}

ClusterRecord::~ClusterRecord() = default;

void ClusterRecord::WaitForAnswer() {
  unanswered_ = environment_.clock().RunAfter(
      group_.session_timeout, [this] { problem_(DoesNotAnswer(group_.url)); });
}

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
  unanswered_.Cancel();
  Look();
}

void ClusterRecord::OnDisconnected() {
  connected_ = false;
  WaitForAnswer();
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
    if (absl::IsNotFound(status)) return Found(std::nullopt);
    const bool is_there =
        absl::IsFailedPrecondition(status) || absl::IsPermissionDenied(status);
    is_there ? Get(absl::OkStatus()) : Retry(status);
  });
}

void ClusterRecord::Get(const absl::Status& created) {
  session_->Get(path_, nullptr,
                [this, created](absl::StatusOr<io::Znode> znode) {
                  if (absl::IsNotFound(znode.status()) &&
                      absl::IsPermissionDenied(created)) {
                    return Retry(created);
                  }
                  if (!znode.ok()) return Retry(znode.status());
                  Found(std::string(absl::StripAsciiWhitespace(znode->data)));
                });
}

void ClusterRecord::Create(size_t end) {
  const bool last = end == std::string::npos;
  session_->Create(path_.substr(0, end), last ? claim_ : "", {},
                   [this, end, last](absl::StatusOr<std::string> path) {
                     // Who may not create it is told so also when it is there.
                     if (!path.ok() && !absl::IsAlreadyExists(path.status()) &&
                         !absl::IsPermissionDenied(path.status())) {
                       return Retry(path.status());
                     }
                     if (!last) return Create(path_.find('/', end + 1));
                     // Also what was just written: another may have been first.
                     Get(path.status());
                   });
}

void ClusterRecord::Retry(const absl::Status& status) {
  // A broken connection is repaired by OnConnected.
  if (absl::IsUnavailable(status) || absl::IsAborted(status)) return;
  LOG(WARNING) << "ZooKeeper, " << path_ << ": " << status;
  problem_(absl::StrCat("ZooKeeper's znode ", path_, " cannot be ",
                        claim_.empty() ? "read" : "written", ": ",
                        status.message()));
  timer_ = environment_.clock().RunAfter(kRetryDelay, [this] {
    if (connected_) Look();
  });
}

// Not from inside the session, which ends with this.
void ClusterRecord::Found(std::optional<std::string> content) {
  timer_ = environment_.clock().RunAfter(io::Duration::zero(),
                                         [this, content = std::move(content)] {
                                           const OnFound found = found_;
                                           found(content);
                                         });
}

}  // namespace quorate::election
