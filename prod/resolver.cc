#include "prod/resolver.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "prod/disk.h"

namespace quorate::prod {
namespace {

std::string HostOf(const std::string& server) {
  return server.substr(0, server.rfind(':'));
}

std::string PortOf(const std::string& server) {
  return server.substr(server.rfind(':') + 1);
}

bool IsInDigits(const std::string& host) {
  in6_addr any;
  return inet_pton(AF_INET, host.c_str(), &any) == 1 ||
         inet_pton(AF_INET6, host.c_str(), &any) == 1;
}

}  // namespace

bool InDigits(const std::vector<std::string>& servers) {
  return std::all_of(
      servers.begin(), servers.end(),
      [](const std::string& server) { return IsInDigits(HostOf(server)); });
}

Addresses LookUpAddresses(const std::string& host) {
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  if (getaddrinfo(host.c_str(), nullptr, &hints, &list) != 0) return {};
  Addresses addresses;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    char digits[NI_MAXHOST];
    if (getnameinfo(entry->ai_addr, entry->ai_addrlen, digits, sizeof(digits),
                    nullptr, 0, NI_NUMERICHOST) == 0) {
      addresses.emplace_back(digits);
    }
  }
  freeaddrinfo(list);
  // Name servers give them in any order: only a change is to be seen.
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()),
                  addresses.end());
  return addresses;
}

Resolver::Resolver(EventLoop* loop, LookUpHost look_up)
    : loop_(loop), look_up_(std::move(look_up)) {}

Resolver::Lookup Resolver::LookUp(const Servers& servers,
                                  std::function<void()> done) {
  auto lookup = std::make_shared<std::function<void()>>(std::move(done));
  auto& waiting = waiting_[servers];
  const bool under_way = !waiting.empty();
  waiting.erase(
      std::remove_if(waiting.begin(), waiting.end(),
                     [](const auto& waiter) { return waiter.expired(); }),
      waiting.end());
  waiting.push_back(lookup);
  if (under_way) return lookup;
  if (lane_ == nullptr) lane_ = NewThreadLane(loop_, "resolver");
  auto found = std::make_shared<Found>();
  lane_->Run(
      [servers, found, look_up = look_up_] {
        for (const std::string& server : servers) {
          const std::string host = HostOf(server);
          if (!IsInDigits(host)) (*found)[host] = look_up(host);
        }
      },
      [this, servers, found] { OnFound(servers, *found); });
  return lookup;
}

void Resolver::OnFound(const Servers& servers, const Found& found) {
  for (const auto& [host, addresses] : found) {
    if (!addresses.empty()) known_[host] = addresses;
  }
  const auto waiting = waiting_.extract(servers);
  for (const auto& waiter : waiting.mapped()) {
    if (const Lookup lookup = waiter.lock()) (*lookup)();
  }
}

std::vector<std::string> Resolver::Known(const Servers& servers) const {
  std::vector<std::string> known;
  for (const std::string& server : servers) {
    const std::string host = HostOf(server);
    if (IsInDigits(host)) {
      known.push_back(server);
    } else if (auto it = known_.find(host); it != known_.end()) {
      for (const std::string& address : it->second) {
        known.push_back(absl::StrCat(address, ":", PortOf(server)));
      }
    }
  }
  return known;
}

}  // namespace quorate::prod
