// The client side of a simulated coordination session.
//
// ZooKeeper is not ours, and its protocol is not spoken here: requests, replies
// and watches are calls, each after the latency and under the faults that a
// packet over the same link would have. All else that processes tell each other
// crosses the network as the bytes of our own protocols.

#ifndef QUORATE_SIM_PROCESS_SESSION_H_
#define QUORATE_SIM_PROCESS_SESSION_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "io/coordination.h"
#include "sim/coordination.h"

namespace quorate::sim {

class ProcessSession final : public io::CoordinationSession {
 public:
  ProcessSession(Process& process, Ensemble& ensemble,
                 io::Coordination::Options options, Listener* listener);
  ~ProcessSession() override;

  void Create(const std::string& path, absl::string_view data,
              CreateOptions options, OnPath done) override;
  void Get(const std::string& path, OnChange watch, OnZnode done) override;
  void GetChildren(const std::string& path, OnChange watch,
                   OnChildren done) override;
  void Set(const std::string& path, absl::string_view data, int32_t version,
           OnStatus done) override;
  void Delete(const std::string& path, int32_t version, OnStatus done) override;

  Host& host() { return process_.host(); }
  // From the ensemble: a server has applied a change.
  void OnChanged(size_t server, const std::string& path,
                 ZnodeTree::Watched what);
  // From the ensemble: the session is over.
  void OnExpiredAtServer();
  // The connection breaks, if there is one.
  void BreakSoon();

 private:
  struct Watch {
    std::string path;
    ZnodeTree::Watched what;
    OnChange callback;
    bool fired = false;  // On its way over this connection.
  };

  // Runs `at_server` when the request has arrived there and `reply`, with what
  // it returned, when the answer arrives here; or with that it was lost.
  template <typename Result>
  void Call(bool writes, std::function<Result()> at_server,
            std::function<void(Result)> reply);
  // What comes over the connection of that number, when it still stands and
  // the server has applied what this session wrote before.
  void AtServer(uint64_t connection, std::function<void()> then);
  template <typename Result>
  void Reply(uint64_t call, bool writes, Result result,
             std::function<void(Result)> reply);

  void TryServer();
  void TryNextServer();
  void OnAttached();
  void AwaitOpened(int64_t zxid);
  void OnOpened();
  bool EndIfExpired();
  void Ping();
  void Disconnect();
  // Whether the server gets what is sent, the client what is answered, and
  // both.
  bool Heard() const;
  bool Hears() const;
  bool LinkUp() const { return Heard() && Hears(); }
  io::Duration NextArrival(io::Instant* last);
  void AddWatch(const std::string& path, ZnodeTree::Watched what,
                OnChange callback);
  void SendFired(uint64_t id);
  void Later(io::Duration delay, const char* kind,
             std::function<void()> callback);

  Process& process_;
  Ensemble& ensemble_;
  const io::Coordination::Options options_;
  Listener* const listener_;

  const uint64_t number_;  // Among the ensemble's clients.
  size_t server_ = 0;
  std::optional<size_t> served_by_;  // When last connected.
  bool connected_ = false;
  bool dead_ = false;  // Expired or refused.
  int64_t session_ = 0;
  uint64_t connection_ = 0;  // Counted up when one is lost.
  io::Instant heard_;
  int64_t seen_ = 0;        // The latest change that a reply has shown.
  int64_t written_ = 0;     // The latest that a server must have applied.
  io::Instant last_there_;  // Requests and replies keep their order.
  io::Instant last_back_;
  uint64_t next_call_ = 1;
  std::map<uint64_t, std::function<void()>> pending_;  // How each is lost.
  uint64_t next_watch_ = 1;
  std::map<uint64_t, Watch> watches_;
  std::shared_ptr<bool> life_ = std::make_shared<bool>(true);
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_PROCESS_SESSION_H_
