// The disk of a simulated host: files and directories with what is durable
// kept apart from what is not yet.
//
// The death of a process loses nothing. At a power loss each write since the
// file's last sync is kept, lost, or torn at a sector; and of the changes to a
// directory since its last sync some first ones are kept. AfterPowerLoss gives
// each of these outcomes that one asks for.
//
// What else may go wrong is off until asked for: see disk_faults.h.

#ifndef QUORATE_SIM_FILE_SYSTEM_H_
#define QUORATE_SIM_FILE_SYSTEM_H_

#include <climits>
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
#include "sim/disk_faults.h"
#include "sim/world.h"

namespace quorate::sim {

class FileSystem {
 public:
  static constexpr size_t kSectorBytes = 512;
  // As many as there are calls.
  static constexpr int kEver = INT_MAX;

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
    // Whether it is under DiskFaults::under.
    bool exposed = true;
    // In how many directories it is: 0 once it is removed.
    int names = 0;
  };
  using NodePtr = std::shared_ptr<Node>;

  // Nobody's, without faults but losses of power.
  FileSystem();
  // The disk of that host, which counts its faults and draws them.
  FileSystem(World& world, std::string owner);

  // Errors as in io/disk.h. Follows symlinks, in the last component only if
  // asked to.
  absl::StatusOr<NodePtr> Find(const std::string& path, bool follow_last);
  // The directory that holds, or would hold, the last component.
  absl::StatusOr<NodePtr> Parent(const std::string& path, std::string* name);
  absl::StatusOr<std::string> RealPath(const std::string& path);

  // A null node removes the name.
  void Link(Node& directory, const std::string& name, NodePtr node);
  // Within a directory, atomically.
  void Rename(Node& directory, const std::string& from, const std::string& to);
  // Unavailable when the disk fails, as for Write.
  absl::Status Read(Node& file, uint64_t offset, uint64_t size,
                    std::string* out);
  absl::Status Truncate(Node& file, uint64_t size);
  // ResourceExhausted when the disk is full. What fits before is written.
  absl::Status Write(Node& file, uint64_t offset, absl::string_view bytes);
  // Asked before names in `directory` change.
  absl::Status BeginChange(const Node& directory);
  // Unavailable when a sync has to fail. What it should have made durable is
  // as uncertain as before, and no later sync makes it durable either.
  absl::Status Sync(Node& file);
  absl::Status SyncDirectory(Node& directory);

  // From now on. Not for a disk that is nobody's.
  void SetFaults(DiskFaults faults);
  // The disk works again; what is damaged stays so.
  void EndFaults();
  // Damages a sector that the faults may concern: kBitFlipped, kSectorZeroed,
  // kSectorStale (what it held before, if the disk `remembers`) or kReadFailed
  // (it cannot be read until it is written). False when that changes nothing.
  bool Damage(Fault kind);
  // Tells a file or directory that `path` is where it is.
  void Expose(const std::string& path, Node& node) const;
  // Of the next call.
  io::Duration DrawStall();

  // This many of the next calls fail.
  int failing_reads = 0;
  int failing_writes = 0;
  int failing_syncs = 0;
  // No file can grow.
  bool full = false;
  // Bytes that all files may have together; 0: no limit.
  uint64_t capacity = 0;
  // What they have.
  uint64_t used() const { return used_; }

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
  void Replace(NodePtr root);

 private:
  // A write that the medium did not take though its sync succeeds.
  struct Astray {
    uint64_t offset = 0;  // of a sector
    std::string before;   // in those sectors
    bool elsewhere = false;
  };

  void Took(Fault fault);
  void ExposeAll();
  bool Draw(double chance);
  bool Fails(bool exposed, double chance, int* next, Fault kind);
  std::vector<Astray> DrawAstray(const Node& file);
  void GoAstray(Node& file, const Astray& astray);
  // Exposed files that have sectors, by path.
  std::vector<NodePtr> ExposedFiles() const;
  void Put(Node& file, uint64_t offset, absl::string_view bytes, bool at_once);
  uint64_t Fitting(const Node& file, uint64_t offset, uint64_t size);

  void CountNames(Node& node, int by);
  void Recount();
  void LosePowerBelow(Node& node, io::Random& random);
  absl::Status Walk(const std::string& path, bool follow_last, NodePtr* node,
                    std::string* real);

  World* const world_ = nullptr;
  const std::string owner_;
  std::unique_ptr<io::Random> random_;  // of faults
  DiskFaults faults_;
  NodePtr root_;
  uint64_t used_ = 0;
  uint64_t changes_ = 0;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_FILE_SYSTEM_H_
