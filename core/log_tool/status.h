// The status of a running log, as its leader sees it, and how people and
// scripts read it.

#ifndef QUORATE_CORE_LOG_TOOL_STATUS_H_
#define QUORATE_CORE_LOG_TOOL_STATUS_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/json/writer.h"
#include "core/log/log.pb.h"
#include "core/log_tool/client.h"

namespace quorate::log_tool {

// Asks whichever of the servers answers, and then the leader that it names.
class StatusQuestion {
 public:
  // Errors as of Client::Ask.
  using OnStatus = std::function<void(absl::StatusOr<log::LogStatusProto>)>;

  // `environment` outlives it. `done` may destroy it.
  StatusQuestion(io::Environment& environment,
                 std::vector<io::Endpoint> servers, OnStatus done);

 private:
  void AskLeader();

  io::Environment& environment_;
  const OnStatus done_;
  Client client_;
  std::unique_ptr<Client> leader_client_;
  log::LogStatusProto asked_;
};

std::vector<std::string> StatusLines(const log::LogStatusProto& status);
// The fields of an object that is open.
void WriteStatus(const log::LogStatusProto& status, json::JsonWriter& writer);

}  // namespace quorate::log_tool

#endif  // QUORATE_CORE_LOG_TOOL_STATUS_H_
