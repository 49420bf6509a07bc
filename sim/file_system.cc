#include "sim/file_system.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace quorate::sim {
namespace {

using Node = FileSystem::Node;

constexpr int kMaxLinks = 40;
// A file larger than this is a mistake of the simulated program.
constexpr uint64_t kMaxFileBytes = uint64_t{1} << 32;

void ApplyWrite(std::string& content, uint64_t offset,
                absl::string_view bytes) {
  if (content.size() < offset + bytes.size()) {
    content.resize(offset + bytes.size(), '\0');
  }
  content.replace(offset, bytes.size(), bytes.data(), bytes.size());
}

void ApplyChange(std::string& content, const Node::Change& change) {
  if (change.truncate) {
    content.resize(change.offset, '\0');
  } else {
    ApplyWrite(content, change.offset, change.bytes);
  }
}

void ApplyPrefix(std::string& content, const Node::Change& change,
                 uint64_t bytes) {
  if (bytes == 0) return;
  if (change.truncate) return ApplyChange(content, change);
  ApplyWrite(content, change.offset,
             absl::string_view(change.bytes).substr(0, bytes));
}

// Kept, lost, or torn: of a torn write each sector is kept or lost by itself.
void ApplyAfterPowerLoss(std::string& content, const Node::Change& change,
                         io::Random& random) {
  const uint64_t fate = random.Below(3);
  if (fate == 0) return;
  if (fate == 1 || change.truncate) return ApplyChange(content, change);
  uint64_t at = 0;
  while (at < change.bytes.size()) {
    const uint64_t sector_end =
        ((change.offset + at) / FileSystem::kSectorBytes + 1) *
        FileSystem::kSectorBytes;
    const uint64_t size =
        std::min(sector_end - (change.offset + at), change.bytes.size() - at);
    if (random.Below(2) == 0) {
      ApplyWrite(content, change.offset + at,
                 absl::string_view(change.bytes).substr(at, size));
    }
    at += size;
  }
}

void ApplyNames(Node::Children& children, const Node::Children& change) {
  for (const auto& [name, node] : change) {
    if (node == nullptr) {
      children.erase(name);
    } else {
      children[name] = node;
    }
  }
}

void LosePowerBelow(Node& node, io::Random& random) {
  node.locked = false;
  if (node.type == io::FileInfo::Type::kFile) {
    for (const auto* changes : {&node.doomed, &node.unsynced}) {
      for (const Node::Change& change : *changes) {
        ApplyAfterPowerLoss(node.durable, change, random);
      }
    }
    node.doomed.clear();
    node.unsynced.clear();
    node.content = node.durable;
    return;
  }
  if (node.type != io::FileInfo::Type::kDirectory) return;
  const uint64_t kept = random.Below(node.unsynced_changes.size() + 1);
  for (uint64_t i = 0; i < kept; ++i) {
    ApplyNames(node.durable_children, node.unsynced_changes[i]);
  }
  node.unsynced_changes.clear();
  node.children = node.durable_children;
  for (auto& [name, child] : node.children) LosePowerBelow(*child, random);
}

std::deque<std::string> Parts(absl::string_view path) {
  return absl::StrSplit(path, '/', absl::SkipEmpty());
}

// tidy-allow(pointer-order): asked for membership only, and never walked
using Visited = std::set<const Node*>;

// Visits the nodes that a loss of power may concern, each once, parents first.
void Visit(const std::string& path, Node& node, Visited* visited,
           const std::function<void(const std::string&, Node&)>& visit) {
  if (!visited->insert(&node).second) return;
  visit(path, node);
  for (const auto* children : {&node.children, &node.durable_children}) {
    for (const auto& [name, child] : *children) {
      Visit(absl::StrCat(path, "/", name), *child, visited, visit);
    }
  }
}

// tidy-allow(pointer-order): asked for what is there, and never walked
using Copies = std::map<const Node*, FileSystem::NodePtr>;

FileSystem::NodePtr CopyOf(const FileSystem::NodePtr& node, Copies* copies);

Node::Children CopyOf(const Node::Children& children, Copies* copies) {
  Node::Children result;
  for (const auto& [name, child] : children) {
    result[name] = CopyOf(child, copies);
  }
  return result;
}

FileSystem::NodePtr CopyOf(const FileSystem::NodePtr& node, Copies* copies) {
  if (node == nullptr) return nullptr;
  FileSystem::NodePtr& copy = (*copies)[node.get()];
  if (copy != nullptr) return copy;
  copy = std::make_shared<Node>(*node);
  FileSystem::NodePtr result = copy;
  result->locked = false;
  result->children = CopyOf(node->children, copies);
  result->durable_children = CopyOf(node->durable_children, copies);
  for (Node::Children& change : result->unsynced_changes) {
    change = CopyOf(change, copies);
  }
  return result;
}

// Nothing is at risk any more.
void Restart(Node& node) {
  node.unsynced.clear();
  node.doomed.clear();
  node.unsynced_changes.clear();
  node.content = node.durable;
  node.children = node.durable_children;
  for (auto& [name, child] : node.children) Restart(*child);
}

}  // namespace

