#include "core/cli/zookeeper_masters.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "core/api/json.h"
#include "core/api/mesos.pb.h"

namespace quorate::cli {
namespace {

constexpr absl::string_view kLabel = "json.info_";

absl::StatusOr<io::Endpoint> AddressOf(const std::string& content) {
  mesos::v1::MasterInfo info;
  if (auto parsed = api::JsonToMessage(content, &info); !parsed.ok()) {
    return parsed;
  }
  // "master@10.0.0.1:5050"
  absl::string_view address = info.pid();
  absl::ConsumePrefix(&address, "master@");
  return io::ParseEndpoint(address);
}

}  // namespace

ZooKeeperMasters::ZooKeeperMasters(io::Environment& environment,
                                   election::ZooKeeperUrl url,
                                   io::Duration timeout, OnFound found)
    : environment_(environment),
      url_(std::move(url)),
      found_(std::move(found)) {
  deadline_ = environment_.clock().RunAfter(timeout, [this] {
    Finish(absl::UnavailableError(absl::StrCat(
        "ZooKeeper does not answer at ", absl::StrJoin(url_.servers, ", "))));
  });
  auto session = environment_.coordination().Connect(
      {.servers = url_.servers, .credentials = url_.credentials}, this);
  if (session.ok()) {
    session_ = *std::move(session);
  } else {
    Finish(session.status());
  }
}

ZooKeeperMasters::~ZooKeeperMasters() = default;

void ZooKeeperMasters::OnConnected(int64_t) {
  session_->GetChildren(url_.path, nullptr,
                        [this](const auto& names) { OnNames(names); });
}

void ZooKeeperMasters::OnExpired() {
  Finish(absl::UnavailableError("ZooKeeper has ended the session"));
}

void ZooKeeperMasters::OnAuthenticationFailed() {
  Finish(absl::PermissionDeniedError(
      "ZooKeeper refused the credentials of the zk:// URL"));
}

void ZooKeeperMasters::OnNames(
    const absl::StatusOr<std::vector<std::string>>& names) {
  if (absl::IsUnavailable(names.status())) return;  // It connects anew.
  if (!names.ok() && !absl::IsNotFound(names.status())) {
    return Finish(absl::Status(names.status().code(),
                               absl::StrCat("ZooKeeper, at ", url_.path, ": ",
                                            names.status().message())));
  }
  missing_ = 1;
  lost_ = false;
  if (names.ok()) {
    for (const std::string& name : *names) {
      if (!absl::StartsWith(name, kLabel)) continue;
      ++missing_;
      session_->Get(absl::StrCat(url_.path, "/", name), nullptr,
                    [this](const auto& znode) { OnMaster(znode); });
    }
  }
  OnMaster(absl::NotFoundError(""));
}

void ZooKeeperMasters::OnMaster(const absl::StatusOr<io::Znode>& znode) {
  if (znode.ok()) {
    if (auto address = AddressOf(znode->data); address.ok()) {
      masters_.insert(*address);
    }
  }
  lost_ = lost_ || absl::IsUnavailable(znode.status());
  if (--missing_ > 0 || lost_) return;
  if (!masters_.empty()) {
    return Finish(std::vector<io::Endpoint>(masters_.begin(), masters_.end()));
  }
  Finish(absl::NotFoundError(absl::StrCat(
      "no master is announced in ZooKeeper at ", url_.path,
      ": is the path right, and does a master run with this --zk?")));
}

void ZooKeeperMasters::Finish(
    absl::StatusOr<std::vector<io::Endpoint>> outcome) {
  if (std::exchange(finished_, true)) return;
  finish_ = environment_.clock().RunAfter(io::Duration::zero(),
                                          [this, outcome = std::move(outcome)] {
                                            const OnFound found = found_;
                                            found(outcome);
                                          });
}

}  // namespace quorate::cli
