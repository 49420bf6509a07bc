// What mesos-log does with the directory of a replica that does not run. Every
// function holds the replica's lock while it works, and opens the records,
// which tidies LevelDB's files, and salvages them when they are damaged.
// FailedPrecondition when it runs, NotFound when there is no replica,
// PermissionDenied when it cannot be written, InvalidArgument for bad input;
// the messages say what to do.

#ifndef QUORATE_CORE_LOG_TOOL_OFFLINE_H_
#define QUORATE_CORE_LOG_TOOL_OFFLINE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/log/log.pb.h"
#include "io/disk.h"
#include "io/random.h"

namespace quorate::log_tool {

// Of a stopped replica.
struct Summary {
  log::SuperblockProto identity;
  uint64_t base = 0;
  // Positions below were learned; `damaged` of them have no readable record.
  uint64_t learned = 0;
  uint64_t damaged = 0;
  // Above: accepted, and of which only the ballot is left.
  uint64_t accepted = 0;
  uint64_t faulty = 0;
  bool blind = false;  // Votes were lost without a trace.
  // LevelDB's files were damaged; what they were is in DIR/records.damaged.
  bool salvaged = false;
};
absl::StatusOr<Summary> Summarize(io::Disk& disk, const std::string& directory);

// Formats a missing or empty directory; the new member's id.
absl::StatusOr<std::string> Format(io::Disk& disk, const std::string& directory,
                                   io::Random& random);
// The 16 bytes of an id in hexadecimal digits, spaces around it left out.
absl::StatusOr<std::string> ParseMemberId(absl::string_view text);
// A token that begins a cluster of these members (16-byte ids).
absl::StatusOr<std::string> MakeGenesis(std::vector<std::string> members,
                                        io::Random& random);
// Makes a formatted replica, which the token names, part of that cluster.
absl::Status ApplyGenesis(io::Disk& disk, const std::string& directory,
                          const std::string& token);

struct SlotView {
  uint64_t position = 0;
  std::string state;  // "learned", "accepted", "faulty", "damaged"
  uint64_t round = 0;
  std::string proposer;  // 16 bytes, or empty
  std::string hash;      // 16 bytes, or empty
  log::EntryProto entry;
};
// Every position of [from, to) that holds something, in order.
absl::Status ForEachSlot(io::Disk& disk, const std::string& directory,
                         uint64_t from, uint64_t to,
                         const std::function<void(const SlotView&)>& visit);

struct BackedUp {
  log::BackupHeader header;
  // Of what is at or above header.end() and below this position, the replica
  // has learned or accepted some; it is not in the backup.
  uint64_t seen_upto = 0;
};
// Copies the learned entries, checked. AlreadyExists when `file` is there.
absl::StatusOr<BackedUp> Backup(io::Disk& disk, const std::string& directory,
                                const std::string& file);
// Reads a backup to its end; DataLoss where it is damaged.
absl::StatusOr<log::BackupHeader> VerifyBackup(io::Disk& disk,
                                               const std::string& file);

struct Forced {
  std::string member_id;
  std::string cluster_id;
  uint32_t generation = 0;
  // Positions below are as they were when the replica (or backup) learned
  // them; what it had only accepted follows.
  uint64_t vouched = 0;
  uint64_t end = 0;
};
// After the loss of a majority of the disks: the survivor goes on alone, in a
// new generation that refuses all others of the old one. What was acknowledged
// and had not reached it is lost. Also from a backup, into an empty directory.
// When interrupted, what is there is quarantined until Force is repeated, or
// Restore into another directory.
absl::StatusOr<Forced> Force(io::Disk& disk, const std::string& directory);
absl::StatusOr<Forced> Restore(io::Disk& disk, const std::string& file,
                               const std::string& directory,
                               io::Random& random);

}  // namespace quorate::log_tool

#endif  // QUORATE_CORE_LOG_TOOL_OFFLINE_H_
