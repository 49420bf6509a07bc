#include "core/master/quorum_report.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/version.h"
#include "core/json/writer.h"

namespace quorate::master {
namespace {

using json::JsonWriter;
using log::LogStatus;
using Health = QuorumReport::Health;
using Member = QuorumReport::Member;
using Problem = QuorumReport::Problem;
using Severity = QuorumReport::Severity;

constexpr char kWait[] = "wait some seconds";
constexpr char kReplace[] =
    "start another one in its place, with an empty --work_dir, then 'mesos-log "
    "members replace OLD NEW'";

// What a member's state means, and what to do about it. `what` follows the
// member's name.
struct Meaning {
  const char* state;
  Severity severity;
  const char* what;
  std::string remedy;
};

const std::vector<Meaning>& Meanings() {
  static const auto& meanings = *new std::vector<Meaning>{
      {"missing", Severity::kWarning, "does not answer",
       absl::StrCat("start it, or see what keeps the network from it; if its "
                    "machine is lost, ",
                    kReplace)},
      {"behind", Severity::kWarning, "has not learned what the others decided",
       "wait: it catches up; if it does not, look at its disk and its network"},
      {"not voting", Severity::kWarning, "answers, and gives no votes",
       "ask it for /quorum: it says what it waits for"},
      {"disk full", Severity::kWarning, "has no space left on its disk",
       "make space for its --work_dir; it goes on by itself"},
      {"damaged", Severity::kWarning, "has found damaged records on its disk",
       "wait: it repairs them from the others; then replace the disk"},
      {"quarantined", Severity::kWarning,
       "must not vote any more: its disk is not the one that it promised with, "
       "as after restoring a backup or copying a disk",
       absl::StrCat("stop it and move its --work_dir away; ", kReplace)},
      {"cloned", Severity::kWarning,
       "was cloned, or restored from a backup: its disk is not the one that it "
       "promised with, and no copy of it votes",
       absl::StrCat(
           "stop it, and any other that runs with a copy of that disk; "
           "move their --work_dir away; ",
           kReplace)},
      {"foreign", Severity::kWarning, "is none of this log",
       "stop it, or give it its own --masters, or its own path in --zk"},
      {"misconfigured", Severity::kWarning, "declares another --quorum", ""},
      {"learner", Severity::kNote,
       "follows without a vote: it is not one of the log's members",
       "'mesos-log members add ID' gives it a vote, 'replace OLD ID' the one "
       "of another; or declare the new --quorum on all masters, and wait"},
      {"forming", Severity::kCritical, "has not found its log yet",
       "start all masters, each with the same --quorum"},
      {"opening", Severity::kWarning, "is reading its disk", kWait},
  };
  return meanings;
}

const Meaning* MeaningOf(const std::string& state) {
  for (const Meaning& meaning : Meanings()) {
    if (state == meaning.state) return &meaning;
  }
  return nullptr;
}

bool GivesVotes(const Member& member) {
  return member.votes &&
         (member.state == "ok" || member.state == "behind" ||
          member.state == "damaged" || member.state == "misconfigured");
}

// How many failures so many voters tolerate, of whom `alive` vote.
size_t Tolerated(size_t alive, size_t quorum) {
  return alive < quorum ? 0 : alive - quorum;
}

std::string AddressOf(const mesos::v1::MasterInfo& info) {
  return absl::StrCat(info.address().ip(), ":", info.address().port());
}

std::string NameOf(const Member& member) {
  if (!member.address.empty()) return member.address;
  return absl::StrCat("replica ", absl::BytesToHexString(member.id));
}

class Reporter {
 public:
  Reporter(const LogStatus& log, const Standing& standing,
           const mesos::v1::MasterInfo& me)
      : log_(log), standing_(standing) {
    report_.phase = standing.phase;
    report_.leader = standing.leader;
    report_.me = me;
    report_.cluster_id = log.cluster_id;
    report_.generation = log.generation;
    report_.voters = log.members.size();
    report_.quorum = log.members.size() / 2 + 1;
    report_.complete = standing.phase == Standing::Phase::kLeading &&
                       log.state == LogStatus::State::kLeading;
  }

