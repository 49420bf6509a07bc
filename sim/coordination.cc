#include "sim/coordination.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "sim/network.h"
#include "sim/process_session.h"

namespace quorate::sim {
namespace {

using Change = ZnodeTree::Change;
using Node = ZnodeTree::Node;

constexpr io::Duration kCheckInterval = std::chrono::milliseconds(100);
constexpr char kName[] = "zookeeper";
// A change's number: which leader, in the upper half, and its how-many-th.
constexpr int64_t kLeader = int64_t{1} << 32;

absl::Status NoNode(const std::string& path) {
  return absl::NotFoundError(absl::StrCat("no node ", path));
}

absl::StatusOr<io::Znode> GetFrom(const ZnodeTree& tree,
                                  const std::string& path) {
  const Node* node = tree.Find(path);
  if (node == nullptr) return NoNode(path);
  return io::Znode{node->data, node->version, node->owner};
}

absl::StatusOr<std::vector<std::string>> ChildrenFrom(const ZnodeTree& tree,
                                                      const std::string& path) {
  const Node* node = tree.Find(path);
  if (node == nullptr) return NoNode(path);
  std::vector<std::string> names;
  for (const auto& [name, child] : node->children) names.push_back(name);
  return names;
}

bool Same(const absl::StatusOr<io::Znode>& one,
          const absl::StatusOr<io::Znode>& other) {
  if (!one.ok() || !other.ok()) return one.ok() == other.ok();
  return one->version == other->version && one->data == other->data &&
         one->ephemeral_owner == other->ephemeral_owner;
}

}  // namespace

Ensemble::Ensemble(World& world, std::vector<Host*> servers)
    : world_(world),
      servers_(std::move(servers)),
      random_(world.NewRandom(kName)),
      state_(servers_.size()) {
  CheckSessions();
}
Ensemble::~Ensemble() = default;

bool Ensemble::Serves(const Host& server) const {
  if (!server.up()) return false;
  Host& from = const_cast<Host&>(server);
  size_t reached = 0;
  for (const Host* other : servers_) {
    if (other->up() && from.network().Reaches(server.ip(), other->ip()) &&
        from.network().Reaches(other->ip(), server.ip())) {
      ++reached;
    }
  }
  return reached > servers_.size() / 2;
}

bool Ensemble::HasMajority() const {
  return std::any_of(servers_.begin(), servers_.end(),
                     [this](const Host* server) { return Serves(*server); });
}

// ---- Sessions ----

// A new leader of the servers gives every session its full time again.
void Ensemble::CheckSessions() {
  const bool majority = HasMajority();
  const io::Instant now = world_.now();
  if (majority && !had_majority_) {
    for (auto& [id, session] : sessions_) session.heard = now;
    Commit({.kind = Change::Kind::kNewLeader, .path = ""});
    world_.Span(kName, "halted", false);
  } else if (!majority && had_majority_) {
    world_.Took(Fault::kEnsembleHalted, kName);
    world_.Span(kName, "halted", true);
  }
  had_majority_ = majority;
  if (majority && now > next_expiry_) ExpireSessions();
  world_.After(kCheckInterval, kName, [this] { CheckSessions(); });
}

void Ensemble::ExpireSessions() {
  std::vector<int64_t> expired;
  next_expiry_ = io::Instant::max();
  for (const auto& [id, session] : sessions_) {
    const io::Instant over = session.heard + session.timeout;
    if (world_.now() > over) {
      expired.push_back(id);
    } else {
      next_expiry_ = std::min(next_expiry_, over);
    }
  }
  for (int64_t id : expired) Expire(id);
}

void Ensemble::Expire(int64_t id) {
  auto session = sessions_.find(id);
  if (session == sessions_.end()) return;
  ++expired_;
  world_.Took(Fault::kSessionExpired, kName);
  world_.Note(kName, "expires session", static_cast<uint64_t>(id));
  ProcessSession* client = session->second.client;
  Close(id);
  if (client != nullptr) client->OnExpiredAtServer();
}

int Ensemble::ExpireSessionsOf(const Host& host) {
  std::vector<int64_t> expired;
  for (const auto& [id, session] : sessions_) {
    if (session.client != nullptr && &session.client->host() == &host) {
      expired.push_back(id);
    }
  }
  for (int64_t id : expired) Expire(id);
  return static_cast<int>(expired.size());
}

void Ensemble::BreakConnectionsOf(const Host& host) {
  for (const auto& [id, client] : clients_) {
    if (&client->host() == &host) client->BreakSoon();
  }
}

void Ensemble::Close(int64_t id) {
  if (sessions_.erase(id) == 0) return;
  Commit({.kind = Change::Kind::kCloseSession, .path = "", .session = id});
}

uint64_t Ensemble::Join(ProcessSession* client) {
  clients_[next_client_] = client;
  return next_client_++;
}

void Ensemble::Leave(uint64_t client, int64_t session) {
  clients_.erase(client);
  auto left = sessions_.find(session);
  if (left != sessions_.end()) left->second.client = nullptr;
}

int64_t Ensemble::OpenSession(ProcessSession* client, io::Duration timeout,
                              const std::string& credentials) {
  const int64_t id = next_session_++;
  sessions_[id] = {timeout, credentials, world_.now(), client};
  next_expiry_ = std::min(next_expiry_, world_.now() + timeout);
  Commit({.kind = Change::Kind::kOpenSession, .path = "", .session = id});
  return id;
}

void Ensemble::Heard(int64_t session) {
  auto found = sessions_.find(session);
  if (found != sessions_.end()) found->second.heard = world_.now();
}

// ---- Changes, in the order on which the servers agree ----

void Ensemble::Commit(Change change) {
  change.zxid = committed() + 1;
  if (change.kind == Change::Kind::kNewLeader) {
    change.zxid = (committed() / kLeader + 1) * kLeader;
  }
  committed_.Apply(change, [](const std::string&, ZnodeTree::Watched) {});
  for (size_t i = 0; i < state_.size(); ++i) {
    auto& late = state_[i].late;
    io::Instant when = world_.now();
    if (faults.max_lag > io::Duration::zero()) {
      when += random_->Between(io::Duration::zero(), faults.max_lag);
    }
    if (!late.empty()) when = std::max(when, late.back().first);
    if (late.empty() && when == world_.now()) {
      Apply(i, change);
      continue;
    }
    late.emplace_back(when, change);
    world_.After(when - world_.now(), "zk applies",
                 [this, i, incarnation = incarnation_] {
                   if (incarnation == incarnation_) ApplyLate(i);
                 });
  }
}

void Ensemble::ApplyLate(size_t server) {
  const Change change = std::move(state_[server].late.front().second);
  state_[server].late.pop_front();
  Apply(server, change);
}

void Ensemble::Apply(size_t server, const Change& change) {
  Server& state = state_[server];
  state.tree.Apply(change,
                   [&](const std::string& path, ZnodeTree::Watched what) {
                     for (auto& [id, client] : clients_) {
                       client->OnChanged(server, path, what);
                     }
                   });
  while (!state.waiting.empty() &&
         state.waiting.begin()->first <= change.zxid) {
    const auto then = std::move(state.waiting.begin()->second);
    state.waiting.erase(state.waiting.begin());
    then();
  }
}

void Ensemble::WhenApplied(size_t server, int64_t zxid,
                           std::function<void()> then) {
  if (applied(server) >= zxid) return then();
  state_[server].waiting.emplace(zxid, std::move(then));
}

bool Ensemble::HasChanged(size_t server, const std::string& path,
                          ZnodeTree::Watched what, int64_t zxid) const {
  const Node* node = state_[server].tree.Find(path);
  if (node == nullptr) return true;
  return zxid < (what == ZnodeTree::Watched::kData ? node->data_zxid
                                                   : node->children_zxid);
}

Ensemble::Backup Ensemble::BackUp() const {
  Backup backup;
  backup.tree_ = committed_;
  backup.sessions_ = sessions_;
  return backup;
}

void Ensemble::RollBack(const Backup& backup) {
  world_.Took(Fault::kEnsembleRolledBack, kName);
  ++incarnation_;
  committed_ = backup.tree_;
  for (Server& server : state_) server = Server{backup.tree_, {}, {}};
  std::map<int64_t, Session> sessions = backup.sessions_;
  for (auto& [id, session] : sessions) {
    session.heard = world_.now();
    auto still = sessions_.find(id);
    session.client = still == sessions_.end() ? nullptr : still->second.client;
  }
  sessions_ = std::move(sessions);
  next_expiry_ = world_.now();
  Commit({.kind = Change::Kind::kNewLeader, .path = ""});
  for (const auto& [id, client] : clients_) client->BreakSoon();
}

// ---- Operations ----

bool Ensemble::MayWrite(int64_t session, const Node& node) const {
  auto found = sessions_.find(session);
  return node.writer.empty() ||
         (found != sessions_.end() && found->second.credentials == node.writer);
}

absl::Status Ensemble::Denied(const std::string& path) {
  world_.Took(Fault::kAccessDenied, kName);
  return absl::PermissionDeniedError(absl::StrCat("not allowed: ", path));
}

void Ensemble::Restrict(const std::string& path, const std::string& writer) {
  Commit({.kind = Change::Kind::kRestrict, .path = path, .writer = writer});
}

void Ensemble::SetSequence(const std::string& path, int32_t next) {
  Commit({.kind = Change::Kind::kSequence, .path = path, .session = next});
}

absl::StatusOr<std::string> Ensemble::Create(
    int64_t session, const std::string& path, const std::string& data,
    io::CoordinationSession::CreateOptions options) {
  const Node* parent = committed_.Find(ZnodeTree::DirectoryOf(path));
  if (parent == nullptr) return NoNode(path);
  if (!MayWrite(session, *parent)) return Denied(path);
  std::string created = path;
  if (options.sequential) {
    absl::StrAppendFormat(&created, "%010d", parent->creations);
    if (parent->creations < 0) world_.Took(Fault::kSequenceOverflow, kName);
  }
  const std::string name = ZnodeTree::NameOf(created);
  if (name.empty() || parent->children.count(name) != 0) {
    return absl::AlreadyExistsError(absl::StrCat(created, " exists"));
  }
  if (parent->owner != 0) {
    return absl::FailedPreconditionError("the parent is ephemeral");
  }
  Commit({.kind = Change::Kind::kCreate,
          .path = created,
          .data = data,
          .ephemeral = options.ephemeral,
          .session = session,
          .writer = sessions_.at(session).credentials});
  return created;
}

absl::Status Ensemble::Set(int64_t session, const std::string& path,
                           const std::string& data, int32_t version) {
  const Node* node = committed_.Find(path);
  if (node == nullptr) return NoNode(path);
  if (!MayWrite(session, *node)) return Denied(path);
  if (version != -1 && version != node->version) {
    return absl::FailedPreconditionError("another version");
  }
  Commit({.kind = Change::Kind::kSet, .path = path, .data = data});
  return absl::OkStatus();
}

absl::Status Ensemble::Delete(int64_t session, const std::string& path,
                              int32_t version) {
  const Node* parent = committed_.Find(ZnodeTree::DirectoryOf(path));
  if (parent == nullptr) return NoNode(path);
  if (!MayWrite(session, *parent)) return Denied(path);
  const Node* node = committed_.Find(path);
  if (node == nullptr) return NoNode(path);
  if (version != -1 && version != node->version) {
    return absl::FailedPreconditionError("another version");
  }
  if (!node->children.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(path, " has children"));
  }
  Commit({.kind = Change::Kind::kDelete, .path = path});
  return absl::OkStatus();
}

absl::StatusOr<io::Znode> Ensemble::Get(size_t server,
                                        const std::string& path) {
  auto result = GetFrom(state_[server].tree, path);
  if (applied(server) != committed() &&
      !Same(result, GetFrom(committed_, path))) {
    world_.Took(Fault::kStaleRead, kName);
  }
  return result;
}

absl::StatusOr<std::vector<std::string>> Ensemble::GetChildren(
    size_t server, const std::string& path) {
  auto result = ChildrenFrom(state_[server].tree, path);
  if (applied(server) == committed()) return result;
  const auto truth = ChildrenFrom(committed_, path);
  if (result.ok() != truth.ok() || (truth.ok() && *truth != *result)) {
    world_.Took(Fault::kStaleRead, kName);
  }
  return result;
}

}  // namespace quorate::sim
