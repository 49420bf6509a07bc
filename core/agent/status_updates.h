// Status-update streams: what an agent does so that each framework learns the
// states of each of its tasks in order and at least once.
//
// A pure machine. Per task there is a stream of updates, of which one at a time
// is forwarded and forwarded again until the framework acknowledges it. An
// executor is told that its update is accepted, and a framework sees the
// update, only after the record of it is durable; the next update follows only
// after the acknowledgement is durable. So after any crash the stream goes on
// with the update that waited, and never steps back behind one that the
// framework has acknowledged.
//
//   StatusUpdates::Outputs out;
//   updates.OnUpdate(now, {"framework", "task"}, update, true, &out);
//   for (const auto& o : out) ...   // persist, tell the executor, forward
//
// Writes are numbered from 1 and become durable in that order. An output that
// names a write in `after` must wait for it.

#ifndef QUORATE_CORE_AGENT_STATUS_UPDATES_H_
#define QUORATE_CORE_AGENT_STATUS_UPDATES_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "io/clock.h"

namespace quorate::agent {

class StatusUpdates {
 public:
  static constexpr io::Duration kMinRetry = std::chrono::seconds(10);
  static constexpr io::Duration kMaxRetry = std::chrono::minutes(10);
  // Updates of one task that wait; the terminal one is taken in any case.
  static constexpr size_t kMaxPending = 1000;
  // Acknowledged updates of one task that are recognized when they come again.
  static constexpr size_t kMaxRemembered = 100;

  struct Stream {
    std::string framework_id;
    std::string task_id;

    friend bool operator==(const Stream&, const Stream&) = default;
    friend bool operator<(const Stream& a, const Stream& b) {
      return std::tie(a.framework_id, a.task_id) <
             std::tie(b.framework_id, b.task_id);
    }
  };

  struct Update {
    std::string uuid;
    bool terminal = false;
    std::string content;  // Opaque.
  };

  struct Output {
    enum class Kind {
      kPersistUpdate,           // Write number `write`: uuid and content.
      kPersistAcknowledgement,  // Write number `write`: uuid.
      kAccepted,  // Tell the executor that the agent has the update.
      kForward,   // Send the update to the framework.
      kFinished,  // The terminal update is acknowledged: forget the task.
    };
    Kind kind;
    Stream stream;
    std::string uuid;
    std::string content;
    uint64_t write = 0;
    uint64_t after = 0;  // 0: wait for nothing.
  };
  using Outputs = std::vector<Output>;

  // What recovery found, in order: updates, and acknowledgements (an Update
  // with a uuid only).
  struct Record {
    bool is_acknowledgement = false;
    Update update;
  };

  // Takes an update of an executor or of the agent itself. One that is known
  // already, or comes after the terminal one, is accepted and goes no further.
  // Only `checkpointed` streams persist; a stream is one or the other for
  // ever. ResourceExhausted when too many wait: the update is not taken.
  absl::Status OnUpdate(io::Instant now, const Stream& stream,
                        const Update& update, bool checkpointed, Outputs* out);

  // The framework has acknowledged. NotFound when nothing waits for this
  // acknowledgement, as after a repetition; nothing happens then.
  absl::Status OnAcknowledgement(io::Instant now, const Stream& stream,
                                 absl::string_view uuid, Outputs* out);

  // A master listens, or does no longer. Forwards what waits. Begins paused.
  void Resume(io::Instant now, Outputs* out);
  void Pause();

  // Repetitions are due; see NextRetry.
  void OnTimer(io::Instant now, Outputs* out);
  std::optional<io::Instant> NextRetry() const;

  // Before the first input: rebuilds a checkpointed stream. Acknowledgements
  // that match nothing are skipped. False when the stream had finished.
  bool Recover(const Stream& stream, const std::vector<Record>& records);

  // Drops all streams of a framework that is gone.
  void Remove(absl::string_view framework_id);

  // Whether an update with this uuid has been taken (and is remembered).
  bool Knows(const Stream& stream, absl::string_view uuid) const;
  // Whether an update of the task waits.
  bool HasPending(const Stream& stream) const;
  size_t streams() const { return streams_.size(); }
  // Updates that wait in the stream that has the most.
  size_t longest() const;

  // Ends the process when the machine contradicts itself.
  void CheckInvariants() const;

 private:
  struct Pending {
    Update update;
    uint64_t write = 0;
  };
  struct State {
    bool checkpointed = false;
    bool ended = false;  // The terminal update has been taken.
    std::deque<Pending> pending;
    std::deque<std::string> acknowledged;  // UUIDs, newest last.
    uint64_t last_write = 0;               // Of this stream.
    io::Duration retry = kMinRetry;
    std::optional<io::Instant> due;
  };

  static const Pending* FindPending(const State& state, absl::string_view uuid);
  static bool IsAcknowledged(const State& state, absl::string_view uuid);
  uint64_t Persist(const Stream& stream, State& state, const Update& update,
                   bool is_acknowledgement, Outputs* out);
  void PopFront(State& state);
  void Forward(io::Instant now, const Stream& stream, State& state,
               Outputs* out);
  void SetDue(const Stream& stream, State& state,
              std::optional<io::Instant> due);

  bool paused_ = true;
  uint64_t last_write_ = 0;
  std::map<Stream, State> streams_;
  // When each stream that waits is to be forwarded again.
  std::set<std::pair<io::Instant, Stream>> due_;
};

}  // namespace quorate::agent

#endif  // QUORATE_CORE_AGENT_STATUS_UPDATES_H_