  QuorumReport Make() {
    AddMembers();
    JudgeElection();
    for (const Member& member : report_.members) Judge(member);
    JudgeLeadership();
    JudgeLog();
    std::stable_sort(report_.problems.begin(), report_.problems.end(),
                     [](const Problem& a, const Problem& b) {
                       return a.severity > b.severity;
                     });
    report_.health = Health::kHealthy;
    if (!report_.problems.empty()) {
      const Severity gravest = report_.problems.front().severity;
      if (gravest == Severity::kWarning) report_.health = Health::kDegraded;
      if (gravest == Severity::kCritical) report_.health = Health::kUnavailable;
    }
    return std::move(report_);
  }

 private:
  void AddMembers() {
    AddSelf();
    for (const LogStatus::Peer& peer : log_.peers) AddPeer(peer);
    for (const LogStatus::Refusal& refusal : log_.refusals) {
      const bool known = std::any_of(
          report_.members.begin(), report_.members.end(),
          [&](const Member& m) { return m.address == refusal.address; });
      if (known) continue;
      Member stranger;
      stranger.address = refusal.address;
      stranger.state = "foreign";
      report_.members.push_back(std::move(stranger));
    }
  }

  void AddSelf() {
    Member self;
    self.id = log_.member_id;
    self.address = AddressOf(report_.me);
    self.self = true;
    self.leads = report_.complete;
    self.votes = std::count(log_.members.begin(), log_.members.end(),
                            log_.member_id) > 0;
    self.learned_upto = log_.learned_upto;
    self.declared_quorum = log_.declared_quorum;
    self.silent = io::Duration::zero();
    self.state = OwnState();
    if (self.state == "ok" && IsMisconfigured(self)) {
      self.state = "misconfigured";
    }
    report_.members.push_back(std::move(self));
  }

  std::string OwnState() const {
    const bool serves = log_.state == LogStatus::State::kFollowing ||
                        log_.state == LogStatus::State::kElecting ||
                        log_.state == LogStatus::State::kLeading;
    if (!serves) return log::ToString(log_.state);
    if (!log_.voting) return "not voting";
    if (Metric("log/disk_full") > 0) return "disk full";
    return Metric("log/damaged") > 0 ? "damaged" : "ok";
  }

  double Metric(const std::string& name) const {
    auto metric = log_.metrics.find(name);
    return metric == log_.metrics.end() ? 0 : metric->second;
  }

  void AddPeer(const LogStatus::Peer& peer) {
    // One that was removed, or a newcomer that went away.
    if (!peer.member && peer.state == "silent") return;
    Member member;
    member.id = peer.id;
    member.address = peer.address;
    member.votes = peer.member;
    member.leads = IsLeader(peer) && HasLeader();
    member.learned_upto = peer.learned_upto;
    member.declared_quorum = peer.declared_quorum;
    if (peer.silent != io::Duration::max()) member.silent = peer.silent;
    member.state = StateOf(peer);
    if (member.state == "ok" && IsMisconfigured(member)) {
      member.state = "misconfigured";
    }
    report_.members.push_back(std::move(member));
  }

  std::string StateOf(const LogStatus::Peer& peer) const {
    if (peer.state == "cloned" || peer.state == "quarantined") {
      return peer.state;
    }
    if (!peer.member) return "learner";
    if (peer.state != "silent") {
      return report_.complete || peer.state != "behind" ? peer.state : "ok";
    }
    if (RefusalAt(peer.address) != nullptr) return "foreign";
    // Followers need not speak to each other; a link between them there is.
    const bool link = peer.protocol_version != 0;
    return report_.complete || !link ? "missing" : "unknown";
  }

  const LogStatus::Refusal* RefusalAt(const std::string& address) const {
    for (const LogStatus::Refusal& refusal : log_.refusals) {
      if (refusal.address == address) return &refusal;
    }
    return nullptr;
  }

