// The disk of a simulated host: files and directories with what is durable
// kept apart from what is not yet.
//
// The death of a process loses nothing. At a power loss each write since the
// file's last sync is kept, lost, or torn at a sector; and of the changes to a
// directory since its last sync some first ones are kept. AfterPowerLoss gives
// each of these outcomes that one asks for.

#ifndef QUORATE_SIM_FILE_SYSTEM_H_
#define QUORATE_SIM_FILE_SYSTEM_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "io/disk.h"
#include "io/random.h"

namespace quorate::sim {

class FileSystem {
 public:
  static constexpr size_t kSectorBytes = 512;

  struct Node {
    io::FileInfo::Type type = io::FileInfo::Type::kFile;
    // Of a file.
    std::string content;
    std::string durable;
    struct Change {
      uint64_t offset = 0;  // of a write
      std::string bytes;
      bool truncate = false;  // to `offset`
    };
    std::vector<Change> unsynced;
    // Whose sync failed: the page cache has dropped them as if they were clean.
    std::vector<Change> doomed;
    bool locked = false;
    // Faults of the medium: sectors that cannot be read until they are written,
    // or ever; and what was in each before it was last written.
    std::set<uint64_t> unreadable;
    std::map<uint64_t, std::string> stale;
    // Of a symlink.
    std::string target;
    // Of a directory. A null node is a removed name.
    using Children = std::map<std::string, std::shared_ptr<Node>>;
    Children children;
    Children durable_children;
    std::vector<Children> unsynced_changes;  // each atomic
    io::WallTime modified;
  };
  using NodePtr = std::shared_ptr<Node>;

  FileSystem();

  // Errors as in io/disk.h. Follows symlinks, in the last component only if
  // asked to.
  absl::StatusOr<NodePtr> Find(const std::string& path, bool follow_last);
  // The directory that holds, or would hold, the last component.
  absl::StatusOr<NodePtr> Parent(const std::string& path, std::string* name);
  absl::StatusOr<std::string> RealPath(const std::string& path);

  void Link(Node& directory, const std::string& name, NodePtr node);
  void Truncate(Node& file, uint64_t size);
  // ResourceExhausted when the disk is full.
  absl::Status Write(Node& file, uint64_t offset, absl::string_view bytes);
  // Unavailable when a sync has to fail. What it should have made durable is
  // as uncertain as before, and no later sync makes it durable either.
  absl::Status Sync(Node& file);
  absl::Status SyncDirectory(Node& directory);

  // Faults: this many of the next syncs fail; no file can grow.
  int failing_syncs = 0;
  bool full = false;
  // Bytes that all files may have together; 0: no limit.
  uint64_t capacity = 0;

  // Keep what was in a sector before (Node::stale).
  bool remembers = false;

  // Everything that was not synced is up to `random` now.
  void LosePower(io::Random& random);

  // Something that is not durable: a write or truncation of a file, or a change
  // of a directory.
  struct AtRisk {
    std::string path;
    uint64_t bytes = 0;  // of a write; otherwise 1
  };
  std::vector<AtRisk> ListAtRisk() const;
  // A copy, as it would be after a loss of power that keeps of the i-th of
  // ListAtRisk() the first kept[i] bytes: all or nothing if it is no write. Of
  // a directory those changes are kept before which none is lost.
  std::unique_ptr<FileSystem> AfterPowerLoss(
      const std::vector<uint64_t>& kept) const;
  // A copy with everything in it.
  std::unique_ptr<FileSystem> Copy() const;
  // Unavailable if one of these bytes cannot be read.
  static absl::Status CheckReadable(const Node& file, uint64_t offset,
                                    uint64_t size);
  // Counts whatever changes what a loss of power would leave.
  uint64_t changes() const { return changes_; }
  void CountChange() { ++changes_; }

  const NodePtr& root() const { return root_; }

  // A copy of all that is there, as a backup or a cloned disk has it; and what
  // there is instead from now on. Nobody has a file open.
  static NodePtr Copy(const Node& node);
  void Replace(NodePtr root) { root_ = std::move(root); }

 private:
  static uint64_t BytesUnder(const Node& node);
  absl::Status Walk(const std::string& path, bool follow_last, NodePtr* node,
                    std::string* real);

  NodePtr root_;
  uint64_t changes_ = 0;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_FILE_SYSTEM_H_
