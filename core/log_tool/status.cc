#include "core/log_tool/status.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace quorate::log_tool {
namespace {

using json::JsonWriter;

// How long the leader has for its view of the members.
constexpr io::Duration kLeaderPatience = std::chrono::seconds(2);

std::string Hex(const std::string& bytes) {
  return absl::BytesToHexString(bytes);
}

std::string Row(const std::string& id, bool votes, const std::string& state,
                uint64_t learned, const std::string& address) {
  return absl::StrFormat("%-32s  %-8s %-12s %10d  %s", Hex(id),
                         votes ? "yes" : "no", state, learned, address);
}

}  // namespace

StatusQuestion::StatusQuestion(io::Environment& environment,
                               std::vector<io::Endpoint> servers, OnStatus done)
    : environment_(environment),
      done_(std::move(done)),
      client_(environment, {.servers = std::move(servers)}) {
  log::AdminRequest request;
  request.mutable_status();
  client_.Ask(std::move(request), [this](auto reply) {
    if (!reply.ok()) {
      const OnStatus done = done_;
      return done(reply.status());
    }
    asked_ = std::move(*reply->mutable_status());
    AskLeader();
  });
}

// Only the leader hears of all members.
void StatusQuestion::AskLeader() {
  const OnStatus done = done_;
  auto leader = io::ParseEndpoint(asked_.leader_address());
  if (asked_.role() == "leading" || !leader.ok()) {
    return done(WholeView(asked_, nullptr));
  }
  leader_client_ = std::make_unique<Client>(
      environment_,
      Client::Options{.servers = {*leader}, .timeout = kLeaderPatience});
  log::AdminRequest request;
  request.mutable_status();
  leader_client_->Ask(std::move(request), [this, done](auto reply) {
    const bool leads = reply.ok() && reply->status().role() == "leading" &&
                       reply->status().cluster_id() == asked_.cluster_id();
    done(WholeView(asked_, leads ? &reply->status() : nullptr));
  });
}

std::vector<std::string> StatusLines(const log::LogStatusProto& status) {
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
  const auto& members = status.config().members();
  const bool votes = std::any_of(
      members.begin(), members.end(),
      [&](const auto& member) { return member.id() == status.member_id(); });
  lines.push_back("");
  lines.push_back(absl::StrFormat("%-32s  %-8s %-12s %10s  %s", "ID", "VOTES",
                                  "STATE", "LEARNED", "ADDRESS"));
  lines.push_back(Row(status.member_id(), votes, status.role(),
                      status.learned_upto(), "(asked)"));
  for (const auto& peer : status.peers()) {
    lines.push_back(Row(peer.id(), peer.member(), peer.state(),
                        peer.learned_upto(), peer.address()));
  }
  return lines;
}

void WriteStatus(const log::LogStatusProto& status, JsonWriter& w) {
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

}  // namespace quorate::log_tool