  bool IsMisconfigured(const Member& member) const {
    return member.declared_quorum > 0 && report_.voters > 0 &&
           static_cast<size_t>(member.declared_quorum) != report_.quorum;
  }

  void Judge(const Member& member) {
    const Meaning* meaning = MeaningOf(member.state);
    if (meaning == nullptr) return;
    Problem problem{.severity = meaning->severity,
                    .kind = meaning->state,
                    .master = NameOf(member),
                    .what = meaning->what,
                    .remedy = meaning->remedy};
    Detail(member, &problem);
    if (member.self && !log_.explanation.empty()) ExplainSelf(&problem);
    report_.problems.push_back(std::move(problem));
  }

  // Of itself a master knows why it gives no votes.
  void ExplainSelf(Problem* problem) const {
    const std::string& state = problem->kind;
    const bool waits =
        state == "forming" || state == "opening" || state == "not voting";
    if (!waits && state != "learner" && state != "quarantined") return;
    problem->what = log_.explanation;
    if (!log_.remedy.empty()) {
      problem->remedy = log_.remedy;
    } else if (waits) {
      problem->remedy =
          absl::StrCat(kWait, "; then start those that it waits for");
    }
  }

  void Detail(const Member& member, Problem* problem) const {
    const std::string& state = member.state;
    if (state == "missing" && member.silent) {
      absl::StrAppend(
          &problem->what, "; it was last heard ",
          std::chrono::duration_cast<std::chrono::seconds>(*member.silent)
              .count(),
          " s ago");
    } else if (state == "behind") {
      absl::StrAppend(&problem->what, ": ", member.learned_upto, " of ",
                      log_.learned_upto, " positions");
    } else if (state == "misconfigured") {
      const size_t right = report_.quorum;
      problem->what =
          absl::StrCat("runs with --quorum=", member.declared_quorum, ", for ",
                       2 * member.declared_quorum - 1, " masters; the log has ",
                       report_.voters);
      problem->remedy = absl::StrCat(
          "start it again with --quorum=", right,
          ", unless the number of masters is being changed: then start all of "
          "them with the new one");
    } else if (const auto* refusal = RefusalAt(member.address);
               state == "foreign" && refusal != nullptr) {
      problem->what = refusal->reason;
    }
  }

  // What keeps masters from being elected or announced is the cause of what is
  // said below.
  void JudgeElection() {
    if (standing_.election_problem.empty()) return;
    Add(report_.complete || HasLeader() ? Severity::kWarning
                                        : Severity::kCritical,
        "election", standing_.election_problem,
        "see whether ZooKeeper runs, is reached from this master, and may be "
        "written below the path in its --zk, which is to be this cluster's "
        "alone; then it goes on by itself");
  }

  void JudgeLeadership() {
    switch (standing_.phase) {
      case Standing::Phase::kLeading:
        if (!report_.complete) {
          return Add(Severity::kCritical, "no leader",
                     "is losing its leadership of the log",
                     "wait some seconds: another is elected");
        }
        report_.epoch = standing_.epoch;
        return CountVotes();
      case Standing::Phase::kRecovering:
        return JudgeRecovery();
      case Standing::Phase::kFollowing:
        return JudgeLeader();
    }
  }

  void CountVotes() {
    const size_t alive = static_cast<size_t>(std::count_if(
        report_.members.begin(), report_.members.end(), GivesVotes));
    report_.tolerates = Tolerated(alive, report_.quorum);
    if (alive >= report_.quorum) return;
    Add(Severity::kCritical, "no quorum",
        absl::StrCat("hears ", alive, " of ", report_.voters,
                     " voting masters, itself included; ", report_.quorum,
                     " are needed"),
        "see what is said of the others");
  }

  // Of a master that is elected.
  void JudgeRecovery() {
    const bool has_log = log_.state == LogStatus::State::kLeading;
    if (has_log && !standing_.election_problem.empty()) return;
    Add(Severity::kCritical, "recovering",
        absl::StrCat("is elected, and does not lead yet",
                     Because(log_.explanation)),
        has_log || MajorityIsHere()
            ? kWait
            : absl::StrCat(kWait, "; then ", StartMajority()));
  }

