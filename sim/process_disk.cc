#include "sim/process_disk.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace quorate::sim {
namespace {

using Node = FileSystem::Node;
using NodePtr = FileSystem::NodePtr;
using Type = io::FileInfo::Type;

constexpr io::Duration kCallCost = std::chrono::microseconds(2);
constexpr io::Duration kSyncCost = std::chrono::microseconds(100);
constexpr uint64_t kTotalBytes = uint64_t{100} << 30;

absl::Status WrongKind(const std::string& path, absl::string_view wanted) {
  return absl::FailedPreconditionError(absl::StrCat(path, " is not ", wanted));
}

}  // namespace

class ProcessDisk::OpenFile final : public io::File {
 public:
  OpenFile(FileSystem& files, std::string path, NodePtr node, bool writable,
           std::shared_ptr<const OnCall> on_call,
           std::function<io::WallTime()> now)
      : files_(files),
        path_(std::move(path)),
        node_(std::move(node)),
        writable_(writable),
        on_call_(std::move(on_call)),
        now_(std::move(now)) {}

  absl::Status ReadAt(uint64_t offset, size_t size,
                      std::string* out) const override {
    if (absl::Status s = (*on_call_)(kCallCost); !s.ok()) return s;
    return Named(files_.Read(*node_, offset, size, out));
  }

  absl::Status WriteAt(uint64_t offset, absl::string_view bytes) override {
    if (absl::Status s = (*on_call_)(kCallCost); !s.ok()) return s;
    if (absl::Status s = CheckWritable(); !s.ok()) return s;
    if (absl::Status s = files_.Write(*node_, offset, bytes); !s.ok()) {
      return Named(s);
    }
    node_->modified = now_();
    return absl::OkStatus();
  }

  absl::Status Append(absl::string_view bytes) override {
    return WriteAt(node_->content.size(), bytes);
  }

  absl::Status Sync() override {
    if (absl::Status s = (*on_call_)(kSyncCost); !s.ok()) return s;
    return Named(files_.Sync(*node_));
  }

  absl::Status Truncate(uint64_t size) override {
    if (absl::Status s = (*on_call_)(kCallCost); !s.ok()) return s;
    if (absl::Status s = CheckWritable(); !s.ok()) return s;
    if (absl::Status s = files_.Truncate(*node_, size); !s.ok()) {
      return Named(s);
    }
    node_->modified = now_();
    return absl::OkStatus();
  }

  absl::StatusOr<uint64_t> Size() const override {
    if (absl::Status s = (*on_call_)(kCallCost); !s.ok()) return s;
    return node_->content.size();
  }

 private:
  absl::Status Named(const absl::Status& status) const {
    return status.ok()
               ? status
               : absl::Status(status.code(),
                              absl::StrCat(path_, ": ", status.message()));
  }
  absl::Status CheckWritable() const {
    return writable_ ? absl::OkStatus()
                     : absl::FailedPreconditionError("opened for reading");
  }

  FileSystem& files_;
  const std::string path_;
  const NodePtr node_;
  const bool writable_;
  const std::shared_ptr<const OnCall> on_call_;
  const std::function<io::WallTime()> now_;
};

class ProcessDisk::HeldLock final : public io::FileLock {
 public:
  explicit HeldLock(NodePtr node) : node_(std::move(node)) {
    node_->locked = true;
  }
  ~HeldLock() override { node_->locked = false; }

 private:
  const NodePtr node_;
};

ProcessDisk::ProcessDisk(FileSystem& files, OnCall on_call,
                         std::function<io::WallTime()> now)
    : files_(files),
      on_call_(std::make_shared<const OnCall>(
          [&files, on_call = std::move(on_call)](io::Duration cost) {
            return on_call(cost + files.DrawStall());
          })),
      now_(std::move(now)) {}

