// What ZooKeeper gives: a small tree of znodes, ephemeral and sequential
// nodes that live as long as a session, one-shot watches.
//
// Events and errors are those of the ZooKeeper C client, unabridged: a lost
// connection is not a lost session, a reply may be lost after the operation
// took effect, and only the server's word (or the local session timer of the
// caller) ends a session. In production the C client on the event loop; in
// the simulator a model ensemble with a quorum of its own.

#ifndef QUORATE_IO_COORDINATION_H_
#define QUORATE_IO_COORDINATION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "io/clock.h"

namespace quorate::io {

struct Znode {
  std::string data;
  int32_t version = 0;
  int64_t ephemeral_owner = 0;  // Session id, 0 for a persistent node.
};

// One session. Destroying it closes the session at the server, if connected;
// no callback runs afterwards. May be destroyed inside a callback.
//
// Errors of the operations: NotFound, AlreadyExists, FailedPrecondition
// (version mismatch, or a node that has children), PermissionDenied (ACL),
// InvalidArgument (bad path), Unavailable (connection lost: the operation may
// or may not have taken effect), Aborted (session expired).
class CoordinationSession {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // First connection, and each reconnection within the session.
    virtual void OnConnected(int64_t session_id) = 0;
    // The session may live on; watches are kept and re-armed by the client.
    virtual void OnDisconnected() = 0;
    // The session is over: its ephemeral nodes are gone. The object is dead;
    // destroy it.
    virtual void OnExpired() = 0;
    // The credentials were refused. The object is dead.
    virtual void OnAuthenticationFailed() = 0;
  };

  using OnStatus = std::function<void(const absl::Status&)>;
  using OnPath = std::function<void(absl::StatusOr<std::string>)>;
  using OnZnode = std::function<void(absl::StatusOr<Znode>)>;
  using OnChildren =
      std::function<void(absl::StatusOr<std::vector<std::string>>)>;
  // A one-shot notice that what was read may have changed; read again.
  using OnChange = std::function<void()>;

  struct CreateOptions {
    bool ephemeral = false;
    bool sequential = false;  // Appends a 10-digit counter of the parent.
    // With authentication: the creator may do all, everyone may read.
    // Without: open.
  };

  virtual ~CoordinationSession() = default;

  // The path that was created (with the counter). The parent must exist.
  virtual void Create(const std::string& path, absl::string_view data,
                      CreateOptions options, OnPath done) = 0;
  // Sets a watch on data change and removal when `watch` is given; no watch is
  // left when the node does not exist.
  virtual void Get(const std::string& path, OnChange watch, OnZnode done) = 0;
  // Children names, sorted. Watch: children come or go, or the node is removed.
  virtual void GetChildren(const std::string& path, OnChange watch,
                           OnChildren done) = 0;
  // version -1: whatever it is.
  virtual void Set(const std::string& path, absl::string_view data,
                   int32_t version, OnStatus done) = 0;
  virtual void Delete(const std::string& path, int32_t version,
                      OnStatus done) = 0;
};

class Coordination {
 public:
  struct Options {
    std::vector<std::string> servers;  // "host:port", at least one.
    Duration session_timeout = std::chrono::seconds(10);
    // Digest authentication "user:password", or empty.
    std::string credentials;
  };

  virtual ~Coordination() = default;

  // Begins to connect, and keeps trying until the session is destroyed.
  // `listener` must outlive the session. InvalidArgument for bad options.
  virtual absl::StatusOr<std::unique_ptr<CoordinationSession>> Connect(
      const Options& options, CoordinationSession::Listener* listener) = 0;
};

}  // namespace quorate::io

#endif  // QUORATE_IO_COORDINATION_H_
