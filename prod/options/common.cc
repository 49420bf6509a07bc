#include "prod/options/common.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace quorate::options {
namespace {

constexpr char kAnyIp[] = "0.0.0.0";

absl::Status CheckIp(const std::string& ip) {
  auto endpoint = io::ParseEndpoint(absl::StrCat(ip, ":0"));
  if (endpoint.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("'", ip, "' is not an IPv4 address such as 10.0.0.1"));
}

absl::Status CheckLevel(const std::string& level) {
  if (level == "INFO" || level == "WARNING" || level == "ERROR") {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", level, "' is not one of INFO, WARNING, ERROR"));
}

std::string MachineName() {
  char name[256] = "";
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "localhost";
}

// The name of an address, or the address itself when it has none.
std::string NameOf(const std::string& ip) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  inet_pton(AF_INET, ip.c_str(), &address.sin_addr);
  char name[NI_MAXHOST];
  if (getnameinfo(reinterpret_cast<const sockaddr*>(&address), sizeof(address),
                  name, sizeof(name), nullptr, 0, NI_NAMEREQD) != 0) {
    return ip;
  }
  return name;
}

}  // namespace

void AddressFlags::AddTo(flags::FlagSet* flags, uint16_t default_port) {
  port = default_port;
  flags
      ->Add(&ip, "ip",
            "IPv4 address to listen on. Without it the program listens on all "
            "addresses and advertises the one that this machine's name "
            "resolves to.")
      .Check(CheckIp);
  flags->Add(&port, "port", "Port to listen on.");
  flags
      ->Add(&advertise_ip, "advertise_ip",
            "Address under which others reach this process, when that is not "
            "the one it listens on.")
      .Check(CheckIp);
  flags->Add(&advertise_port, "advertise_port",
             "Port under which others reach this process, when that is not the "
             "one it listens on.");
  flags->Add(&hostname, "hostname",
             "Name under which this machine is shown and redirected to. "
             "Without it, what the advertised address resolves to.");
  flags->Add(&hostname_lookup, "hostname_lookup",
             "Whether to look up --hostname when it is not given; otherwise "
             "the advertised address is used.");
}

void LoggingFlags::AddTo(flags::FlagSet* flags) {
  flags
      ->Add(&log_dir, "log_dir",
            "Directory for log files; created when missing. Without it, only "
            "standard error is logged to.")
      .Check(CheckAbsolutePath);
  flags
      ->Add(&logging_level, "logging_level",
            "Lowest level that is logged: INFO, WARNING or ERROR.")
      .Check(CheckLevel);
  flags->Add(&quiet, "quiet", "Whether to log nothing to standard error.");
}

absl::StatusOr<std::string> ResolveIp(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (error != 0) {
    return absl::NotFoundError(
        absl::StrCat("cannot resolve '", host, "': ", gai_strerror(error)));
  }
  std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, freeaddrinfo);
  char text[INET_ADDRSTRLEN];
  const auto* address = reinterpret_cast<const sockaddr_in*>(found->ai_addr);
  inet_ntop(AF_INET, &address->sin_addr, text, sizeof(text));
  return std::string(text);
}

absl::StatusOr<Addresses> ResolveAddresses(const AddressFlags& flags) {
  Addresses addresses;
  addresses.bind = {flags.ip.value_or(kAnyIp), flags.port};
  addresses.advertise = addresses.bind;
  if (flags.advertise_ip.has_value()) {
    addresses.advertise.ip = *flags.advertise_ip;
  } else if (addresses.bind.ip == kAnyIp) {
    auto ip = ResolveIp(MachineName());
    if (!ip.ok()) {
      return absl::Status(
          ip.status().code(),
          absl::StrCat(ip.status().message(), "; give --ip or --advertise_ip"));
    }
    addresses.advertise.ip = *ip;
  }
  if (flags.advertise_port.has_value()) {
    addresses.advertise.port = *flags.advertise_port;
  }
  if (flags.hostname.has_value()) {
    addresses.hostname = *flags.hostname;
  } else {
    addresses.hostname = flags.hostname_lookup ? NameOf(addresses.advertise.ip)
                                               : addresses.advertise.ip;
  }
  return addresses;
}

absl::StatusOr<std::vector<io::Endpoint>> ResolveAll(
    const std::vector<election::HostAndPort>& hosts) {
  std::vector<io::Endpoint> endpoints;
  for (const election::HostAndPort& host : hosts) {
    auto ip = ResolveIp(host.host);
    if (!ip.ok()) return ip.status();
    endpoints.push_back({*std::move(ip), host.port});
  }
  return endpoints;
}

absl::StatusOr<election::MasterLocation> ResolveMasters(
    absl::string_view master, io::Duration zk_session_timeout) {
  auto url = election::ParseMasterUrl(master);
  if (!url.ok()) return url.status();
  auto masters = ResolveAll(url->masters);
  if (!masters.ok()) return masters.status();
  election::MasterLocation location;
  location.zookeeper = std::move(url->zookeeper);
  location.zk_session_timeout = zk_session_timeout;
  location.masters = *std::move(masters);
  return location;
}

absl::Status CheckAbsolutePath(const std::string& path) {
  if (absl::StartsWith(path, "/")) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "'", path, "' is not an absolute path: it must begin with '/'"));
}

}  // namespace quorate::options
