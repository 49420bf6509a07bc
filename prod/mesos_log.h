// What the commands of mesos-log share, and what they do.

#ifndef QUORATE_PROD_MESOS_LOG_H_
#define QUORATE_PROD_MESOS_LOG_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/json/writer.h"
#include "io/network.h"

namespace quorate::mesos_log {

struct Flags {
  std::string path;
  std::string server;
  std::string from;
  std::string to;
  std::string members;
  std::string genesis;
  std::string confirm;
  std::string listen;
  std::string advertise;
  std::string peers;
  std::string join_token;
  std::string logging_level = "WARNING";
  int32_t quorum = 1;
  uint64_t first = 0;
  uint64_t last = ~uint64_t{0};
  uint64_t size = 128;
  uint64_t outstanding = 1;
  double seconds = 5;
  bool election = false;
  bool initialize = true;
  bool bulk = false;
  bool json = false;
};

std::string Hex(const std::string& bytes);
void Print(const std::string& line);
// One JSON object with --json, otherwise the lines.
void Show(const Flags& flags,
          const std::function<void(json::JsonWriter&)>& fields,
          const std::vector<std::string>& lines);
// Ends the process: with 0, or with 1 and the message on standard error, and
// perhaps as JSON on standard output.
[[noreturn]] void Finish(const absl::Status& status);
void ReportErrorsAsJson(bool report);
// "ip:port,ip:port", maybe none.
absl::StatusOr<std::vector<io::Endpoint>> Endpoints(const std::string& text);

// Of running logs.
absl::Status RunOnlineStatus(const Flags& flags);
absl::Status RunMembers(const Flags& flags,
                        const std::vector<std::string>& words);
absl::Status RunAppendLoop(const Flags& flags);

// Processes.
absl::Status RunReplica(const Flags& flags);
absl::Status RunBenchmark(const Flags& flags);

// Of stopped replicas.
absl::Status RunFormat(const Flags& flags);
absl::Status RunOfflineStatus(const Flags& flags);
absl::Status RunRead(const Flags& flags);
absl::Status RunDump(const Flags& flags);
absl::Status RunVerify(const Flags& flags);
absl::Status RunBackup(const Flags& flags);
absl::Status RunRestore(const Flags& flags);
absl::Status RunForce(const Flags& flags);

}  // namespace quorate::mesos_log

#endif  // QUORATE_PROD_MESOS_LOG_H_
