// A replica's storage, off the event loop: votes on one lane, entries on
// another, and the checkpoints that let the journal start over.

#ifndef QUORATE_CORE_LOG_PERSISTENCE_H_
#define QUORATE_CORE_LOG_PERSISTENCE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/log/storage.h"
#include "core/log/types.h"
#include "io/environment.h"

namespace quorate::log {

class Persistence {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // This write is on disk.
    virtual void OnDurable(const DurableWrite& write) = 0;
    // Nothing can be relied on any more: the process ends.
    virtual void OnDiskFailed(const absl::Status& status) = 0;
    // No entry can be stored; or again.
    virtual void OnDiskFull(bool full) = 0;
    // What a checkpoint has to keep beside the learned entries, and up to
    // where those are without a gap. Everything learned below was absorbed.
    virtual std::map<uint64_t, Slot> Unsettled() = 0;
    virtual uint64_t SettledUpto() = 0;
  };

  using OnOpened = std::function<void(absl::StatusOr<ReplicaState>)>;
  using OnRead = std::function<void(Storage::ReadResult)>;
  using OnScrubbed = std::function<void(Storage::ScrubResult)>;

  // All arguments outlive the object.
  Persistence(io::Environment& environment, Storage::Options options,
              Listener* listener);
  ~Persistence();

  // Once, before everything else. Without space to open in it waits for some,
  // and OnDiskFull tells.
  void Open(OnOpened done);
  // Kept up to date by SetIdentity; requires that Open has succeeded.
  const SuperblockProto& identity() const { return identity_; }

  // Whether a write may be given now: none is under way, and the journal has
  // room for that many bytes.
  bool CanWrite(uint64_t bytes) const;
  // Requires CanWrite. OnDurable follows.
  void Write(DurableWrite write);

  // Nothing else is written meanwhile.
  void SetIdentity(SuperblockProto identity, std::function<void()> done);
  // The base first, then the space of the records below.
  void Truncate(Base base);

  // Stored in the background; read-your-writes holds.
  void Absorb(std::vector<LearnedEntry> entries);
  // Learned entries of [position, end); the first up to that many bytes.
  void Read(uint64_t position, uint64_t end, size_t max_bytes, OnRead done);
  void Scrub(uint64_t position, uint64_t end, size_t max_bytes,
             OnScrubbed done);

  // Makes what was absorbed durable; nothing while the disk is full.
  void Checkpoint();
  // Everything below was learned when a checkpoint began that is over, or in
  // an earlier life: a loss of power leaves it.
  uint64_t stored_upto() const { return stored_upto_; }

  // Bytes absorbed and not yet stored: who fetches entries waits for them.
  uint64_t backlog_bytes() const { return backlog_bytes_; }
  bool disk_full() const { return disk_full_; }
  // In memory until they are stored durably.
  uint64_t absorbed_bytes() const { return absorbed_bytes_; }
  uint64_t checkpoints() const { return checkpoints_; }
  uint64_t writes() const { return writes_; }

 private:
  void StoreGathered();
  void OnCheckpoint(uint64_t settled, std::map<uint64_t, Slot> unsettled,
                    const absl::Status& status, size_t absorbed,
                    uint64_t begun);
  void OnRecordsStatus(const absl::Status& status);
  void AwaitSpace(const absl::Status& status, OnOpened done);
  void OnSpace();
  void TryAgain();
  void Fail(const absl::Status& status);

  io::Environment& environment_;
  const Storage::Options options_;
  Listener* const listener_;

  // Of the lanes, once opened: each touches its own half.
  std::unique_ptr<Storage> storage_;
  SuperblockProto identity_;
  Storage::JournalRoom room_;
  bool busy_ = false;  // A write, or the identity.
  bool failed_ = false;
  bool checkpointing_ = false;
  uint64_t base_ = 0;
  uint64_t stored_upto_ = 0;
  bool disk_full_ = false;
  // Absorbed since the last checkpoint: to be absorbed again if the records
  // have to be opened anew.
  std::vector<LearnedEntry> absorbed_;
  uint64_t absorbed_bytes_ = 0;
  uint64_t backlog_bytes_ = 0;
  // Absorbed and not given to the lane yet.
  std::vector<LearnedEntry> gathered_;
  uint64_t gathered_bytes_ = 0;
  io::Timer gather_timer_;
  uint64_t checkpoints_ = 0;
  uint64_t writes_ = 0;
  uint64_t writes_begun_ = 0;
  io::Timer retry_;
  // Last: destroyed first, so that no work outlives what it touches.
  std::unique_ptr<io::Lane> records_;
  std::unique_ptr<io::Lane> journal_;
};

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_PERSISTENCE_H_
