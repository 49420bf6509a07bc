// The replicated log alone: replicas on hosts of their own, and a client that
// appends through whichever leads.

#ifndef QUORATE_SIM_LOG_CLUSTER_H_
#define QUORATE_SIM_LOG_CLUSTER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/log/log_node.h"
#include "sim/checkers/durability.h"
#include "sim/checkers/log_agreement.h"
#include "sim/checkers/recoverability.h"
#include "sim/machine.h"
#include "sim/network.h"
#include "sim/world.h"

namespace quorate::sim {

class LogReplica;

struct LogClusterOptions {
  // Those that form the log. Others come with Add.
  int replicas = 3;
  // They stand for leadership by themselves; otherwise Elect asks one to.
  bool builtin_election = false;
  // Options of every replica beyond address, directory, quorum and observer.
  log::LogOptions log = SmallLog();

  // Small journals start over often.
  static log::LogOptions SmallLog();
};

class LogCluster {
 public:
  LogCluster(World& world, int replicas)
      : LogCluster(world, LogClusterOptions{.replicas = replicas}) {}
  LogCluster(World& world, LogClusterOptions options);
  ~LogCluster();

  int size() const { return static_cast<int>(machines_.size()); }
  Host& host(int i) { return *machines_[i].host; }
  // Where the others look for it.
  io::Endpoint address(int i) const;
  // The process of that replica; it may have ended.
  Process& process(int i) { return *machines_[i].process; }
  // Null while it is down.
  log::LogNode* node(int i);
  log::LogStatus status(int i);
  // Of its latest life; empty before it had one.
  const std::string& id(int i) { return machines_[i].id; }
  Network& network() { return network_; }
  LogAgreement& agreement() { return agreement_; }
  Durability& durability() { return durability_; }

  // One more host, which runs an empty replica with that --quorum; all others
  // learn its address at their next start, and from it at once.
  int Add(int quorum);
  // The same for a replica that comes to form, or has formed, another log: the
  // checker does not watch it, and whether others have converged does not
  // depend on it.
  int AddForeign(int quorum);
  bool foreign(int i) const { return machines_[i].foreign; }
  // From its next start on.
  void SetQuorum(int i, int quorum) { machines_[i].quorum = quorum; }
  void SetJoinToken(int i, std::string token) {
    machines_[i].join_token = std::move(token);
  }
  void SetAutoInitialize(int i, bool value) {
    machines_[i].auto_initialize = value;
  }
  // Both from its next start on: in addition to what the cluster's options say,
  // and the versions that its release speaks.
  void ChangeOptions(int i,
                     const std::function<void(log::LogOptions&)>& change);
  void SetProtocol(int i, const wire::Versions& protocol) {
    machines_[i].options.protocol = protocol;
  }
  void Start(int i);
  // One more replica on the directory of that one, at another port.
  Process& StartSecond(int i);
  void Kill(int i) { machines_[i].process->Kill(); }
  void LosePower(int i) { machines_[i].host->LosePower(); }
  // No replica, -1, is not up.
  bool up(int i) const;
  // It does not come back by HealAll.
  void Retire(int i);

  // Disks of replicas that are down. A wiped one comes back empty; a backup is
  // a copy of how the disk is now, restored over whatever is there; a clone
  // puts one replica's disk into another host.
  void Wipe(int i);
  FileSystem::NodePtr Backup(int i);
  void Restore(int i, const FileSystem::NodePtr& backup);
  void Clone(int from, int to);
  // Nothing is left of its files but the superblock, which tells who it is and
  // what it has promised: other bytes are in their place, or zeros.
  void LoseContents(int i, bool zeros);
  // A bit is flipped in one sector of so many, but not in the superblock.
  void DamageSectors(int i, uint64_t of, io::Random& random);
  // Tells the oracle what others have done to its disk.
  void SetDiskState(int i, DiskState state) { machines_[i].state = state; }
  // Every file under its directory, by path; to be changed at will.
  std::map<std::string, FileSystem::NodePtr> Files(int i);

  // Nothing goes from one to the other, in either direction.
  void Cut(int i, int j);
  void CutOneWay(int from, int to);
  // Ends all disturbances: links are whole, every replica runs that was not
  // retired.
  void HealAll();

