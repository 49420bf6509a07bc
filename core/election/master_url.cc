#include "core/election/master_url.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace quorate::election {
namespace {

constexpr absl::string_view kScheme = "zk://";
constexpr absl::string_view kExample = "zk://10.0.0.1:2181,10.0.0.2:2181/mesos";
constexpr size_t kMaxServers = 64;

absl::Status Bad(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("'", WithoutPassword(text), "' ", why,
                   "; expected something like ", kExample));
}

bool ParsePort(absl::string_view text, uint16_t* port) {
  uint32_t number = 0;
  if (!absl::SimpleAtoi(text, &number) || number == 0 || number > 65535) {
    return false;
  }
  *port = static_cast<uint16_t>(number);
  return true;
}

absl::Status CheckPath(absl::string_view url, absl::string_view path) {
  if (path.size() < 2) {
    return Bad(url, "has no path: masters of several clusters would meet");
  }
  for (absl::string_view part : absl::StrSplit(path.substr(1), '/')) {
    if (part.empty() || part == "." || part == "..") {
      return Bad(url, absl::StrCat("has a bad path '", path, "'"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::string WithoutPassword(absl::string_view url) {
  const auto at = url.rfind('@');
  const auto colon = url.find(':', url.find("://") == absl::string_view::npos
                                       ? 0
                                       : url.find("://") + 3);
  if (at == absl::string_view::npos || colon > at) return std::string(url);
  return absl::StrCat(url.substr(0, colon + 1), "****", url.substr(at));
}

absl::StatusOr<ZooKeeperUrl> ParseZooKeeperUrl(absl::string_view text) {
  absl::string_view rest = text;
  if (!absl::ConsumePrefix(&rest, kScheme)) {
    return Bad(text, "does not begin with zk://");
  }
  ZooKeeperUrl url;
  const auto slash = rest.find('/');
  if (slash == absl::string_view::npos) {
    return Bad(text, "has no path: masters of several clusters would meet");
  }
  absl::string_view path = rest.substr(slash);
  while (path.size() > 1 && absl::EndsWith(path, "/")) path.remove_suffix(1);
  if (absl::Status status = CheckPath(text, path); !status.ok()) return status;
  url.path = std::string(path);

  absl::string_view authority = rest.substr(0, slash);
  if (const auto at = authority.rfind('@'); at != absl::string_view::npos) {
    url.credentials = std::string(authority.substr(0, at));
    authority.remove_prefix(at + 1);
    const auto colon = url.credentials.find(':');
    if (colon == std::string::npos || colon == 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the credentials before '@' in a zk:// URL are user:password, as in "
          "zk://user:password@10.0.0.1:2181/mesos"));
    }
  }
  for (absl::string_view server : absl::StrSplit(authority, ',')) {
    const auto colon = server.rfind(':');
    const absl::string_view host = server.substr(0, colon);
    uint16_t port = 2181;
    if (host.empty() || (colon != absl::string_view::npos &&
                         !ParsePort(server.substr(colon + 1), &port))) {
      return Bad(text, absl::StrCat("has a bad server '", server, "'"));
    }
    url.servers.push_back(absl::StrCat(host, ":", port));
  }
  if (url.servers.size() > kMaxServers) {
    return Bad(text, absl::StrCat("names more than ", kMaxServers, " servers"));
  }
  return url;
}

absl::StatusOr<std::vector<HostAndPort>> ParseMasters(absl::string_view text) {
  std::vector<HostAndPort> masters;
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    HostAndPort master;
    const auto colon = part.rfind(':');
    if (colon == absl::string_view::npos || colon == 0 ||
        absl::StrContains(part, "/") ||
        !ParsePort(part.substr(colon + 1), &master.port)) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", WithoutPassword(part),
                       "' is not host:port; expected something like ",
                       "10.0.0.1:5050,10.0.0.2:5050,10.0.0.3:5050"));
    }
    master.host = std::string(part.substr(0, colon));
    if (std::count(masters.begin(), masters.end(), master) != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", part, "' is named twice"));
    }
    masters.push_back(std::move(master));
  }
  if (masters.size() > kMaxServers) {
    return absl::InvalidArgumentError(
        absl::StrCat("more than ", kMaxServers, " masters are named"));
  }
  return masters;
}

absl::StatusOr<MasterUrl> ParseMasterUrl(absl::string_view text) {
  MasterUrl url;
  if (absl::StartsWith(text, kScheme)) {
    auto zookeeper = ParseZooKeeperUrl(text);
    if (!zookeeper.ok()) return zookeeper.status();
    url.zookeeper = *std::move(zookeeper);
    return url;
  }
  auto masters = ParseMasters(text);
  if (!masters.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(masters.status().message(), ", or like ", kExample));
  }
  url.masters = *std::move(masters);
  return url;
}

}  // namespace quorate::election
