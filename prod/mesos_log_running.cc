// mesos-log's commands for running logs.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "core/log_tool/client.h"
#include "core/log_tool/offline.h"
#include "core/log_tool/status.h"
#include "prod/environment.h"
#include "prod/event_loop.h"
#include "prod/mesos_log.h"

namespace quorate::mesos_log {

using json::JsonWriter;

absl::StatusOr<std::vector<io::Endpoint>> Endpoints(const std::string& text) {
  std::vector<io::Endpoint> endpoints;
  for (absl::string_view one :
       absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    auto endpoint = io::ParseEndpoint(absl::StripAsciiWhitespace(one));
    if (!endpoint.ok()) return endpoint.status();
    endpoints.push_back(*endpoint);
  }
  return endpoints;
}

namespace {

class Asker {
 public:
  Asker(const Flags& flags, std::vector<io::Endpoint> servers)
      : flags_(flags),
        servers_(std::move(servers)),
        environment_(&loop_, {}),
        client_(environment_, {.servers = servers_}) {}

  [[noreturn]] void Status() {
    log_tool::StatusQuestion question(environment_, servers_,
                                      [this](const auto& status) {
                                        if (!status.ok())
                                          Finish(status.status());
                                        ShowStatus(*status);
                                        Finish(absl::OkStatus());
                                      });
    environment_.Run();
  }

  [[noreturn]] void Change(std::vector<std::string> add,
                           std::vector<std::string> remove) {
    log::AdminRequest request;
    request.mutable_status();
    client_.Ask(std::move(request), [this, add, remove](auto reply) {
      if (!reply.ok()) return Finish(reply.status());
      log::AdminRequest change;
      log::ChangeMembers& wanted = *change.mutable_change_members();
      wanted.set_bulk(flags_.bulk);
      wanted.set_reason("mesos-log members");
      for (const std::string& id : add) {
        wanted.add_add(Resolve(reply->status(), id));
      }
      for (const std::string& id : remove) {
        wanted.add_remove(Resolve(reply->status(), id));
      }
      // Not from inside the client's own callback.
      later_ = environment_.clock().RunAfter(
          io::Duration::zero(),
          [this, change = std::move(change)] { Send(change); });
    });
    environment_.Run();
  }

  [[noreturn]] void AppendLoop() {
    log::AdminRequest request;
    request.mutable_status();
    // An append waits for long; first see whether anybody is there.
    client_.Ask(std::move(request), [this](auto reply) {
      if (!reply.ok()) return Finish(reply.status());
      later_ = environment_.clock().RunAfter(io::Duration::zero(),
                                             [this] { AppendNext(); });
    });
    environment_.Run();
  }

 private:
  void Send(const log::AdminRequest& change) {
    client_.Ask(change, [this, change](auto reply) {
      if (!reply.ok()) return Finish(reply.status());
      if (reply->code() != 0) {
        return Finish(absl::Status(static_cast<absl::StatusCode>(reply->code()),
                                   reply->message()));
      }
      const bool removed = change.change_members().remove_size() > 0;
      Show(flags_, [](JsonWriter& w) { w.Key("done").Bool(true); },
           {removed ? "Done. Members that were removed may be stopped now."
                    : "Done."});
      Finish(absl::OkStatus());
    });
  }

  void AppendNext() {
    log::AdminRequest request;
    request.set_append(std::string(flags_.size, 'x'));
    client_.Ask(std::move(request), [this](auto reply) {
      if (!reply.ok()) return Finish(reply.status());
      if (reply->has_position()) {
        // Seconds of the machine's monotonic clock.
        const double now = std::chrono::duration<double>(
                               environment_.clock().Now().time_since_epoch())
                               .count();
        Show(flags_,
             [&](JsonWriter& w) {
               w.Key("time").Double(now);
               w.Key("position").Uint(reply->position());
             },
             {absl::StrFormat("%.6f position %d", now, reply->position())});
        std::fflush(stdout);
      }
      later_ = environment_.clock().RunAfter(io::Duration::zero(),
                                             [this] { AppendNext(); });
    });
  }

  // An id, or an unambiguous beginning of one that the replica knows.
  std::string Resolve(const log::LogStatusProto& status,
                      const std::string& text) {
    const std::string prefix =
        absl::AsciiStrToLower(absl::StripAsciiWhitespace(text));
    std::vector<std::string> found;
    if (absl::StartsWith(Hex(status.member_id()), prefix)) {
      found.push_back(status.member_id());
    }
    for (const auto& peer : status.peers()) {
      if (absl::StartsWith(Hex(peer.id()), prefix)) found.push_back(peer.id());
    }
    if (found.size() == 1 && !prefix.empty()) return found[0];
    const auto whole = log_tool::ParseMemberId(prefix);
    if (found.empty() && whole.ok()) return *whole;
    Finish(absl::InvalidArgumentError(absl::StrCat(
        found.empty() ? "no replica is known whose id begins with '"
                      : "more than one replica has an id that begins with '",
        prefix, "'; 'mesos-log members list' shows them")));
  }

  void ShowStatus(const log::LogStatusProto& status) {
    Show(
        flags_, [&](JsonWriter& w) { log_tool::WriteStatus(status, w); },
        log_tool::StatusLines(status));
  }

  const Flags flags_;
  const std::vector<io::Endpoint> servers_;
  prod::EventLoop loop_;
  prod::Environment environment_;
  log_tool::Client client_;
  io::Timer later_;
};

absl::StatusOr<std::vector<io::Endpoint>> Servers(const Flags& flags) {
  auto servers = Endpoints(flags.server);
  if (servers.ok() && servers->empty()) {
    return absl::InvalidArgumentError("--server names no server");
  }
  return servers;
}

}  // namespace

absl::Status RunOnlineStatus(const Flags& flags) {
  auto servers = Servers(flags);
  if (!servers.ok()) return servers.status();
  Asker(flags, *std::move(servers)).Status();
}

absl::Status RunAppendLoop(const Flags& flags) {
  auto servers = Servers(flags);
  if (!servers.ok()) return servers.status();
  Asker(flags, *std::move(servers)).AppendLoop();
}

absl::Status RunMembers(const Flags& flags,
                        const std::vector<std::string>& words) {
  auto servers = Servers(flags);
  if (!servers.ok()) return servers.status();
  const std::string verb = words.empty() ? "list" : words[0];
  const std::vector<std::string> ids(words.begin() + !words.empty(),
                                     words.end());
  Asker asker(flags, *std::move(servers));
  if (verb == "list" && ids.empty()) asker.Status();
  if (verb == "add" && !ids.empty()) asker.Change(ids, {});
  if (verb == "remove" && !ids.empty()) asker.Change({}, ids);
  if (verb == "replace" && ids.size() == 2) asker.Change({ids[1]}, {ids[0]});
  return absl::InvalidArgumentError(
      "say: members list, add ID, remove ID, or replace OLD NEW");
}

}  // namespace quorate::mesos_log
