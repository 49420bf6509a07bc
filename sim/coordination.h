// A model of a ZooKeeper ensemble.
//
// The tree is one, as its replicas agree on it; what differs between servers
// is who can reach them. A server serves while it reaches a majority of the
// servers; a client talks to one server over the simulated links and sees what
// the C client would: replies that get lost, sessions that live on over
// another server or expire, watches that wait for the next connection.

#ifndef QUORATE_SIM_COORDINATION_H_
#define QUORATE_SIM_COORDINATION_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/coordination.h"
#include "sim/machine.h"
#include "sim/world.h"

namespace quorate::sim {

class ProcessSession;

class Ensemble {
 public:
  struct Node {
    std::string data;
    int32_t version = 0;
    int64_t owner = 0;   // Session, 0 for a persistent node.
    std::string writer;  // Credentials of the creator; empty: open to all.
    uint64_t next_sequence = 0;  // For children.
    std::map<std::string, Node> children;
  };

  // Each host is a server. All outlive the ensemble.
  Ensemble(World& world, std::vector<Host*> servers);
  ~Ensemble();

  const std::vector<Host*>& servers() const { return servers_; }
  // Whether that server can serve: it is up and part of a majority.
  bool Serves(const Host& server) const;

  // Ends a session as its timeout would.
  void Expire(int64_t session);
  // All sessions of the processes of that host. How many there were.
  int ExpireSessionsOf(const Host& host);
  uint64_t expired_sessions() const { return expired_; }

 private:
  friend class ProcessSession;

  enum class Watched { kData, kChildren };
  struct Session {
    io::Duration timeout;
    std::string credentials;
    io::Instant heard;
    ProcessSession* client = nullptr;  // Null when its process is gone.
  };

  // Operations on the tree, as a majority of the servers has agreed on them.
  absl::StatusOr<std::string> Create(
      int64_t session, const std::string& path, const std::string& data,
      io::CoordinationSession::CreateOptions options);
  absl::StatusOr<io::Znode> Get(const std::string& path);
  absl::StatusOr<std::vector<std::string>> GetChildren(const std::string& path);
  absl::Status Set(int64_t session, const std::string& path,
                   const std::string& data, int32_t version);
  absl::Status Delete(int64_t session, const std::string& path,
                      int32_t version);

  int64_t OpenSession(ProcessSession* client, io::Duration timeout,
                      const std::string& credentials);
  bool Valid(int64_t session) const { return sessions_.count(session) != 0; }
  void Heard(int64_t session);
  void Close(int64_t session);
  void CheckSessions();
  bool HasMajority() const;

  Node* Find(const std::string& path);
  Node* Parent(const std::string& path, std::string* name);
  bool MayWrite(int64_t session, const Node& node) const;
  void Changed(const std::string& path, Watched what);
  void RemoveEphemerals(Node& node, const std::string& path, int64_t session);

  World& world_;
  const std::vector<Host*> servers_;
  Node root_;
  int64_t next_session_ = 1;
  std::map<int64_t, Session> sessions_;
  bool had_majority_ = true;
  uint64_t expired_ = 0;
};

// The coordination service of a process: its host's ensemble.
std::unique_ptr<io::Coordination> NewProcessCoordination(Process& process);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_COORDINATION_H_
