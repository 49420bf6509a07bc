// io::Disk over a simulated file system, for one process.

#ifndef QUORATE_SIM_PROCESS_DISK_H_
#define QUORATE_SIM_PROCESS_DISK_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "io/disk.h"
#include "sim/file_system.h"

namespace quorate::sim {

class ProcessDisk : public io::Disk {
 public:
  // Asked before each call, with what it costs; an error is the call's result.
  using OnCall = std::function<absl::Status(io::Duration cost)>;

  ProcessDisk(FileSystem& files, OnCall on_call,
              std::function<io::WallTime()> now);

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
  absl::StatusOr<std::unique_ptr<io::FileLock>> Lock(
      const std::string& path) override;
  absl::StatusOr<uint64_t> FreeBytes(const std::string& path) override;
  absl::StatusOr<uint64_t> TotalBytes(const std::string& path) override;

 private:
  class OpenFile;
  class HeldLock;

  FileSystem& files_;
  // Shared with the open files, which may outlive this object's process.
  const std::shared_ptr<const OnCall> on_call_;
  const std::function<io::WallTime()> now_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_PROCESS_DISK_H_
