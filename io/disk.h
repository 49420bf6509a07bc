// Files with nothing hidden: what a crash may take away is said for each call.
//
// The calls block, so logic runs them on a Lane, never on the event loop:
//
//   lane_->Run([this] { status_ = WriteRecord(*disk_); },
//              [this] { OnRecordDurable(status_); });
//
// In production a lane is a thread; in the simulator it runs inline at a
// virtual instant and a crash can cut it short after any single disk call.

#ifndef QUORATE_IO_DISK_H_
#define QUORATE_IO_DISK_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "io/clock.h"

namespace quorate::io {

// An open file. Closing (destruction) writes nothing and syncs nothing.
// Used by one thread at a time.
class File {
 public:
  virtual ~File() = default;

  // At most `size` bytes from `offset` into `*out` (resized to what was
  // read); fewer only at the end of the file.
  virtual absl::Status ReadAt(uint64_t offset, size_t size,
                              std::string* out) const = 0;

  // Writes all of `bytes`, extending the file with zeros where needed.
  // After a crash, without a later Sync, any part of it may be there, and the
  // sectors it touches may be torn.
  virtual absl::Status WriteAt(uint64_t offset, absl::string_view bytes) = 0;

  // WriteAt the current end.
  virtual absl::Status Append(absl::string_view bytes) = 0;

  // OK means that content and length survive a crash (fdatasync). After an
  // error nothing is known, and no later Sync of this file is to be trusted:
  // callers end the process.
  virtual absl::Status Sync() = 0;

  virtual absl::Status Truncate(uint64_t size) = 0;
  virtual absl::StatusOr<uint64_t> Size() const = 0;
};

// Held until destroyed, or until the process dies.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

struct FileInfo {
  enum class Type { kFile, kDirectory, kSymlink, kOther };
  Type type = Type::kFile;
  uint64_t size = 0;
  uint32_t mode = 0;  // Permission bits, as in st_mode.
  uint64_t links = 1;
  std::string user;  // Name, or the number in decimal when it has no name.
  std::string group;
  WallTime modified;
};

// Paths are absolute. Errors: NotFound, AlreadyExists, PermissionDenied,
// ResourceExhausted (no space), FailedPrecondition (wrong kind of file, held
// lock), Unavailable (I/O error).
class Disk {
 public:
  enum class Mode {
    kRead,         // must exist
    kReadWrite,    // must exist
    kCreate,       // read and write; created when missing
    kCreateEmpty,  // read and write; created or emptied
  };

  virtual ~Disk() = default;

  virtual absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path,
                                                     Mode mode) = 0;

  // Entries of a directory (creations, renames, removals) survive a crash only
  // after SyncDirectory of that directory.
  virtual absl::Status SyncDirectory(const std::string& path) = 0;

  // Atomic: after a crash either name is there, never a mixture.
  virtual absl::Status Rename(const std::string& from,
                              const std::string& to) = 0;
  virtual absl::Status Remove(const std::string& path) = 0;  // not directories
  virtual absl::Status RemoveTree(const std::string& path) = 0;  // or a file

  // Creates missing parents as well; existing directories are fine.
  virtual absl::Status MakeDirectories(const std::string& path) = 0;

  // Replaces an existing symlink of that name.
  virtual absl::Status Symlink(const std::string& target,
                               const std::string& path) = 0;
  virtual absl::StatusOr<std::string> ReadLink(const std::string& path) = 0;

  // Does not follow a symlink in the last component.
  virtual absl::StatusOr<FileInfo> Stat(const std::string& path) = 0;

  // The path with every symlink, "." and ".." resolved; it must exist.
  virtual absl::StatusOr<std::string> RealPath(const std::string& path) = 0;

  // Names without "." and "..", sorted.
  virtual absl::StatusOr<std::vector<std::string>> List(
      const std::string& path) = 0;

  // Exclusive among processes, and within this one; FailedPrecondition when
  // held. Creates the file.
  virtual absl::StatusOr<std::unique_ptr<FileLock>> Lock(
      const std::string& path) = 0;

  // Free bytes for an unprivileged writer on the file system of `path`.
  virtual absl::StatusOr<uint64_t> FreeBytes(const std::string& path) = 0;
  virtual absl::StatusOr<uint64_t> TotalBytes(const std::string& path) = 0;

  // Whole-file conveniences over the calls above.
  absl::StatusOr<std::string> ReadFile(const std::string& path);
  // Replaces the file's content so that after a crash either the old or the
  // new content is there: temporary file, Sync, Rename, SyncDirectory.
  absl::Status WriteFileDurably(const std::string& path,
                                absl::string_view content);
};

// Runs blocking work in order, one piece at a time.
class Lane {
 public:
  // Destruction drops work that has not begun, waits for a piece that has, and
  // runs no further `done`.
  virtual ~Lane() = default;

  // Runs `work` off the loop, then `done` on the loop. `work` must touch only
  // what nobody else touches until `done`.
  virtual void Run(std::function<void()> work, std::function<void()> done) = 0;
};

}  // namespace quorate::io

#endif  // QUORATE_IO_DISK_H_