  // Asks a replica to lead, unless it does or tries already.
  void Elect(int i);
  // Has it ask another one to lead at once.
  void TransferLeadership(int i);
  // Which replicas lead, by their own word.
  std::vector<int> Leaders();
  // Appends at that replica if it leads, so many bytes and a few; the outcome
  // goes to the checker.
  void Append(int i, size_t bytes = 0);
  void Truncate(int i, uint64_t to);
  // A change that leaves somebody: one is added, one removed, or both.
  void ChangeAnyMembers(int at, io::Random& random);
  // Asks for a change of the members, by the numbers of their machines.
  void ChangeMembers(int at, const std::vector<int>& add,
                     const std::vector<int>& remove, bool bulk = false);
  // The same, for a member that has lost its disk, by its old id.
  void ReplaceId(int at, const std::string& old_id, int fresh);
  // The latest answer to either.
  std::optional<absl::Status> change_outcome;
  // A linearizable read at that replica: fails the run if it is answered
  // without everything that was acknowledged when it was asked.
  void Read(int i);
  uint64_t reads_answered() const { return reads_answered_; }

  // Reads everything at that replica, from its base to what it has learned, as
  // a user would; fails the run if that is not what was acknowledged there.
  // Every new leader is read like this, up to its epoch.
  using OnReadBack = std::function<void(const absl::Status&)>;
  void ReadBack(int i, OnReadBack done);
  uint64_t read_back() const { return read_back_; }

  // For the oracle: every replica that is not retired runs from now on, and
  // reaches the others; faults go on to hit the `disturbed` ones.
  std::vector<KnownReplica> KnownReplicas(const std::vector<int>& disturbed);
  Prognosis Foresee(const std::vector<int>& disturbed = {});
  // Whether its disk may be restored from a backup without more harm than the
  // log has promised to withstand, while nobody runs.
  bool MayForget(int i);
  // Those that lost what they held have it again, and are known to hold no vote
  // that they do not know of: their disks are whole from now on.
  void NoteRepairs();

  uint64_t acknowledged() const { return durability_.acknowledged(); }
  // Every running replica has learned what any has.
  bool Converged();
  // The machines whose replicas vote, as that one knows it.
  std::vector<int> Members(int i);

 private:
  struct Machine {
    std::unique_ptr<Host> host;
    Process* process = nullptr;
    int quorum = 0;
    bool auto_initialize = true;
    std::optional<std::string> join_token;  // if not that of the log's options
    log::LogOptions options;
    bool other_options = false;
    std::optional<wire::Versions> last_protocol;  // of its latest start
    int last_quorum = 0;                          // the same
    bool retired = false;
    bool foreign = false;
    int disk = 0;  // counts the wipes
    std::string id;
    DiskState state = DiskState::kWhole;
    // When its disk lost what it held: its promise by then.
    LogAgreement::BallotKey promised;
    // The disk that this one is a copy of, until it has an id of its own.
    std::string copy_of;
  };

  int AddMachine(int quorum);
  // Of its next start, without what depends on the process.
  log::LogOptions OptionsOf(int i) const;
  std::vector<io::Endpoint> Addresses() const;
  void CountRestart(Machine& machine);
  std::string DiskName(int i) const;
  // What every replica says of itself.
  std::string Testimony();
  void Change(int at, const log::MemberChange& change);
  void OnLeads(int i, uint64_t epoch);
  void ReadOn(int i, uint64_t from, uint64_t to, OnReadBack done);
  bool MembersSettled() const;
  LogReplica* replica(int i);

  World& world_;
  const LogClusterOptions options_;
  Network network_;
  LogAgreement agreement_;
  Durability durability_;
  uint64_t next_payload_ = 0;
  uint64_t reads_answered_ = 0;
  uint64_t read_back_ = 0;
  bool members_changed_ = false;
  World::Witness witness_;
  std::vector<Machine> machines_;
  // Whose disk was copied, by the copy.
  // tidy-allow(pointer-order): looked up only, and never walked
  std::map<const void*, std::string> members_of_backups_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_LOG_CLUSTER_H_
