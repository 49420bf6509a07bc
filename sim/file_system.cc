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

enum class Fate { kKept, kLost, kTorn };

// Kept, lost, or torn: of a torn write each sector is kept or lost by itself.
Fate ApplyAfterPowerLoss(std::string& content, const Node::Change& change,
                         io::Random& random) {
  const uint64_t fate = random.Below(3);
  if (fate == 0) return Fate::kLost;
  if (fate == 1 || change.truncate) {
    ApplyChange(content, change);
    return Fate::kKept;
  }
  uint64_t at = 0;
  uint64_t kept = 0;
  while (at < change.bytes.size()) {
    const uint64_t sector_end =
        ((change.offset + at) / FileSystem::kSectorBytes + 1) *
        FileSystem::kSectorBytes;
    const uint64_t size =
        std::min(sector_end - (change.offset + at), change.bytes.size() - at);
    if (random.Below(2) == 0) {
      ApplyWrite(content, change.offset + at,
                 absl::string_view(change.bytes).substr(at, size));
      kept += size;
    }
    at += size;
  }
  if (kept == 0) return Fate::kLost;
  return kept == change.bytes.size() ? Fate::kKept : Fate::kTorn;
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

std::deque<std::string> Parts(absl::string_view path) {
  return absl::StrSplit(path, '/', absl::SkipEmpty());
}

// Where most paths lead: without a link or a dot on the way. Null for others,
// and for what is not there.
const FileSystem::NodePtr* FindStraight(const FileSystem::NodePtr& root,
                                        absl::string_view path) {
  if (!absl::StartsWith(path, "/")) return nullptr;
  const FileSystem::NodePtr* at = &root;
  std::string name;
  for (absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    if (part == "." || part == "..") return nullptr;
    if ((*at)->type != io::FileInfo::Type::kDirectory) return nullptr;
    name.assign(part.data(), part.size());
    const auto child = (*at)->children.find(name);
    if (child == (*at)->children.end() ||
        child->second->type == io::FileInfo::Type::kSymlink) {
      return nullptr;
    }
    at = &child->second;
  }
  return at;
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
  root_->names = 1;
}

FileSystem::FileSystem(World& world, std::string owner)
    : world_(&world),
      owner_(std::move(owner)),
      random_(world.NewRandom(absl::StrCat("disk faults ", owner_))),
      root_(std::make_shared<Node>()) {
  root_->type = io::FileInfo::Type::kDirectory;
  root_->names = 1;
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
  if (const NodePtr* found = FindStraight(root_, path)) return *found;
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

// A directory's files have their names by it.
void FileSystem::CountNames(Node& node, int by) {
  const bool had = node.names > 0;
  node.names += by;
  const bool has = node.names > 0;
  if (had == has) return;
  used_ = has ? used_ + node.content.size() : used_ - node.content.size();
  for (auto& [name, child] : node.children) CountNames(*child, by);
}

void FileSystem::Recount() {
  used_ = 0;
  Visited visited;
  Visit("", *root_, &visited,
        [](const std::string&, Node& node) { node.names = 0; });
  CountNames(*root_, 1);
}

void FileSystem::Link(Node& directory, const std::string& name, NodePtr node) {
  const bool counts = directory.names > 0;
  auto old = directory.children.find(name);
  const NodePtr replaced =
      old == directory.children.end() ? nullptr : old->second;
  if (counts && node != nullptr) CountNames(*node, 1);
  if (counts && replaced != nullptr) CountNames(*replaced, -1);
  Node::Children change = {{name, std::move(node)}};
  ApplyNames(directory.children, change);
  directory.unsynced_changes.push_back(std::move(change));
  ++changes_;
}

void FileSystem::Rename(Node& directory, const std::string& from,
                        const std::string& to) {
  if (from == to) return;
  auto old = directory.children.find(to);
  if (old != directory.children.end() && directory.names > 0) {
    CountNames(*old->second, -1);
  }
  Node::Children change = {{from, nullptr}, {to, directory.children.at(from)}};
  ApplyNames(directory.children, change);
  directory.unsynced_changes.push_back(std::move(change));
  ++changes_;
}

void FileSystem::Replace(NodePtr root) {
  root_ = std::move(root);
  ExposeAll();
  Recount();
}

// How many of the bytes there is space for.
uint64_t FileSystem::Fitting(const Node& file, uint64_t offset, uint64_t size) {
  const uint64_t old_size = file.content.size();
  const uint64_t grown = offset + size;
  if (grown <= old_size) return size;
  uint64_t largest = kMaxFileBytes;
  if (full || (file.exposed && Draw(faults_.no_space))) {
    largest = old_size;
  } else if (capacity > 0) {
    largest = old_size + (capacity > used_ ? capacity - used_ : 0);
  }
  if (grown <= largest) return size;
  return largest > offset ? largest - offset : 0;
}

absl::Status FileSystem::Write(Node& file, uint64_t offset,
                               absl::string_view bytes) {
  if (bytes.empty()) return absl::OkStatus();
  absl::Status result;
  const uint64_t fitting = Fitting(file, offset, bytes.size());
  if (fitting < bytes.size()) {
    Took(Fault::kDiskFull);
    result = absl::ResourceExhaustedError("no space left on device");
    bytes = bytes.substr(0, fitting);
  }
  if (Fails(file.exposed, faults_.write_fails, &failing_writes,
            Fault::kWriteFailed)) {
    result = absl::UnavailableError("input/output error");
    bytes = bytes.substr(
        0, random_ == nullptr ? 0 : random_->Below(bytes.size() + 1));
  }
  if (bytes.empty()) return result;
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
  const uint64_t old_size = file.content.size();
  ApplyWrite(file.content, offset, bytes);
  if (file.names > 0) used_ += file.content.size() - old_size;
  file.unsynced.push_back({offset, std::string(bytes), false});
  ++changes_;
  return result;
}

absl::Status FileSystem::Truncate(Node& file, uint64_t size) {
  absl::Status begun = BeginChange(file);
  if (!begun.ok()) return begun;
  Node::Change change{size, "", true};
  if (file.names > 0) used_ = used_ + size - file.content.size();
  ApplyChange(file.content, change);
  file.unsynced.push_back(std::move(change));
  ++changes_;
  return absl::OkStatus();
}

absl::Status FileSystem::Sync(Node& file) {
  ++changes_;
  if (Fails(file.exposed, faults_.sync_fails, &failing_syncs,
            Fault::kSyncFailed)) {
    file.doomed.insert(file.doomed.end(),
                       std::make_move_iterator(file.unsynced.begin()),
                       std::make_move_iterator(file.unsynced.end()));
    file.unsynced.clear();
    return absl::UnavailableError("input/output error");
  }
  const std::vector<Astray> astray = DrawAstray(file);
  for (const Node::Change& change : file.unsynced) {
    ApplyChange(file.durable, change);
  }
  file.unsynced.clear();
  for (const Astray& one : astray) GoAstray(file, one);
  return absl::OkStatus();
}

absl::Status FileSystem::SyncDirectory(Node& directory) {
  ++changes_;
  if (Fails(directory.exposed, faults_.sync_fails, &failing_syncs,
            Fault::kSyncFailed)) {
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
  copy->Recount();
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
  copy->Recount();
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
  Recount();
}

void FileSystem::LosePowerBelow(Node& node, io::Random& random) {
  node.locked = false;
  if (node.type == io::FileInfo::Type::kFile) {
    bool lost = false;
    bool reordered = false;
    for (const auto* changes : {&node.doomed, &node.unsynced}) {
      for (const Node::Change& change : *changes) {
        const Fate fate = ApplyAfterPowerLoss(node.durable, change, random);
        if (fate == Fate::kLost) Took(Fault::kUnsyncedWriteLost);
        if (fate == Fate::kTorn) Took(Fault::kUnsyncedWriteTorn);
        reordered |= lost && fate != Fate::kLost;
        lost |= fate == Fate::kLost;
      }
    }
    if (reordered) Took(Fault::kUnsyncedWriteReordered);
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
  if (kept < node.unsynced_changes.size()) Took(Fault::kNameLost);
  node.unsynced_changes.clear();
  node.children = node.durable_children;
  for (auto& [name, child] : node.children) LosePowerBelow(*child, random);
}

}  // namespace quorate::sim
