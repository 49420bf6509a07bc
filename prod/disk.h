// io::Disk over POSIX files, and lanes that are threads.

#ifndef QUORATE_PROD_DISK_H_
#define QUORATE_PROD_DISK_H_

#include <memory>
#include <string>
#include <vector>

#include "io/disk.h"
#include "prod/event_loop.h"

namespace quorate::prod {

// Has no state of its own: any thread may use it. Files are created with mode
// 0644, directories with 0755, less the umask.
class PosixDisk final : public io::Disk {
 public:
  absl::StatusOr<std::unique_ptr<io::File>> Open(const std::string& path,
                                                 Mode mode) override;
  absl::Status SyncDirectory(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status RemoveTree(const std::string& path) override;
  absl::Status MakeDirectories(const std::string& path) override;
  absl::Status Symlink(const std::string& target,
                       const std::string& path) override;
  absl::StatusOr<std::string> ReadLink(const std::string& path) override;
  absl::StatusOr<io::FileInfo> Stat(const std::string& path) override;
  absl::StatusOr<std::string> RealPath(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(
      const std::string& path) override;
  // An flock(2) lock: it belongs to the open file, so that it excludes other
  // opens of this process as well, and no close of another one breaks it.
  absl::StatusOr<std::unique_ptr<io::FileLock>> Lock(
      const std::string& path) override;
  absl::StatusOr<uint64_t> FreeBytes(const std::string& path) override;
  absl::StatusOr<uint64_t> TotalBytes(const std::string& path) override;
};

// A thread of that name (its first 15 characters) that calls back on `loop`,
// which must outlive it.
std::unique_ptr<io::Lane> NewThreadLane(EventLoop* loop,
                                        absl::string_view name);

}  // namespace quorate::prod

#endif  // QUORATE_PROD_DISK_H_