FileSystem::FileSystem() : root_(std::make_shared<Node>()) {
  root_->type = io::FileInfo::Type::kDirectory;
}

absl::Status FileSystem::Walk(const std::string& path, bool follow_last,
                              NodePtr* node, std::string* real) {
  if (!absl::StartsWith(path, "/")) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", path, "' is not an absolute path"));
  }
  std::deque<std::string> parts = Parts(path);
  std::vector<std::pair<std::string, NodePtr>> at = {{"", root_}};
  int links = 0;
  while (!parts.empty()) {
    const std::string part = std::move(parts.front());
    parts.pop_front();
    if (part == ".") continue;
    if (part == "..") {
      if (at.size() > 1) at.pop_back();
      continue;
    }
    const Node& directory = *at.back().second;
    if (directory.type != io::FileInfo::Type::kDirectory) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, ": not a directory on the way"));
    }
    auto child = directory.children.find(part);
    if (child == directory.children.end()) {
      return absl::NotFoundError(absl::StrCat(path, " does not exist"));
    }
    const Node& next = *child->second;
    if (next.type == io::FileInfo::Type::kSymlink &&
        (follow_last || !parts.empty())) {
      if (++links > kMaxLinks) {
        return absl::FailedPreconditionError(
            absl::StrCat(path, ": too many symlinks"));
      }
      std::deque<std::string> target = Parts(next.target);
      if (absl::StartsWith(next.target, "/")) at.resize(1);
      parts.insert(parts.begin(), target.begin(), target.end());
      continue;
    }
    at.emplace_back(part, child->second);
  }
  *node = at.back().second;
  real->clear();
  for (size_t i = 1; i < at.size(); ++i) {
    absl::StrAppend(real, "/", at[i].first);
  }
  if (real->empty()) *real = "/";
  return absl::OkStatus();
}

absl::StatusOr<FileSystem::NodePtr> FileSystem::Find(const std::string& path,
                                                     bool follow_last) {
  NodePtr node;
  std::string real;
  absl::Status status = Walk(path, follow_last, &node, &real);
  if (!status.ok()) return status;
  return node;
}

absl::StatusOr<FileSystem::NodePtr> FileSystem::Parent(const std::string& path,
                                                       std::string* name) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos || slash + 1 == path.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", path, "' is not the path of a file"));
  }
  *name = path.substr(slash + 1);
  auto parent = Find(slash == 0 ? "/" : path.substr(0, slash), true);
  if (!parent.ok()) return parent.status();
  if ((*parent)->type != io::FileInfo::Type::kDirectory) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": not a directory on the way"));
  }
  return parent;
}

absl::StatusOr<std::string> FileSystem::RealPath(const std::string& path) {
  NodePtr node;
  std::string real;
  absl::Status status = Walk(path, true, &node, &real);
  if (!status.ok()) return status;
  return real;
}

void FileSystem::Link(Node& directory, const std::string& name, NodePtr node) {
  Node::Children change = {{name, std::move(node)}};
  ApplyNames(directory.children, change);
  directory.unsynced_changes.push_back(std::move(change));
  ++changes_;
}

uint64_t FileSystem::BytesUnder(const Node& node) {
  uint64_t bytes = node.content.size();
  for (const auto& [name, child] : node.children) {
    if (child != nullptr) bytes += BytesUnder(*child);
  }
  return bytes;
}

