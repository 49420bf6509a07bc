// The production world of one process: epoll, TCP, files, ZooKeeper,
// processes.
//
//   prod::EventLoop loop;
//   prod::Environment environment(&loop, {.container_folder = ...});
//   Agent agent(environment, options);
//   environment.Run();  // Until environment.Exit(...); ends the process.

#ifndef QUORATE_PROD_ENVIRONMENT_H_
#define QUORATE_PROD_ENVIRONMENT_H_

#include <memory>
#include <optional>
#include <string>

#include "io/environment.h"
#include "prod/containers.h"
#include "prod/coordination.h"
#include "prod/disk.h"
#include "prod/event_loop.h"
#include "prod/network.h"
#include "prod/random.h"

namespace quorate::prod {

struct EnvironmentOptions {
  // Absolute; where the containers of this process are recorded. Only read
  // and made when containers are asked for.
  std::string container_folder;
};

class Environment final : public io::Environment {
 public:
  // `loop` must outlive this.
  Environment(EventLoop* loop, const EnvironmentOptions& options);

  io::Clock& clock() override { return *loop_; }
  io::Network& network() override { return network_; }
  io::Disk& disk() override { return disk_; }
  io::Random& random() override { return random_; }
  io::Coordination& coordination() override { return coordination_; }
  io::Containers& containers() override { return containers_; }
  std::unique_ptr<io::Lane> NewLane(absl::string_view name) override {
    return NewThreadLane(loop_, name);
  }

  // Stops the loop. The message goes to the log, which is standard error
  // unless the operator wants it elsewhere.
  void Exit(int code, absl::string_view message) override;

  // Runs the loop until Exit, then ends the process with that code, without
  // any destructor: what nobody waited for is not done. Exit before Run counts
  // as well.
  [[noreturn]] void Run();

 private:
  EventLoop* const loop_;
  std::optional<int> exit_code_;
  TcpNetwork network_;
  PosixDisk disk_;
  SystemRandom random_;
  ZooKeeperCoordination coordination_;
  ProcessContainers containers_;
};

}  // namespace quorate::prod

#endif  // QUORATE_PROD_ENVIRONMENT_H_
