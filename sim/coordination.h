// A model of a ZooKeeper ensemble.
//
//   Ensemble ensemble(world, {&z1, &z2, &z3});
//   host.ensemble = &ensemble;
//   ensemble.faults.max_lag = 2s;         // servers answer from the past
//   ensemble.ExpireSessionsOf(host);
//
// The servers agree on a sequence of changes, and each applies them to its own
// tree, perhaps late. A server serves while it reaches a majority of the
// servers; a client talks to one server over the simulated links and sees what
// the C client would: replies that get lost, sessions that live on over
// another server or expire, reads that are behind, watches that wait for the
// next connection. What holds for ZooKeeper holds here: requests of a session
// are carried out in order, a write is answered when the client's server has
// applied it, and a client never connects to a server that has seen less than
// it has.

#ifndef QUORATE_SIM_COORDINATION_H_
#define QUORATE_SIM_COORDINATION_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/coordination.h"
#include "sim/machine.h"
#include "sim/world.h"
#include "sim/znode_tree.h"

namespace quorate::sim {

class ProcessSession;

struct EnsembleFaults {
  // How late a server may apply what was agreed on; drawn for each change.
  io::Duration max_lag{};
  // How likely the reply to a write that was carried out is lost, and the
  // connection with it.
  double reply_lost = 0;
};

class Ensemble {
 private:
  struct Session {
    io::Duration timeout;
    std::string credentials;
    io::Instant heard;
    ProcessSession* client = nullptr;  // Null when its process is gone.
  };

 public:
  // Each host is a server. All outlive the ensemble.
  Ensemble(World& world, std::vector<Host*> servers);
  ~Ensemble();

  const std::vector<Host*>& servers() const { return servers_; }
  // Whether that server can serve: it is up and part of a majority.
  bool Serves(const Host& server) const;

  EnsembleFaults faults;

  // Ends a session as its timeout would.
  void Expire(int64_t session);
  // All sessions of the processes of that host. How many there were.
  int ExpireSessionsOf(const Host& host);
  uint64_t expired_sessions() const { return expired_; }
  // The connections of that host's processes break; the clients go on with
  // the next server.
  void BreakConnectionsOf(const Host& host);
  // From now on only who has these credentials may write to that node.
  void Restrict(const std::string& path, const std::string& writer);
  // The number that the next sequential node below `path` gets.
  void SetSequence(const std::string& path, int32_t next);

  // All servers' data as it is now; and all servers begin anew with such data,
  // that of earlier times. Sessions that had ended by then are over; those
  // that ended since live again, with their nodes, until they time out.
  class Backup {
   private:
    friend class Ensemble;
    ZnodeTree tree_;
    std::map<int64_t, Session> sessions_;
    io::Instant next_expiry_;  // None of them is over before.
  };
  Backup BackUp() const;
  void RollBack(const Backup& backup);

 private:
  friend class ProcessSession;

  struct Server {
    ZnodeTree tree;
    std::deque<std::pair<io::Instant, ZnodeTree::Change>> late;
    // What waits for a change, by its number.
    std::multimap<int64_t, std::function<void()>> waiting;
  };

  // Operations, as a majority of the servers carries them out.
  absl::StatusOr<std::string> Create(
      int64_t session, const std::string& path, const std::string& data,
      io::CoordinationSession::CreateOptions options);
  absl::Status Set(int64_t session, const std::string& path,
                   const std::string& data, int32_t version);
  absl::Status Delete(int64_t session, const std::string& path,
                      int32_t version);
  // As that server knows it.
  absl::StatusOr<io::Znode> Get(size_t server, const std::string& path);
  absl::StatusOr<std::vector<std::string>> GetChildren(size_t server,
                                                       const std::string& path);

  // What the servers have agreed on, up to this number.
  int64_t committed() const { return committed_.zxid(); }
  int64_t applied(size_t server) const { return state_[server].tree.zxid(); }
  // Runs it when that server has applied the change of that number.
  void WhenApplied(size_t server, int64_t zxid, std::function<void()> then);
  // Whether what a watch set at `zxid` is on has changed since, as that server
  // knows it.
  bool HasChanged(size_t server, const std::string& path,
                  ZnodeTree::Watched what, int64_t zxid) const;

  // Every object that is a session's client; the result is for Leave.
  uint64_t Join(ProcessSession* client);
  void Leave(uint64_t client, int64_t session);
  int64_t OpenSession(ProcessSession* client, io::Duration timeout,
                      const std::string& credentials);
  bool Valid(int64_t session) const { return sessions_.count(session) != 0; }
  void Heard(int64_t session);
  void Close(int64_t session);
  void CheckSessions();
  void ExpireSessions();
  bool HasMajority() const;

  void Commit(ZnodeTree::Change change);
  void Apply(size_t server, const ZnodeTree::Change& change);
  void ApplyLate(size_t server);
  absl::Status Denied(const std::string& path);
  bool MayWrite(int64_t session, const ZnodeTree::Node& node) const;

  World& world_;
  const std::vector<Host*> servers_;
  const std::unique_ptr<io::Random> random_;
  ZnodeTree committed_;
  std::vector<Server> state_;  // of each of servers_
  uint64_t incarnation_ = 0;   // counts the roll-backs
  int64_t next_session_ = 1;
  std::map<int64_t, Session> sessions_;
  io::Instant next_expiry_;  // None of them is over before.
  uint64_t next_client_ = 1;
  std::map<uint64_t, ProcessSession*> clients_;
  bool had_majority_ = true;
  uint64_t expired_ = 0;
};

// The coordination service of a process: its host's ensemble.
std::unique_ptr<io::Coordination> NewProcessCoordination(Process& process);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_COORDINATION_H_