absl::Status FileSystem::Write(Node& file, uint64_t offset,
                               absl::string_view bytes) {
  if (bytes.empty()) return absl::OkStatus();
  const uint64_t grown = offset + bytes.size();
  const uint64_t size = file.content.size();
  const bool no_space =
      grown > size &&
      (full || (capacity > 0 && BytesUnder(*root_) + grown - size > capacity));
  if (no_space || grown > kMaxFileBytes) {
    return absl::ResourceExhaustedError("no space left on device");
  }
  const uint64_t end = (offset + bytes.size() - 1) / kSectorBytes;
  for (uint64_t sector = offset / kSectorBytes; sector <= end; ++sector) {
    file.unreadable.erase(sector);
    if (!remembers) continue;
    const uint64_t at = sector * kSectorBytes;
    std::string& stale = file.stale[sector];
    stale = at < file.content.size() ? file.content.substr(at, kSectorBytes)
                                     : std::string();
    stale.resize(kSectorBytes, '\0');
  }
  ApplyWrite(file.content, offset, bytes);
  file.unsynced.push_back({offset, std::string(bytes), false});
  ++changes_;
  return absl::OkStatus();
}

void FileSystem::Truncate(Node& file, uint64_t size) {
  Node::Change change{size, "", true};
  ApplyChange(file.content, change);
  file.unsynced.push_back(std::move(change));
  ++changes_;
}

absl::Status FileSystem::Sync(Node& file) {
  ++changes_;
  if (failing_syncs > 0) {
    --failing_syncs;
    file.doomed.insert(file.doomed.end(),
                       std::make_move_iterator(file.unsynced.begin()),
                       std::make_move_iterator(file.unsynced.end()));
    file.unsynced.clear();
    return absl::UnavailableError("input/output error");
  }
  for (const Node::Change& change : file.unsynced) {
    ApplyChange(file.durable, change);
  }
  file.unsynced.clear();
  return absl::OkStatus();
}

absl::Status FileSystem::SyncDirectory(Node& directory) {
  ++changes_;
  if (failing_syncs > 0) {
    --failing_syncs;
    return absl::UnavailableError("input/output error");
  }
  directory.durable_children = directory.children;
  directory.unsynced_changes.clear();
  return absl::OkStatus();
}

FileSystem::NodePtr FileSystem::Copy(const Node& node) {
  auto copy = std::make_shared<Node>();
  copy->type = node.type;
  copy->content = node.content;
  copy->durable = node.content;
  copy->target = node.target;
  copy->modified = node.modified;
  for (const auto& [name, child] : node.children) {
    copy->children[name] = Copy(*child);
  }
  copy->durable_children = copy->children;
  return copy;
}

std::vector<FileSystem::AtRisk> FileSystem::ListAtRisk() const {
  std::vector<AtRisk> list;
  Visited visited;
  Visit("", *root_, &visited, [&list](const std::string& path, Node& node) {
    for (const auto* changes : {&node.doomed, &node.unsynced}) {
      for (const Node::Change& change : *changes) {
        list.push_back({path, change.truncate ? 1 : change.bytes.size()});
      }
    }
    list.insert(list.end(), node.unsynced_changes.size(), {path, 1});
  });
  return list;
}

std::unique_ptr<FileSystem> FileSystem::Copy() const {
  auto copy = std::make_unique<FileSystem>();
  Copies copies;
  copy->root_ = CopyOf(root_, &copies);
  copy->remembers = remembers;
  return copy;
}

std::unique_ptr<FileSystem> FileSystem::AfterPowerLoss(
    const std::vector<uint64_t>& kept) const {
  auto copy = std::make_unique<FileSystem>();
  Copies copies;  // keeps removed files until the end
  copy->root_ = CopyOf(root_, &copies);
  copy->remembers = remembers;
  std::vector<Node*> nodes;
  Visited visited;
  Visit("", *copy->root_, &visited,
        [&](const std::string&, Node& node) { nodes.push_back(&node); });
  auto next = kept.begin();
  for (Node* node : nodes) {
    for (const auto* changes : {&node->doomed, &node->unsynced}) {
      for (const Node::Change& change : *changes) {
        ApplyPrefix(node->durable, change, *next++);
      }
    }
    bool lost = false;
    for (const Node::Children& change : node->unsynced_changes) {
      lost |= *next++ == 0;
      if (!lost) ApplyNames(node->durable_children, change);
    }
  }
  Restart(*copy->root_);
  return copy;
}

absl::Status FileSystem::CheckReadable(const Node& file, uint64_t offset,
                                       uint64_t size) {
  auto bad = file.unreadable.lower_bound(offset / kSectorBytes);
  if (bad == file.unreadable.end() || *bad * kSectorBytes >= offset + size) {
    return absl::OkStatus();
  }
  return absl::UnavailableError("input/output error");
}

void FileSystem::LosePower(io::Random& random) {
  ++changes_;
  LosePowerBelow(*root_, random);
}

}  // namespace quorate::sim
