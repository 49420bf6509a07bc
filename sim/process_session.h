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

  // From the ensemble: something watched has changed.
  void OnChanged(const std::string& path, Ensemble::Watched what);
  // From the ensemble: the session is over.
  void OnExpiredAtServer();

 private:
  struct Watch {
    std::string path;
    Ensemble::Watched what;
    OnChange callback;
    bool fired = false;
  };

  // Runs `at_server` when the request arrives there and `reply`, with what it
  // returned, when the answer arrives here; `lost` if either does not.
  template <typename Result>
  void Call(std::function<Result()> at_server,
            std::function<void(Result)> reply);

  void TryServer();
  void OnAttached();
  void Ping();
  void Disconnect();
  void BreakSoon();
  bool LinkUp() const;
  io::Duration NextArrival(io::Instant* last);
  uint64_t AddWatch(const std::string& path, Ensemble::Watched what,
                    OnChange callback);
  void SendFired(uint64_t id);
  void Later(io::Duration delay, const char* kind,
             std::function<void()> callback);

  Process& process_;
  Ensemble& ensemble_;
  const io::Coordination::Options options_;
  Listener* const listener_;

  size_t server_ = 0;
  bool connected_ = false;
  bool dead_ = false;  // Expired or refused.
  int64_t session_ = 0;
  uint64_t connection_ = 0;  // Counted up when one is lost.
  io::Instant heard_;
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
