// How empty members become a cluster without anybody's command. A pure
// machine.
//
// A formatted member that has seen exactly 2*quorum-1 members that belong to
// no cluster, itself included, for a while, pins that set: durably, once, for
// ever; unless one of them declares another quorum, or has pinned another set.
// When every member of the set says that it has pinned the same set, the
// genesis configuration is that set. Two sets that both complete have no
// member in common, and their cluster ids differ, so they refuse each other.
// A member that meets a formed cluster does not form another: it adopts that
// cluster's genesis and follows without a vote. One that is named there and
// does not know it has lost its memory, and with it what it promised: it stays
// out. And where it is on record which cluster this is, no other one is formed
// or joined: all masters may have lost their disks at once.

#ifndef QUORATE_CORE_LOG_FORMATION_H_
#define QUORATE_CORE_LOG_FORMATION_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/log/types.h"
#include "io/clock.h"

namespace quorate::log {

class Formation {
 public:
  struct Options {
    int quorum = 1;
    bool auto_initialize = true;
    // Where it is on record which cluster this is to be, in words; empty:
    // nowhere. Otherwise nothing is formed or joined before OnRecord.
    std::string record;
    // How long the set of members has to stay the same before it is pinned.
    io::Duration delay = std::chrono::seconds(1);
    // A member not heard of for that long does not count.
    io::Duration forget = std::chrono::seconds(3);
  };

  // `pinned` is what an earlier life pinned, if anything.
  Formation(MemberId me, Options options, std::optional<Config> pinned);

  // What a step asks for. The role makes it durable, then says so.
  struct Output {
    std::optional<Config> pin;
    struct Genesis {
      std::string cluster_id;
      uint64_t generation = 0;
      Config members;
    };
    std::optional<Genesis> genesis;
  };
  // Of whoever says Hello; without an id when it belongs to none.
  struct Cluster {
    std::string id;
    uint64_t generation = 0;
  };

  void OnHello(io::Instant now, const MemberId& from, const Cluster& cluster,
               const Hello& hello, Output* out);
  void OnTick(io::Instant now, Output* out);
  void OnPinned(const Config& members);
  // The cluster's id is this; empty: there is none yet.
  void OnRecord(const std::string& cluster_id) { recorded_ = cluster_id; }

  const std::optional<Config>& pinned() const { return pinned_; }
  // For the operator; always something.
  Explanation Explain() const;

 private:
  struct Peer {
    MemberStatus status;
    Config members;
    int quorum;
    io::Instant heard;
  };

  // Whether the record allows to be of that cluster.
  bool MayBe(const std::string& cluster_id) const;
  bool HasPinned(const Peer& peer, const Config& members) const;
  void Forget(io::Instant now);
  void HearGenesis(io::Instant now, Output::Genesis genesis, Output* out);
  void CheckComplete(Output* out) const;
  Config Seen() const;
  // What the record says against forming a log; empty: nothing.
  Explanation RecordedObstacle() const;
  // Why the members seen may not be pinned; empty when they may.
  Explanation Obstacle() const;
  Explanation ObstacleSeen() const;
  Explanation ExplainPinned() const;

  const MemberId me_;
  const Options options_;
  std::optional<Config> pinned_;
  std::optional<std::string> recorded_;
  // Of the log to join, of its latest generation; and since when.
  std::optional<Output::Genesis> heard_;
  io::Instant heard_since_;
  bool forgotten_ = false;  // Named by a cluster that it does not know.
  std::map<MemberId, Peer> peers_;
  // The set now seen, and since when.
  Config seen_;
  io::Instant since_;
};

// The id of the cluster with these members.
std::string ClusterIdOf(const Config& members);

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_FORMATION_H_
