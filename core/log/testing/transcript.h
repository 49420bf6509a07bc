// Runs the machines of a few replicas by a script of text, for tests.
//
//   replicas ABC
//   # A asks itself first.
//   A elects 1
//     A>A promise 1.A @1
//   A>A
//     A>A promised 1.A, end 1, @1 is none
//     ...
//
// A line without indentation is a command, the indented ones below it are what
// it led to. Run carries out the commands and returns the script with what
// they really led to, so that a test compares it with itself. See testdata/.
//
//   replicas ABC   a replica for each letter; @0 is learned everywhere, and
//                  makes the first ones members
//   A elects 3     a new proposer with round 3
//   A appends x    by A's proposer, which leads
//   A asks D       D, who is no member yet, for its promise
//   A makes ABD    members of these, by an entry of A's proposer
//   A damages 3    A's record of that position is unreadable, and A restarts
//   A retries      what was not answered
//   A>B            the oldest message from A to B arrives
//   A>B again      the same, and it stays on its way
//   drop A>B       the oldest message from A to B is lost
//   A leaves       the network: everything from and to it is lost, until
//   A returns
//   all            every message arrives; shows what is not a message
//   A waits        for its disk: nothing becomes durable, until
//   A syncs
//   A restarts     without its proposer, with what its disk holds

#ifndef QUORATE_CORE_LOG_TESTING_TRANSCRIPT_H_
#define QUORATE_CORE_LOG_TESTING_TRANSCRIPT_H_

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/log/acceptor.h"
#include "core/log/proposer.h"

namespace quorate::log::testing {

class Transcript {
 public:
  std::string Run(absl::string_view script);

  // For random walks: what is on its way, between whom.
  std::vector<std::pair<MemberId, MemberId>> routes() const;
  const std::vector<MemberId>& members() const { return members_; }
  // The next round of a new proposer there.
  uint64_t NextRound(const MemberId& at) const;
  bool CanAppend(const MemberId& at) const;
  // Who votes at the first position that `at` has not learned.
  std::vector<MemberId> VotersAt(const MemberId& at) const;
  // Two replicas, or one in two lives, have learned different entries at one
  // position.
  bool disagreement() const { return disagreement_; }

 private:
  struct Node {
    ReplicaState disk;                // every slot, also of the learned prefix
    std::map<uint64_t, Entry> known;  // learned, in this life
    uint64_t told = 1;                // shown, up to here
    std::optional<Acceptor> acceptor;
    std::optional<Proposer> proposer;
    bool waits = false;
    bool away = false;
    uint64_t durable = 0;
    std::vector<DurableWrite> writes;  // not yet durable
    std::deque<Outgoing> held;
  };
  struct InFlight {
    MemberId from;
    Outgoing message;
  };

  void Command(const std::string& line);
  void AddReplicas(const std::string& letters);
  void CommandTo(const MemberId& at, const std::string& verb,
                 const std::string& what);
  void Deliver(const MemberId& from, const MemberId& to, bool keep);
  void Arrive(const MemberId& from, const MemberId& to, LogMessage message);
  void DeliverAll();
  void Send(const MemberId& from, Outgoing message);
  void Carry(const MemberId& at, Proposer::Output output);
  void Learn(const MemberId& at, uint64_t position, const Entry& entry);
  void Settle(const MemberId& at);
  void Sync(const MemberId& at);
  void Restart(const MemberId& at);
  void Damage(const MemberId& at, const std::string& position);
  void ServeFetch(const MemberId& at, const MemberId& to, uint64_t position);
  void Show(const std::string& text);

  std::map<MemberId, Node> nodes_;
  std::vector<MemberId> members_;  // and learners
  Entry genesis_;
  std::deque<InFlight> network_;
  std::map<uint64_t, std::string> learned_;  // by anybody, ever
  bool disagreement_ = false;
  bool show_messages_ = true;
  std::string output_;
};

}  // namespace quorate::log::testing

#endif  // QUORATE_CORE_LOG_TESTING_TRANSCRIPT_H_
