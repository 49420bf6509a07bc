// The superblock: who this replica is and what it has promised, in a file of
// its own.
//
// Four copies of 8 KiB, each with a checksum and a sequence number.
// An update writes the first two, syncs, writes the others, syncs: whatever a
// crash tears, a whole copy of the old or the new state is left.

#ifndef QUORATE_CORE_LOG_SUPERBLOCK_H_
#define QUORATE_CORE_LOG_SUPERBLOCK_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/log/types.h"
#include "io/disk.h"

namespace quorate::log {

class Superblock {
 public:
  static constexpr size_t kCopyBytes = 8192;
  static constexpr int kCopies = 4;

  // Creates the file durably, directory entry included. AlreadyExists when it
  // is there.
  static absl::StatusOr<std::unique_ptr<Superblock>> Create(
      io::Disk& disk, const std::string& path, const SuperblockProto& content);

  // NotFound when there is no file, DataLoss when no copy is whole. Repairs
  // the copies that are not the newest.
  static absl::StatusOr<std::unique_ptr<Superblock>> Open(
      io::Disk& disk, const std::string& path);

  const SuperblockProto& content() const { return content_; }

  // Durable when OK. Internal, with nothing written, when it does not fit.
  absl::Status Update(const SuperblockProto& content);

 private:
  Superblock(std::unique_ptr<io::File> file, uint64_t sequence,
             SuperblockProto content);

  absl::Status WriteHalf(int half);

  std::unique_ptr<io::File> file_;
  uint64_t sequence_;
  SuperblockProto content_;
};

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_SUPERBLOCK_H_