  bool Votes() const { return log_.voting && report_.members.front().votes; }

  // The log's leader is the one that was elected. Replicas that do not vote
  // are not told of every leader of the log.
  bool AgreesOnLeader() const {
    return standing_.leader &&
           (!Votes() || standing_.leader->id() == standing_.log_leader_id);
  }

  // That was elected.
  bool IsLeader(const LogStatus::Peer& peer) const {
    return standing_.leader && peer.state != "silent" &&
           peer.address == AddressOf(*standing_.leader);
  }

  bool HearsLeader() const {
    return std::any_of(log_.peers.begin(), log_.peers.end(),
                       [this](const auto& peer) { return IsLeader(peer); });
  }

  // Of a master that follows: it knows nothing that keeps another from leading.
  bool HasLeader() const {
    if (standing_.phase != Standing::Phase::kFollowing) return false;
    switch (log_.state) {
      case LogStatus::State::kOpening:
      case LogStatus::State::kForming:
      case LogStatus::State::kQuarantined:
        return standing_.leader.has_value();  // Nobody speaks to it.
      default:
        return AgreesOnLeader() && HearsLeader();
    }
  }

  // Of a master that follows.
  void JudgeLeader() {
    if (!standing_.leader) return JudgeNoLeader();
    if (standing_.leader->id() == standing_.log_leader_id) {
      report_.epoch = standing_.log_leader_epoch;
    }
    if (HasLeader()) return;
    if (AgreesOnLeader()) {
      return Add(
          Severity::kCritical, "no leader",
          absl::StrCat("does not hear ", standing_.leader->pid(),
                       ", which was elected"),
          "see whether that master runs, and what keeps the network from it");
    }
    Add(Severity::kCritical, "recovering",
        absl::StrCat(standing_.leader->pid(),
                     " is elected, and the log does not say so yet"),
        "wait some seconds; if that does not help, look at what that master "
        "says");
  }

  void JudgeNoLeader() {
    // The cause is told already.
    if (!standing_.election_problem.empty() ||
        log_.state == LogStatus::State::kForming) {
      return;
    }
    Add(Severity::kCritical, "no leader",
        absl::StrCat("knows no leader", Because(log_.explanation)),
        NoLeaderRemedy());
  }

  std::string NoLeaderRemedy() const {
    if (log_.state == LogStatus::State::kOpening) return kWait;
    if (log_.state == LogStatus::State::kQuarantined) {
      return "ask another master: nobody tells a quarantined one who leads";
    }
    if (!MajorityIsHere()) return StartMajority();
    return absl::StrCat(kWait,
                        ": enough masters run to elect one; if none leads "
                        "then, look at what each of them says");
  }

  // As far as this master can tell: of some it may know no more than that there
  // is a link to them.
  bool MajorityIsHere() const {
    const auto here = std::count_if(
        report_.members.begin(), report_.members.end(), [](const Member& m) {
          return m.votes && (GivesVotes(m) || m.state == "unknown" ||
                             m.state == "not voting");
        });
    return static_cast<size_t>(here) >= report_.quorum;
  }

  std::string StartMajority() const {
    return absl::StrCat("start the masters that do not run: ", report_.quorum,
                        " of ", report_.voters, " are needed");
  }

  // What the log says beyond that.
  void JudgeLog() {
    if (report_.voters > 0 && report_.voters % 2 == 0) {
      Add(Severity::kNote, "even number",
          absl::StrCat("has ", report_.voters,
                       " masters in its log, which tolerate no more failures "
                       "than ",
                       report_.voters - 1),
          "add one, or remove one: 'mesos-log members'");
    }
    if (report_.complete && !log_.explanation.empty()) {
      Add(Severity::kNote, "log", log_.explanation,
          "nothing, unless it stays: then 'mesos-log status'");
    }
  }

