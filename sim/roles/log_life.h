// A replica's disk under test: a short life that it serves, and what it has to
// show afterwards.

#ifndef QUORATE_SIM_ROLES_LOG_LIFE_H_
#define QUORATE_SIM_ROLES_LOG_LIFE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "core/log/storage.h"
#include "sim/file_system.h"
#include "sim/process_disk.h"

namespace quorate::log {

inline constexpr char kLogDirectory[] = "/var/lib/log";
inline const MemberId kMe(16, 'm');
inline const MemberId kOther(16, 'o');

Entry EntryOf(const std::string& payload, EntryType type = APPEND);
Slot VoteOf(const Ballot& ballot, const Entry& entry);
SuperblockProto ActiveIdentity(SuperblockProto identity);

// A disk whose calls can be watched, and fail.
class WatchedDisk {
 public:
  explicit WatchedDisk(sim::FileSystem& files);

  io::Disk& disk() { return disk_; }
  uint64_t calls() const { return calls_; }
  // Before each call; an error is its result.
  std::function<absl::Status()> on_call;

 private:
  uint64_t calls_ = 0;
  sim::ProcessDisk disk_;
};

Storage::Options SmallOptions();

// What the storage has said to be durable, and everything it was ever told.
struct Memory {
  bool formatted = false;
  Ballot promised;
  Ballot attempted;  // the highest promise
  std::map<uint64_t, Slot> votes;
  std::map<std::pair<uint64_t, Ballot>, Entry> proposed;
  std::map<uint64_t, Entry> chosen;
  uint64_t settled = 0;
  uint64_t base = 0;

  // Empty when `storage` shows all of it, and nothing else. After damage it may
  // say of anything but the promise that it is lost.
  std::string Missing(Storage& storage, bool damaged) const;
  // What a replica in this state holds at and above `from`.
  std::map<uint64_t, Slot> Unsettled(uint64_t from) const;

 private:
  std::string MissingReads(Storage& storage, const ReplicaState& state,
                           bool damaged) const;
  std::string MissingVotes(const ReplicaState& state, bool damaged) const;
};

// Calls of Storage that keep the memory.
class Replica {
 public:
  Replica(io::Disk& disk, const Storage::Options& options, Memory* memory)
      : disk_(disk), options_(options), memory_(*memory) {}

  absl::Status Open();
  absl::Status Join();
  absl::Status Promise(const Ballot& ballot);
  absl::Status Vote(std::map<uint64_t, Slot> votes);
  absl::Status VoteFor(uint64_t position, const Ballot& ballot,
                       const std::string& payload);
  // Learns what was last proposed at [begin, end).
  absl::Status Learn(uint64_t begin, uint64_t end);
  // Everything learned so far is settled. `meanwhile` runs before the journal
  // hears of it.
  absl::Status Checkpoint(
      const std::function<absl::Status()>& meanwhile = nullptr);
  absl::Status Truncate(uint64_t base);
  // Checkpoints, if the journal asks for it.
  absl::Status MakeRoom();

  Storage& storage() { return *storage_; }
  void Close() { storage_.reset(); }

 private:
  io::Disk& disk_;
  const Storage::Options options_;
  Memory& memory_;
  std::unique_ptr<Storage> storage_;
  uint64_t number_ = 0;
};

// Promises, votes small and large, repeated at another ballot, learned; several
// turns of the journal; a truncation; restarts.
absl::Status Live(io::Disk& disk, const Storage::Options& options,
                  Memory* memory);

}  // namespace quorate::log

#endif  // QUORATE_SIM_ROLES_LOG_LIFE_H_