absl::StatusOr<std::unique_ptr<io::File>> ProcessDisk::Open(
    const std::string& path, Mode mode) {
  if (absl::Status s = (*on_call_)(kCallCost); !s.ok()) return s;
  auto node = files_.Find(path, true);
  const bool create = mode == Mode::kCreate || mode == Mode::kCreateEmpty;
  if (absl::IsNotFound(node.status()) && create) {
    std::string name;
    auto parent = files_.Parent(path, &name);
    if (!parent.ok()) return parent.status();
    absl::Status begun = files_.BeginChange(**parent);
    if (!begun.ok()) return begun;
    node = std::make_shared<Node>();
    (*node)->modified = now_();
    files_.Link(**parent, name, *node);
  }
  if (!node.ok()) return node.status();
  if ((*node)->type != Type::kFile) return WrongKind(path, "a file");
  files_.Expose(path, **node);
  if (mode == Mode::kCreateEmpty && !(*node)->content.empty()) {
    if (absl::Status s = files_.Truncate(**node, 0); !s.ok()) return s;
  }
  return std::make_unique<OpenFile>(files_, path, *node, mode != Mode::kRead,
                                    on_call_, now_);
}

absl::Status ProcessDisk::SyncDirectory(const std::string& path) {
  if (absl::Status s = (*on_call_)(kSyncCost); !s.ok()) return s;
  auto node = files_.Find(path, true);
  if (!node.ok()) return node.status();
  if ((*node)->type != Type::kDirectory) return WrongKind(path, "a directory");
  return files_.SyncDirectory(**node);
}

absl::Status ProcessDisk::Rename(const std::string& from,
                                 const std::string& to) {
  if (absl::Status s = (*on_call_)(kCallCost); !s.ok()) return s;
  std::string old_name;
  std::string new_name;
  auto node = files_.Find(from, false);
  if (!node.ok()) return node.status();
  auto old_parent = files_.Parent(from, &old_name);
  if (!old_parent.ok()) return old_parent.status();
  auto new_parent = files_.Parent(to, &new_name);
  if (!new_parent.ok()) return new_parent.status();
  auto target = files_.Find(to, false);
  if (target.ok() && ((*target)->type == Type::kDirectory) !=
                         ((*node)->type == Type::kDirectory)) {
    return WrongKind(to, "of the same kind");
  }
  if (target.ok() && (*target)->type == Type::kDirectory &&
      !(*target)->children.empty()) {
    return WrongKind(to, "an empty directory");
  }
  for (const NodePtr& parent : {*old_parent, *new_parent}) {
    if (absl::Status s = files_.BeginChange(*parent); !s.ok()) return s;
  }
  if (*old_parent == *new_parent) {
    files_.Rename(**old_parent, old_name, new_name);
    return absl::OkStatus();
  }
  files_.Link(**new_parent, new_name, *node);
  files_.Link(**old_parent, old_name, nullptr);
  return absl::OkStatus();
}

absl::Status ProcessDisk::Remove(const std::string& path) {
  if (absl::Status s = (*on_call_)(kCallCost); !s.ok()) return s;
  auto node = files_.Find(path, false);
  if (!node.ok()) return node.status();
  if ((*node)->type == Type::kDirectory) return WrongKind(path, "a file");
  std::string name;
  auto parent = files_.Parent(path, &name);
  if (!parent.ok()) return parent.status();
  if (absl::Status s = files_.BeginChange(**parent); !s.ok()) return s;
  files_.Link(**parent, name, nullptr);
  return absl::OkStatus();
}

absl::Status ProcessDisk::RemoveTree(const std::string& path) {
  if (absl::Status s = (*on_call_)(kCallCost); !s.ok()) return s;
  auto node = files_.Find(path, false);
  if (!node.ok()) return node.status();
  std::string name;
  auto parent = files_.Parent(path, &name);
  if (!parent.ok()) return parent.status();
  if (absl::Status s = files_.BeginChange(**parent); !s.ok()) return s;
  files_.Link(**parent, name, nullptr);
  return absl::OkStatus();
}

absl::Status ProcessDisk::MakeDirectories(const std::string& path) {
  if (absl::Status s = (*on_call_)(kCallCost); !s.ok()) return s;
  std::vector<std::string> prefixes;
  for (absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    prefixes.push_back(
        absl::StrCat(prefixes.empty() ? "" : prefixes.back(), "/", part));
  }
  // What leads to one that is there is there as well.
  size_t i = prefixes.size();
  while (i > 1 && !files_.Find(prefixes[i - 1], true).ok()) --i;
  for (i = std::max<size_t>(i, 1) - 1; i < prefixes.size(); ++i) {
    const std::string& prefix = prefixes[i];
    auto node = files_.Find(prefix, true);
    if (node.ok()) {
      if ((*node)->type != Type::kDirectory) {
        return WrongKind(prefix, "a directory");
      }
      continue;
    }
    if (!absl::IsNotFound(node.status())) return node.status();
    std::string name;
    auto parent = files_.Parent(prefix, &name);
    if (!parent.ok()) return parent.status();
    if (absl::Status s = files_.BeginChange(**parent); !s.ok()) return s;
    auto directory = std::make_shared<Node>();
    directory->type = Type::kDirectory;
    files_.Expose(prefix, *directory);
    directory->modified = now_();
    files_.Link(**parent, name, std::move(directory));
  }
  return absl::OkStatus();
}

