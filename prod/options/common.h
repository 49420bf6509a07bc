// Flags that several programs share, and what they mean on this machine.

#ifndef QUORATE_PROD_OPTIONS_COMMON_H_
#define QUORATE_PROD_OPTIONS_COMMON_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/election/election.h"
#include "core/flags/flags.h"
#include "io/clock.h"
#include "io/network.h"

namespace quorate::options {

struct AddressFlags {
  std::optional<std::string> ip;
  uint16_t port = 0;
  std::optional<std::string> advertise_ip;
  std::optional<uint16_t> advertise_port;
  std::optional<std::string> hostname;
  bool hostname_lookup = true;

  void AddTo(flags::FlagSet* flags, uint16_t default_port);
};

// Where to listen, and how others reach this process.
struct Addresses {
  io::Endpoint bind;
  io::Endpoint advertise;
  std::string hostname;
};

// Without --ip listens everywhere and advertises the address that this
// machine's name resolves to. Errors tell which flag helps.
absl::StatusOr<Addresses> ResolveAddresses(const AddressFlags& flags);

struct LoggingFlags {
  std::optional<std::string> log_dir;
  std::string logging_level = "INFO";
  bool quiet = false;

  void AddTo(flags::FlagSet* flags);
};

// The first IPv4 address of a name, or the address itself.
absl::StatusOr<std::string> ResolveIp(const std::string& host);

// Where those are, in this order.
absl::StatusOr<std::vector<io::Endpoint>> ResolveAll(
    const std::vector<election::HostAndPort>& hosts);

// What --master says.
absl::StatusOr<election::MasterLocation> ResolveMasters(
    absl::string_view master, io::Duration zk_session_timeout);

// A flag's check: an absolute path.
absl::Status CheckAbsolutePath(const std::string& path);

}  // namespace quorate::options

#endif  // QUORATE_PROD_OPTIONS_COMMON_H_
