// What an operator asks of the masters: can they serve, who leads, how is each
// of them, and what is to be done about what is wrong. A pure function of what
// one master knows.
//
//   QuorumReport report = MakeQuorumReport(log.status(), standing, me);
//   if (report.health == QuorumReport::Health::kUnavailable) ...

#ifndef QUORATE_CORE_MASTER_QUORUM_REPORT_H_
#define QUORATE_CORE_MASTER_QUORUM_REPORT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/api/mesos.pb.h"
#include "core/log/log_node.h"
#include "core/master/standing.h"
#include "io/clock.h"

namespace quorate::master {

struct QuorumReport {
  enum class Health {
    kHealthy,
    kDegraded,  // Serves, and something needs attention.
    kUnavailable,
  };
  enum class Severity {
    kNote,      // Nothing is impaired.
    kWarning,   // Less is tolerated than should be.
    kCritical,  // The cluster does not serve, as far as this master can tell.
  };

  // A replica of the log, that is a master.
  struct Member {
    std::string id;       // 16 bytes; empty: not known
    std::string address;  // empty: not known
    bool self = false;
    bool leads = false;
    bool votes = false;  // is a member of the log
    // "ok", "missing", "behind", "not voting", "disk full", "damaged",
    // "quarantined", "cloned", "foreign", "misconfigured", "learner",
    // "forming", "opening", "unknown"
    std::string state;
    std::optional<io::Duration> silent;
    uint64_t learned_upto = 0;
    int declared_quorum = 0;  // 0: not known
  };

  struct Problem {
    Severity severity = Severity::kWarning;
    std::string kind;    // a Member's state, or "no leader" and the like
    std::string master;  // whom it concerns, as people know it; maybe empty
    std::string what;
    std::string remedy;
  };

  Health health = Health::kUnavailable;
  // Only the leader hears of every master. The others tell what they know.
  bool complete = false;
  Standing::Phase phase = Standing::Phase::kFollowing;
  uint64_t epoch = 0;  // of the leader; 0: not known
  std::optional<mesos::v1::MasterInfo> leader;
  mesos::v1::MasterInfo me;
  std::string cluster_id;  // 16 bytes, or empty
  uint32_t generation = 0;
  size_t voters = 0;  // members of the log
  size_t quorum = 0;  // of them, a majority
  // How many more masters may fail now; only of a complete report.
  std::optional<size_t> tolerates;
  std::vector<Member> members;
  std::vector<Problem> problems;  // the gravest first
};

QuorumReport MakeQuorumReport(const log::LogStatus& log,
                              const Standing& standing,
                              const mesos::v1::MasterInfo& me);

// As /quorum answers.
std::string QuorumJson(const QuorumReport& report);

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_QUORUM_REPORT_H_
