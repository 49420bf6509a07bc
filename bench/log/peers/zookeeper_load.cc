// Creates znodes in ZooKeeper with its asynchronous client, on one connection.
// Options: see load.h.

#include <poll.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

#include <algorithm>
#include <cstdint>
#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "bench/floor/measure.h"
#include "bench/log/peers/load.h"

namespace quorate::bench {
namespace {

// What a client asks for by default.
constexpr int kSessionMillis = 10000;

class ZooKeeperLoad {
 public:
  explicit ZooKeeperLoad(const LoadOptions& options)
      : options_(options),
        load_(options),
        parent_(absl::StrCat("/bench-", getpid())),
        patience_until_(Clock::now() + options.patience) {
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    // In the order of --servers.
    zoo_deterministic_conn_order(1);
    zookeeper_ = zookeeper_init(options.servers.c_str(), &OnEvent,
                                kSessionMillis, nullptr, this, 0);
    if (zookeeper_ == nullptr) Die("zookeeper_init failed");
  }

  ~ZooKeeperLoad() { zookeeper_close(zookeeper_); }

  std::string Run() {
    Create(std::make_unique<Call>(Call{this, parent_, {}, true}));
    while (!ready_) Turn();
    StartDue();
    while (!load_.finished()) {
      Turn();
      StartDue();
    }
    return load_.Result();
  }

 private:
  struct Call {
    ZooKeeperLoad* load;
    std::string path;
    Clock::time_point started;
    bool is_parent;
  };

  static void OnEvent(zhandle_t*, int type, int state, const char*,
                      void* context) {
    if (type != ZOO_SESSION_EVENT) return;
    auto* load = static_cast<ZooKeeperLoad*>(context);
    load->connected_ = state == ZOO_CONNECTED_STATE;
    if (state == ZOO_EXPIRED_SESSION_STATE) Die("the session has expired");
  }

  static void OnCreated(int result, const char*, const void* data) {
    std::unique_ptr<Call> call(static_cast<Call*>(const_cast<void*>(data)));
    ZooKeeperLoad* load = call->load;
    load->OnAnswer(result, std::move(call));
  }

  void OnAnswer(int result, std::unique_ptr<Call> call) {
    patience_until_ = Clock::now() + options_.patience;
    // One that was tried again may have been created the first time.
    if (result == ZOK || result == ZNODEEXISTS) {
      if (call->is_parent) {
        ready_ = true;
      } else {
        load_.Acknowledged(call->started);
      }
    } else if (result == ZCONNECTIONLOSS || result == ZOPERATIONTIMEOUT) {
      if (!options_.acks && ready_) Die("ZooKeeper: the connection is lost");
      Create(std::move(call));
    } else {
      Die(absl::StrCat("ZooKeeper: ", zerror(result)));
    }
  }

  void StartDue() {
    uint64_t number = 0;
    while (load_.Next(&number)) {
      Create(std::make_unique<Call>(
          Call{this, absl::StrCat(parent_, "/", number), Clock::now(), false}));
    }
  }

  void Create(std::unique_ptr<Call> call) {
    const std::string& value = options_.value;
    Call* tag = call.release();
    const int result = zoo_acreate(zookeeper_, tag->path.c_str(), value.data(),
                                   static_cast<int>(value.size()),
                                   &ZOO_OPEN_ACL_UNSAFE, 0, &OnCreated, tag);
    if (result != ZOK) Die(absl::StrCat("zoo_acreate: ", zerror(result)));
  }

  // Waits for the socket or the client's own timer, once.
  void Turn() {
    if (Clock::now() > patience_until_) Die("ZooKeeper does not answer");
    int fd = -1;
    int interest = 0;
    timeval timeout{};
    zookeeper_interest(zookeeper_, &fd, &interest, &timeout);
    pollfd socket{fd, 0, 0};
    if ((interest & ZOOKEEPER_READ) != 0) socket.events |= POLLIN;
    if ((interest & ZOOKEEPER_WRITE) != 0) socket.events |= POLLOUT;
    const auto millis = static_cast<int>(timeout.tv_sec * 1000 +
                                         (timeout.tv_usec + 999) / 1000);
    // Between two attempts to connect it asks for long waits.
    poll(&socket, fd >= 0 ? 1 : 0, connected_ ? millis : std::min(millis, 20));
    int events = 0;
    if ((socket.revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
      events |= ZOOKEEPER_READ;
    }
    if ((socket.revents & POLLOUT) != 0) events |= ZOOKEEPER_WRITE;
    zookeeper_process(zookeeper_, events);
  }

  const LoadOptions& options_;
  Load load_;
  const std::string parent_;
  Clock::time_point patience_until_;
  zhandle_t* zookeeper_ = nullptr;
  bool connected_ = false;
  bool ready_ = false;
};

}  // namespace
}  // namespace quorate::bench

int main(int argc, char** argv) {
  using namespace quorate::bench;
  const LoadOptions options{Arguments(argc, argv)};
  std::cout << ZooKeeperLoad(options).Run() << std::endl;
  return 0;
}