absl::Status ProcessDisk::Symlink(const std::string& target,
                                  const std::string& path) {
  if (absl::Status s = (*on_call_)(kCallCost); !s.ok()) return s;
  auto existing = files_.Find(path, false);
  if (existing.ok() && (*existing)->type != Type::kSymlink) {
    return absl::AlreadyExistsError(absl::StrCat(path, " exists"));
  }
  std::string name;
  auto parent = files_.Parent(path, &name);
  if (!parent.ok()) return parent.status();
  if (absl::Status s = files_.BeginChange(**parent); !s.ok()) return s;
  auto link = std::make_shared<Node>();
  link->type = Type::kSymlink;
  link->target = target;
  link->modified = now_();
  files_.Link(**parent, name, std::move(link));
  return absl::OkStatus();
}

absl::StatusOr<std::string> ProcessDisk::ReadLink(const std::string& path) {
  if (absl::Status s = (*on_call_)(kCallCost); !s.ok()) return s;
  auto node = files_.Find(path, false);
  if (!node.ok()) return node.status();
  if ((*node)->type != Type::kSymlink) return WrongKind(path, "a symlink");
  return (*node)->target;
}

absl::StatusOr<io::FileInfo> ProcessDisk::Stat(const std::string& path) {
  if (absl::Status s = (*on_call_)(kCallCost); !s.ok()) return s;
  auto node = files_.Find(path, false);
  if (!node.ok()) return node.status();
  io::FileInfo info;
  info.type = (*node)->type;
  info.size = (*node)->content.size();
  info.mode = info.type == Type::kDirectory ? 0755 : 0644;
  info.user = info.group = "root";
  info.modified = (*node)->modified;
  return info;
}

absl::StatusOr<std::string> ProcessDisk::RealPath(const std::string& path) {
  if (absl::Status s = (*on_call_)(kCallCost); !s.ok()) return s;
  return files_.RealPath(path);
}

absl::StatusOr<std::vector<std::string>> ProcessDisk::List(
    const std::string& path) {
  if (absl::Status s = (*on_call_)(kCallCost); !s.ok()) return s;
  auto node = files_.Find(path, true);
  if (!node.ok()) return node.status();
  if ((*node)->type != Type::kDirectory) return WrongKind(path, "a directory");
  std::vector<std::string> names;
  for (const auto& [name, child] : (*node)->children) names.push_back(name);
  return names;
}

absl::StatusOr<std::unique_ptr<io::FileLock>> ProcessDisk::Lock(
    const std::string& path) {
  auto file = Open(path, Mode::kCreate);
  if (!file.ok()) return file.status();
  auto node = files_.Find(path, true);
  if (!node.ok()) return node.status();
  if ((*node)->locked) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is locked: another process uses this directory"));
  }
  return std::make_unique<HeldLock>(*node);
}

absl::StatusOr<uint64_t> ProcessDisk::FreeBytes(const std::string& path) {
  if (absl::Status s = (*on_call_)(kCallCost); !s.ok()) return s;
  if (auto node = files_.Find(path, true); !node.ok()) return node.status();
  if (files_.full) return 0;
  if (files_.capacity == 0) return kTotalBytes / 2;
  return files_.capacity - std::min(files_.capacity, files_.used());
}

absl::StatusOr<uint64_t> ProcessDisk::TotalBytes(const std::string& path) {
  if (absl::Status s = (*on_call_)(kCallCost); !s.ok()) return s;
  if (auto node = files_.Find(path, true); !node.ok()) return node.status();
  return files_.capacity == 0 ? kTotalBytes : files_.capacity;
}

}  // namespace quorate::sim
