// mesos-log's commands for running logs.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "core/log_tool/client.h"
#include "core/log_tool/offline.h"
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

// How long the leader has for its view of the members.
constexpr io::Duration kLeaderPatience = std::chrono::seconds(2);

class Asker {
 public:
  Asker(const Flags& flags, std::vector<io::Endpoint> servers)
      : flags_(flags),
        environment_(&loop_, {}),
        client_(environment_, {.servers = std::move(servers)}) {}

  [[noreturn]] void Status() {
    log::AdminRequest request;
    request.mutable_status();
    client_.Ask(std::move(request), [this](auto reply) {
      if (!reply.ok()) return Finish(reply.status());
      asked_ = std::move(*reply->mutable_status());
      AskLeader();
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
  // Only the leader hears of all members.
  void AskLeader() {
    auto leader = io::ParseEndpoint(asked_.leader_address());
    if (asked_.role() == "leading" || !leader.ok()) return ShowView(nullptr);
    leader_client_ = std::make_unique<log_tool::Client>(
        environment_, log_tool::Client::Options{.servers = {*leader},
                                                .timeout = kLeaderPatience});
    log::AdminRequest request;
    request.mutable_status();
    leader_client_->Ask(std::move(request), [this](auto reply) {
      const bool leads = reply.ok() && reply->status().role() == "leading" &&
                         reply->status().cluster_id() == asked_.cluster_id();
      ShowView(leads ? &reply->status() : nullptr);
    });
  }

  void ShowView(const log::LogStatusProto* leader) {
    ShowStatus(log_tool::WholeView(asked_, leader));
    Finish(absl::OkStatus());
  }

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

  static std::vector<std::string> Table(const log::LogStatusProto& status) {
    const auto row = [](const std::string& id, bool votes,
                        const std::string& state, uint64_t learned,
                        const std::string& address) {
      return absl::StrFormat("%-32s  %-8s %-12s %10d  %s", Hex(id),
                             votes ? "yes" : "no", state, learned, address);
    };
    const auto& members = status.config().members();
    const bool votes = std::any_of(
        members.begin(), members.end(),
        [&](const auto& member) { return member.id() == status.member_id(); });
    std::vector<std::string> lines = {
        absl::StrFormat("%-32s  %-8s %-12s %10s  %s", "ID", "VOTES", "STATE",
                        "LEARNED", "ADDRESS"),
        row(status.member_id(), votes, status.role(), status.learned_upto(),
            "(asked)")};
    for (const auto& peer : status.peers()) {
      lines.push_back(row(peer.id(), peer.member(), peer.state(),
                          peer.learned_upto(), peer.address()));
    }
    return lines;
  }

  void ShowStatus(const log::LogStatusProto& status) {
    std::vector<std::string> lines = {
        absl::StrCat("cluster  ", Hex(status.cluster_id()), ", generation ",
                     status.generation()),
        absl::StrCat("leader   ",
                     status.leader_address().empty()
                         ? "none known"
                         : absl::StrCat(Hex(status.leader()), " ",
                                        status.leader_address()),
                     ", epoch ", status.epoch()),
        absl::StrCat("asked    ", Hex(status.member_id()), ", ", status.role(),
                     ", positions ", status.base(), " to ",
                     status.learned_upto())};
    if (!status.explanation().empty()) {
      lines.push_back(absl::StrCat("why      ", status.explanation()));
    }
    lines.push_back("");
    for (std::string& line : Table(status)) lines.push_back(std::move(line));
    Show(flags_, [&](JsonWriter& w) { StatusFields(status, w); }, lines);
  }

  static void StatusFields(const log::LogStatusProto& status, JsonWriter& w) {
    w.Key("cluster_id").String(Hex(status.cluster_id()));
    w.Key("generation").Uint(status.generation());
    w.Key("member_id").String(Hex(status.member_id()));
    w.Key("role").String(status.role());
    w.Key("explanation").String(status.explanation());
    w.Key("leader").String(Hex(status.leader()));
    w.Key("leader_address").String(status.leader_address());
    w.Key("epoch").Uint(status.epoch());
    w.Key("base").Uint(status.base());
    w.Key("learned_upto").Uint(status.learned_upto());
    w.Key("config_position").Uint(status.config_position());
    w.Key("members").StartArray();
    for (const auto& member : status.config().members()) {
      w.String(Hex(member.id()));
    }
    w.EndArray();
    w.Key("peers").StartArray();
    for (const auto& peer : status.peers()) {
      w.StartObject();
      w.Key("id").String(Hex(peer.id()));
      w.Key("address").String(peer.address());
      w.Key("member").Bool(peer.member());
      w.Key("state").String(peer.state());
      w.Key("learned_upto").Uint(peer.learned_upto());
      w.Key("declared_quorum").Int(peer.declared_quorum());
      w.EndObject();
    }
    w.EndArray();
    w.Key("metrics").StartObject();
    const std::map<std::string, double> metrics(status.metrics().begin(),
                                                status.metrics().end());
    for (const auto& [name, value] : metrics) w.Key(name).Double(value);
    w.EndObject();
  }

  const Flags flags_;
  prod::EventLoop loop_;
  prod::Environment environment_;
  log_tool::Client client_;
  std::unique_ptr<log_tool::Client> leader_client_;
  log::LogStatusProto asked_;
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
