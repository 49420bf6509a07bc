// Changes of the log's members, on the leader. A pure machine.
//
// Any change is safe in one step: each position is decided by one, exactly
// known set of members. What this machine cares for is that the log goes on
// and forgets nothing: a change is proposed only when its members have
// answered, have promised the leader's ballot, and hold what was decided; and
// it is over only when a quorum of the new members holds all that the old ones
// decided, so that those who left may be stopped.

#ifndef QUORATE_CORE_LOG_MEMBERSHIP_H_
#define QUORATE_CORE_LOG_MEMBERSHIP_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/log/types.h"
#include "io/clock.h"

namespace quorate::log {

class Membership {
 public:
  struct Options {
    int declared_quorum = 1;  // of this replica
    // Whether the members follow what all of them declare.
    bool automatic = true;
    // A member is dropped automatically only after that long a silence.
    io::Duration gone_after = std::chrono::minutes(10);
    // How long all have to declare the same before that counts.
    io::Duration agree_for = std::chrono::seconds(30);
    // A report older than that says nothing about now.
    io::Duration recent = std::chrono::seconds(2);
    // A change that is not over by then is given up, or reported as it is.
    io::Duration timeout = std::chrono::seconds(60);
    std::string address;  // of this replica
  };

  // What a replica has answered to a heartbeat, member or not.
  struct PeerReport {
    MemberId id;
    std::string address;
    uint64_t learned_upto = 0;
    // Of those, what a loss of power leaves.
    uint64_t stored_upto = 0;
    int declared_quorum = 0;
    bool silent = false;  // it does not vote
    bool disk_full = false;
    uint64_t damaged = 0;
  };

  struct Change {
    std::vector<MemberId> add;
    std::vector<MemberId> remove;
    // More than one addition, removal or swap in one step.
    bool bulk = false;
    bool automatic = false;  // nobody has asked for it
    std::string reason;
  };

  struct Finished {
    uint64_t id;
    // OK: those that were removed may be stopped. InvalidArgument, NotFound,
    // AlreadyExists, FailedPrecondition: not tried. DeadlineExceeded: what was
    // missing.
    absl::Status status;
  };

  struct Output {
    // Promises of the leader's ballot that are needed before a proposal.
    std::vector<MemberId> ask_promise;
    std::optional<Config> propose;
    // An entry at the next position: the first that the new members decide.
    bool barrier = false;
    std::vector<Finished> finished;
    // The leader is no member any more, and not needed any more.
    bool resign = false;
  };

  // The leader's epoch was chosen; `learned_upto` is its own.
  Membership(MemberId me, Options options, Config config,
             uint64_t config_position, uint64_t learned_upto, io::Instant now);

  void OnPeer(io::Instant now, const PeerReport& report);
  // That replica has promised the leader's ballot.
  void OnPromised(const MemberId& id);
  // The leader has learned everything below.
  void OnLearned(uint64_t learned_upto) { learned_upto_ = learned_upto; }
  // And a loss of power leaves it that much.
  void OnStored(uint64_t stored_upto) { stored_upto_ = stored_upto; }
  // This configuration is chosen, and in force from the next position on.
  void OnChosenConfig(io::Instant now, uint64_t position, const Config& config,
                      Output* out);
  // `id` comes back in Finished. A removal may be asked for again.
  void Request(io::Instant now, uint64_t id, const Change& change, Output* out);
  void OnTick(io::Instant now, Output* out);

  const Config& config() const { return config_; }
  // What keeps the change under way waiting, or how --quorum differs from the
  // members; empty when all is well.
  std::string Explain(io::Instant now) const;
  // Whether some live member declares another number of members.
  bool QuorumMismatch(io::Instant now) const;

 private:
  struct Peer {
    PeerReport report;
    io::Instant heard;
    // What the leader had learned when it reported last: it has caught up when
    // its next report reaches that.
    uint64_t target = 0;
    std::optional<io::Instant> caught_up;
  };
  enum class Step { kPreparing, kProposed, kSettling };
  struct Pending {
    std::optional<uint64_t> request;  // none for an automatic change
    Config target;
    std::vector<MemberId> added;
    Step step = Step::kPreparing;
    io::Instant since;
    uint64_t position = 0;  // of the CONFIG entry
  };

  bool Recent(io::Instant now, const MemberId& id) const;
  bool Votes(io::Instant now, const MemberId& id) const;
  bool CaughtUp(io::Instant now, const MemberId& id) const;
  bool Fit(io::Instant now, const MemberId& id) const;
  absl::Status Refusal(const Change& change) const;
  bool IsRepeated(const Change& change) const;
  Config Changed(const Change& change) const;
  void Begin(io::Instant now, std::optional<uint64_t> request,
             const Change& change);
  void Advance(io::Instant now, Output* out);
  void Prepare(io::Instant now, Output* out);
  void Conclude(io::Instant now, Output* out);
  void MakeRoom(io::Instant now);
  // What a proposal, or the end of the change, waits for; empty: nothing.
  std::string Unprepared(io::Instant now) const;
  std::string WhyNotFit(io::Instant now, const MemberId& id) const;
  std::string Unsettled() const;
  void Finish(absl::Status status, Output* out);
  void ConsiderAutomatic(io::Instant now);
  std::optional<Change> NextAutomatic(io::Instant now) const;
  // The --quorum that all who are heard declare, if it is one.
  std::optional<int> Declared(io::Instant now) const;

  const MemberId me_;
  const Options options_;
  Config config_;
  uint64_t config_position_;
  uint64_t learned_upto_;
  uint64_t stored_upto_ = 0;
  const io::Instant began_;
  std::map<MemberId, Peer> peers_;
  std::set<MemberId> promised_;
  std::optional<Pending> pending_;
  // The change that all have declared, and since when.
  std::optional<Change> wanted_;
  io::Instant wanted_since_;
};

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_MEMBERSHIP_H_
