#include "sim/coordination.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "sim/network.h"
#include "sim/process_session.h"

namespace quorate::sim {
namespace {

constexpr io::Duration kCheckInterval = std::chrono::milliseconds(100);

absl::Status NoNode(const std::string& path) {
  return absl::NotFoundError(absl::StrCat("no node ", path));
}

}  // namespace

Ensemble::Ensemble(World& world, std::vector<Host*> servers)
    : world_(world), servers_(std::move(servers)) {
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

// A new leader of the servers gives every session its full time again.
void Ensemble::CheckSessions() {
  const bool majority = HasMajority();
  const io::Instant now = world_.now();
  if (majority && !had_majority_) {
    for (auto& [id, session] : sessions_) session.heard = now;
  }
  had_majority_ = majority;
  std::vector<int64_t> expired;
  for (const auto& [id, session] : sessions_) {
    if (majority && now - session.heard > session.timeout) {
      expired.push_back(id);
    }
  }
  for (int64_t id : expired) Expire(id);
  world_.After(kCheckInterval, "zookeeper", [this] { CheckSessions(); });
}

void Ensemble::Expire(int64_t id) {
  auto session = sessions_.find(id);
  if (session == sessions_.end()) return;
  ++expired_;
  world_.Note("zookeeper", "expires session", static_cast<uint64_t>(id));
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

void Ensemble::Close(int64_t id) {
  if (sessions_.erase(id) != 0) RemoveEphemerals(root_, "", id);
}

int64_t Ensemble::OpenSession(ProcessSession* client, io::Duration timeout,
                              const std::string& credentials) {
  const int64_t id = next_session_++;
  sessions_[id] = {timeout, credentials, world_.now(), client};
  return id;
}

void Ensemble::Heard(int64_t session) {
  auto found = sessions_.find(session);
  if (found != sessions_.end()) found->second.heard = world_.now();
}

Ensemble::Node* Ensemble::Find(const std::string& path) {
  Node* node = &root_;
  for (absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    auto child = node->children.find(std::string(part));
    if (child == node->children.end()) return nullptr;
    node = &child->second;
  }
  return node;
}

Ensemble::Node* Ensemble::Parent(const std::string& path, std::string* name) {
  const size_t slash = path.rfind('/');
  *name = path.substr(slash + 1);
  return Find(path.substr(0, slash));
}

bool Ensemble::MayWrite(int64_t session, const Node& node) const {
  auto found = sessions_.find(session);
  return node.writer.empty() ||
         (found != sessions_.end() && found->second.credentials == node.writer);
}

absl::StatusOr<std::string> Ensemble::Create(
    int64_t session, const std::string& path, const std::string& data,
    io::CoordinationSession::CreateOptions options) {
  std::string name;
  Node* parent = Parent(path, &name);
  if (parent == nullptr) return NoNode(path);
  if (parent->owner != 0) {
    return absl::FailedPreconditionError("the parent is ephemeral");
  }
  if (!MayWrite(session, *parent)) {
    return absl::PermissionDeniedError(absl::StrCat("not allowed: ", path));
  }
  if (options.sequential) {
    absl::StrAppendFormat(&name, "%010d", parent->next_sequence);
  }
  if (name.empty()) return absl::InvalidArgumentError("a node needs a name");
  if (parent->children.count(name) != 0) {
    return absl::AlreadyExistsError(absl::StrCat(path, " exists"));
  }
  ++parent->next_sequence;
  Node& node = parent->children[name];
  node.data = data;
  node.owner = options.ephemeral ? session : 0;
  node.writer = sessions_.at(session).credentials;
  const std::string directory = path.substr(0, path.rfind('/'));
  Changed(directory, Watched::kChildren);
  return absl::StrCat(directory, "/", name);
}

absl::StatusOr<io::Znode> Ensemble::Get(const std::string& path) {
  const Node* node = Find(path);
  if (node == nullptr) return NoNode(path);
  return io::Znode{node->data, node->version, node->owner};
}

absl::StatusOr<std::vector<std::string>> Ensemble::GetChildren(
    const std::string& path) {
  const Node* node = Find(path);
  if (node == nullptr) return NoNode(path);
  std::vector<std::string> names;
  for (const auto& [name, child] : node->children) names.push_back(name);
  return names;
}

absl::Status Ensemble::Set(int64_t session, const std::string& path,
                           const std::string& data, int32_t version) {
  Node* node = Find(path);
  if (node == nullptr) return NoNode(path);
  if (!MayWrite(session, *node)) {
    return absl::PermissionDeniedError(absl::StrCat("not allowed: ", path));
  }
  if (version != -1 && version != node->version) {
    return absl::FailedPreconditionError("another version");
  }
  node->data = data;
  ++node->version;
  Changed(path, Watched::kData);
  return absl::OkStatus();
}

absl::Status Ensemble::Delete(int64_t session, const std::string& path,
                              int32_t version) {
  std::string name;
  Node* node = Find(path);
  Node* parent = Parent(path, &name);
  if (node == nullptr || parent == nullptr) return NoNode(path);
  if (!MayWrite(session, *parent)) {
    return absl::PermissionDeniedError(absl::StrCat("not allowed: ", path));
  }
  if (version != -1 && version != node->version) {
    return absl::FailedPreconditionError("another version");
  }
  if (!node->children.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(path, " has children"));
  }
  parent->children.erase(name);
  Changed(path, Watched::kData);
  Changed(path, Watched::kChildren);
  Changed(path.substr(0, path.rfind('/')), Watched::kChildren);
  return absl::OkStatus();
}

void Ensemble::Changed(const std::string& path, Watched what) {
  for (auto& [id, session] : sessions_) {
    if (session.client != nullptr) {
      session.client->OnChanged(path.empty() ? "/" : path, what);
    }
  }
}

void Ensemble::RemoveEphemerals(Node& node, const std::string& path,
                                int64_t session) {
  std::vector<std::string> gone;
  for (auto& [name, child] : node.children) {
    const std::string child_path = absl::StrCat(path, "/", name);
    if (child.owner == session) {
      gone.push_back(name);
    } else {
      RemoveEphemerals(child, child_path, session);
    }
  }
  for (const std::string& name : gone) {
    node.children.erase(name);
    Changed(absl::StrCat(path, "/", name), Watched::kData);
    Changed(path, Watched::kChildren);
  }
}

}  // namespace quorate::sim
