// What LogNode::Core tells operators, and what they may ask of it.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/log/log_core.h"
#include "core/log/messages.h"

namespace quorate::log {
namespace {

// A replica that was not heard for that long is called silent.
constexpr io::Duration kSilent = std::chrono::seconds(3);
// As many positions may be under way without anybody being behind.
constexpr uint64_t kBehind = 10;

}  // namespace

const char* ToString(LogStatus::State state) {
  switch (state) {
    case LogStatus::State::kOpening:
      return "opening";
    case LogStatus::State::kForming:
      return "forming";
    case LogStatus::State::kJoining:
      return "learner";
    case LogStatus::State::kFollowing:
      return "following";
    case LogStatus::State::kElecting:
      return "electing";
    case LogStatus::State::kLeading:
      return "leading";
    case LogStatus::State::kQuarantined:
      return "quarantined";
  }
  return "unknown";
}

LogStatus::State LogNode::Core::State() const {
  if (!acceptor_) return LogStatus::State::kOpening;
  if (quarantined()) return LogStatus::State::kQuarantined;
  if (!active()) return LogStatus::State::kForming;
  if (!started_) return LogStatus::State::kOpening;
  if (leading_) return LogStatus::State::kLeading;
  if (proposer_) return LogStatus::State::kElecting;
  return Votes(me()) ? LogStatus::State::kFollowing
                     : LogStatus::State::kJoining;
}

std::string LogNode::Core::Outdated() const {
  return absl::StrCat(
      "this replica is of generation ", identity().generation(),
      " of its log, and generation ", newest_generation_,
      " has taken its place: move its directory away and start it empty");
}

// Why nothing goes on, if nothing does.
Explanation LogNode::Core::Explain() const {
  if (outdated())
    return {Outdated(), "move its directory away, start it empty"};
  switch (State()) {
    case LogStatus::State::kOpening:
      if (!persistence_.disk_full()) return {"opening the disk", ""};
      return {"the disk is full: waits for space", "make space on its disk"};
    case LogStatus::State::kQuarantined:
      return {absl::StrCat("does not vote any more: ", identity().reason()),
              ""};
    case LogStatus::State::kForming:
      return formation_ ? formation_->Explain()
                        : Explanation{"forming a log", ""};
    case LogStatus::State::kJoining:
      return {"follows the log without a vote: it is not one of its members",
              ""};
    case LogStatus::State::kElecting:
      return {ExplainElecting(), ""};
    case LogStatus::State::kLeading:
      return {membership_->Explain(Now()), ""};
    case LogStatus::State::kFollowing:
      break;
  }
  return {handshake_->done() ? ExplainFollowing() : ExplainHandshake(), ""};
}

std::string LogNode::Core::ExplainElecting() const {
  if (std::string blocked = proposer_->Blocked(); !blocked.empty()) {
    return blocked;
  }
  std::vector<std::string> unheard;
  for (const MemberId& member : proposer_->Unheard()) {
    const bool silent = proposer_->not_ready().count(member) != 0;
    unheard.push_back(absl::StrCat(
        ShortId(member), silent ? " (answers, and does not vote)" : ""));
  }
  return absl::StrCat(
      "trying to lead, which needs the answers of ",
      WriteQuorum(config().members_size()), " of ", config().members_size(),
      " members; waiting for ",
      unheard.empty() ? "nobody" : absl::StrJoin(unheard, ", "));
}

std::string LogNode::Core::ExplainHandshake() const {
  std::vector<std::string> unheard;
  for (const MemberId& member : handshake_->Missing()) {
    unheard.push_back(ShortId(member));
  }
  if (unheard.empty()) {
    return "does not vote yet: waits a moment for replicas that remember more "
           "of it than its disk";
  }
  return absl::StrCat(
      "does not vote yet: after a start a majority of the members has to say "
      "what it remembers of this one; waiting for ",
      absl::StrJoin(unheard, ", "));
}

absl::string_view LogNode::Core::LeaderAddress() const {
  const bool gone = election_ && !leading_ && !election_->Hears(Now());
  return gone ? absl::string_view() : leader_address_;
}

// Whether anybody leads it.
std::string LogNode::Core::ExplainFollowing() const {
  if (!election_ || election_->Hears(Now())) return "";
  std::vector<std::string> silent;
  for (const MemberId& member : MembersOf(config())) {
    if (member == me()) continue;
    auto facts = facts_.find(member);
    if (facts == facts_.end() || Now() - facts->second.heard > kSilent) {
      silent.push_back(ShortId(member));
    }
  }
  return absl::StrCat(
      "no member leads; to elect one takes ",
      WriteQuorum(config().members_size()), " of ", config().members_size(),
      ", and ",
      silent.empty()
          ? "all are here"
          : absl::StrCat("nothing was heard of ", absl::StrJoin(silent, ", ")));
}

LogStatus::Peer LogNode::Core::Describe(const MemberId& id,
                                        const PeerFacts& facts) const {
  LogStatus::Peer peer;
  peer.id = id;
  peer.address = facts.address;
  peer.member = Votes(id);
  peer.learned_upto = facts.learned_upto;
  peer.declared_quorum = facts.declared_quorum;
  peer.protocol_version = peers_.VersionOf(id);
  peer.silent =
      facts.heard == io::Instant() ? io::Duration::max() : Now() - facts.heard;
  const bool there =
      facts.said_hello != io::Instant() && Now() - facts.said_hello <= kSilent;
  if (acquaintances_->cloned(id)) {
    peer.state = "cloned";
  } else if (facts.status == QUARANTINED && (there || peer.silent <= kSilent)) {
    peer.state = "quarantined";
  } else if (peer.silent > kSilent) {
    peer.state = "silent";
  } else if (facts.silent) {
    peer.state = "not voting";
  } else if (facts.disk_full) {
    peer.state = "disk full";
  } else if (facts.damaged > 0) {
    peer.state = "damaged";
  } else if (facts.learned_upto + kBehind < applied_) {
    peer.state = "behind";
  } else {
    peer.state = peer.member ? "ok" : "learner";
  }
  return peer;
}

std::vector<std::string> LogNode::MetricNames() {
  return {"log/appends",         "log/base",
          "log/batches",         "log/checkpoints",
          "log/damaged",         "log/damaged_found",
          "log/disk_full",       "log/elections",
          "log/ensemble_size",   "log/epoch",
          "log/fetched",         "log/foreign_messages",
          "log/leading",         "log/learned_upto",
          "log/members_silent",  "log/quarantined",
          "log/quorum_mismatch", "log/recovered",
          "log/repaired",        "log/voting",
          "log/writes"};
}

std::map<std::string, double> LogNode::Core::Metrics() const {
  std::map<std::string, double> metrics;
  for (const std::string& name : MetricNames()) metrics[name] = 0;
  metrics.at("log/disk_full") = persistence_.disk_full();
  if (!acceptor_ || !active()) return metrics;
  size_t silent = 0;
  for (const Member& member : config().members()) {
    if (member.id() == me()) continue;
    auto facts = facts_.find(member.id());
    silent += facts == facts_.end() || Now() - facts->second.heard > kSilent;
  }
  const auto set = [&metrics](const std::string& name, double value) {
    metrics.at("log/" + name) = value;
  };
  set("appends", static_cast<double>(appended_));
  set("base", static_cast<double>(acceptor_->base()));
  set("batches", static_cast<double>(batches_));
  set("checkpoints", static_cast<double>(persistence_.checkpoints()));
  set("damaged", static_cast<double>(acceptor_->damaged()));
  set("damaged_found", static_cast<double>(damaged_found_));
  set("elections", static_cast<double>(elections_));
  set("ensemble_size", config().members_size());
  set("epoch", static_cast<double>(leader_epoch_));
  set("fetched", static_cast<double>(fetched_));
  set("foreign_messages", static_cast<double>(foreign_));
  set("leading", leading_);
  set("learned_upto", static_cast<double>(applied_));
  set("members_silent", static_cast<double>(silent));
  set("quarantined", quarantined());
  set("quorum_mismatch", membership_ && membership_->QuorumMismatch(Now()));
  set("recovered", started_);
  set("repaired", static_cast<double>(repaired_));
  set("voting", Voting());
  set("writes", static_cast<double>(persistence_.writes()));
  return metrics;
}

LogStatus LogNode::Core::status() const {
  LogStatus status;
  status.state = State();
  Explanation explanation = Explain();
  status.explanation = std::move(explanation.why);
  status.remedy = std::move(explanation.remedy);
  status.declared_quorum = options_.quorum;
  for (const auto& [address, reason] : peers_.Refusals()) {
    status.refusals.push_back({address.ToString(), reason});
    absl::StrAppend(&status.explanation, status.explanation.empty() ? "" : "; ",
                    "no link to ", address.ToString(), ": ", reason);
  }
  status.metrics = Metrics();
  if (!acceptor_) return status;
  status.member_id = me();
  status.cluster_id = cluster_id_;
  status.generation = identity().generation();
  status.promised_round = acceptor_->promised().round;
  status.promised_member = acceptor_->promised().member;
  status.base = acceptor_->base();
  status.learned_upto = applied_;
  if (!active()) return status;
  status.members = MembersOf(config());
  status.config_position = config_position();
  status.epoch = leader_epoch_;
  status.leader_address = std::string(LeaderAddress());
  if (!status.leader_address.empty()) status.leader_id = leader_;
  status.voting = Voting();
  std::map<MemberId, PeerFacts> peers = facts_;
  for (const Member& member : config().members()) {
    if (member.id() == me()) continue;
    PeerFacts& facts = peers[member.id()];
    if (facts.address.empty()) facts.address = member.address();
  }
  for (const auto& [id, facts] : peers) {
    status.peers.push_back(Describe(id, facts));
  }
  return status;
}

LogStatusProto LogNode::Core::StatusProto() const {
  const LogStatus view = status();
  LogStatusProto proto;
  proto.set_member_id(view.member_id);
  if (active()) proto.set_cluster_id(cluster_id_);
  proto.set_generation(view.generation);
  proto.set_status(identity().status());
  proto.set_role(ToString(view.state));
  proto.set_explanation(absl::StrCat(
      view.explanation, view.remedy.empty() ? "" : "; ", view.remedy));
  if (view.promised_round > 0) {
    *proto.mutable_promised() = ToProto(acceptor_->promised());
  }
  proto.set_declared_quorum(options_.quorum);
  proto.set_incarnation(identity().incarnation());
  if (!active()) return proto;
  proto.set_epoch(view.epoch);
  proto.set_base(view.base);
  proto.set_learned_upto(view.learned_upto);
  *proto.mutable_config() = config();
  proto.set_config_position(view.config_position);
  proto.set_leader(view.leader_id);
  proto.set_leader_address(view.leader_address);
  for (const LogStatus::Peer& peer : view.peers) {
    PeerStatus& out = *proto.add_peers();
    out.set_id(peer.id);
    out.set_address(peer.address);
    out.set_member(peer.member);
    if (peer.silent != io::Duration::max()) {
      out.set_silent_ms(
          std::chrono::duration_cast<std::chrono::milliseconds>(peer.silent)
              .count());
    }
    out.set_learned_upto(peer.learned_upto);
    out.set_state(peer.state);
    out.set_declared_quorum(peer.declared_quorum);
  }
  proto.mutable_metrics()->insert(view.metrics.begin(), view.metrics.end());
  return proto;
}

void LogNode::Core::AnswerAdmin(const MemberId& to, uint64_t id,
                                const absl::Status& status, AdminReply reply) {
  reply.set_id(id);
  reply.set_code(static_cast<int>(status.code()));
  reply.set_message(std::string(status.message()));
  if (!leading_ && !LeaderAddress().empty()) {
    reply.set_leader_address(std::string(LeaderAddress()));
  }
  Outgoing message{to, {}, 0};
  *message.message.mutable_admin_reply() = std::move(reply);
  Transmit(std::move(message));
}

void LogNode::Core::OnAdmin(const MemberId& from, AdminRequest* request) {
  const uint64_t id = request->id();
  AdminReply reply;
  if (request->has_status()) {
    *reply.mutable_status() = StatusProto();
    return AnswerAdmin(from, id, absl::OkStatus(), std::move(reply));
  }
  if (!leading_) {
    return AnswerAdmin(
        from, id,
        absl::FailedPreconditionError(
            LeaderAddress().empty()
                ? "this replica does not lead, and knows no leader"
                : absl::StrCat("this replica does not lead; ask ",
                               LeaderAddress())),
        std::move(reply));
  }
  if (request->has_append()) {
    return Append(std::move(*request->mutable_append()),
                  [this, from, id](absl::StatusOr<uint64_t> position) {
                    AdminReply appended;
                    if (position.ok()) appended.set_position(*position);
                    AnswerAdmin(from, id, position.status(),
                                std::move(appended));
                  });
  }
  MemberChange change;
  const log::ChangeMembers& wanted = request->change_members();
  change.add.assign(wanted.add().begin(), wanted.add().end());
  change.remove.assign(wanted.remove().begin(), wanted.remove().end());
  change.bulk = wanted.bulk();
  change.reason = wanted.reason();
  ChangeMembers(change, [this, from, id](const absl::Status& status) {
    AnswerAdmin(from, id, status, AdminReply());
  });
}

}  // namespace quorate::log
