#include "sim/file_system.h"

#include <algorithm>
#include <deque>
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
}

absl::Status FileSystem::Write(Node& file, uint64_t offset,
                               absl::string_view bytes) {
  if (bytes.empty()) return absl::OkStatus();
  if (full || offset + bytes.size() > kMaxFileBytes) {
    return absl::ResourceExhaustedError("no space left on device");
  }
  ApplyWrite(file.content, offset, bytes);
  file.unsynced.push_back({offset, std::string(bytes), false});
  return absl::OkStatus();
}

void FileSystem::Truncate(Node& file, uint64_t size) {
  Node::Change change{size, "", true};
  ApplyChange(file.content, change);
  file.unsynced.push_back(std::move(change));
}

absl::Status FileSystem::Sync(Node& file) {
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

void FileSystem::LosePower(io::Random& random) {
  LosePowerBelow(*root_, random);
}

}  // namespace quorate::sim