  // About this master.
  void Add(Severity severity, absl::string_view kind, absl::string_view what,
           absl::string_view remedy) {
    report_.problems.push_back({severity, std::string(kind),
                                NameOf(report_.members.front()),
                                std::string(what), std::string(remedy)});
  }

  static std::string Because(const std::string& explanation) {
    return explanation.empty() ? "" : absl::StrCat(": ", explanation);
  }

  const LogStatus& log_;
  const Standing& standing_;
  QuorumReport report_;
};

const char* ToString(Health health) {
  constexpr const char* kNames[] = {"healthy", "degraded", "unavailable"};
  return kNames[static_cast<int>(health)];
}

const char* ToString(Severity severity) {
  constexpr const char* kNames[] = {"note", "warning", "critical"};
  return kNames[static_cast<int>(severity)];
}

const char* ToString(Standing::Phase phase) {
  constexpr const char* kNames[] = {"following", "recovering", "leading"};
  return kNames[static_cast<int>(phase)];
}

void WriteMaster(JsonWriter& w, const mesos::v1::MasterInfo& info) {
  w.Key("id").String(info.id());
  w.Key("address").String(AddressOf(info));
  w.Key("hostname").String(info.hostname());
  w.Key("port").Uint(info.port());
  w.Key("version").String(info.version());
}

void WriteMembers(JsonWriter& w, const std::vector<Member>& members) {
  w.Key("masters").StartArray();
  for (const Member& member : members) {
    w.StartObject();
    w.Key("id").String(absl::BytesToHexString(member.id));
    w.Key("address").String(member.address);
    w.Key("self").Bool(member.self);
    w.Key("leads").Bool(member.leads);
    w.Key("votes").Bool(member.votes);
    w.Key("state").String(member.state);
    if (member.silent) {
      w.Key("silent_seconds")
          .Double(std::chrono::duration<double>(*member.silent).count());
    }
    w.Key("learned_upto").Uint(member.learned_upto);
    if (member.declared_quorum > 0) {
      w.Key("declared_quorum").Int(member.declared_quorum);
    }
    w.EndObject();
  }
  w.EndArray();
}

void WriteProblems(JsonWriter& w, const std::vector<Problem>& problems) {
  w.Key("problems").StartArray();
  for (const Problem& problem : problems) {
    w.StartObject();
    w.Key("severity").String(ToString(problem.severity));
    w.Key("kind").String(problem.kind);
    w.Key("master").String(problem.master);
    w.Key("what").String(problem.what);
    w.Key("remedy").String(problem.remedy);
    w.EndObject();
  }
  w.EndArray();
}

}  // namespace

QuorumReport MakeQuorumReport(const LogStatus& log, const Standing& standing,
                              const mesos::v1::MasterInfo& me) {
  return Reporter(log, standing, me).Make();
}

std::string QuorumJson(const QuorumReport& report) {
  std::string text;
  JsonWriter w(&text);
  w.StartObject();
  w.Key("status").String(ToString(report.health));
  w.Key("healthy").Bool(report.health == Health::kHealthy);
  w.Key("complete").Bool(report.complete);
  w.Key("phase").String(ToString(report.phase));
  w.Key("master").StartObject();
  WriteMaster(w, report.me);
  w.EndObject();
  if (report.leader) {
    w.Key("leader").StartObject();
    WriteMaster(w, *report.leader);
    if (report.epoch > 0) w.Key("epoch").Uint(report.epoch);
    w.EndObject();
    if (!report.complete) {
      w.Key("ask").String(
          absl::StrCat("http://", AddressOf(*report.leader), "/quorum"));
    }
  }
  w.Key("cluster_id").String(absl::BytesToHexString(report.cluster_id));
  w.Key("generation").Uint(report.generation);
  w.Key("voters").Uint(report.voters);
  w.Key("quorum").Uint(report.quorum);
  if (report.tolerates) w.Key("tolerates").Uint(*report.tolerates);
  WriteMembers(w, report.members);
  WriteProblems(w, report.problems);
  w.EndObject();
  return text;
}

}  // namespace quorate::master
