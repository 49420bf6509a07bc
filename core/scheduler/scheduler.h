// The framework side of the scheduler API: finds the leading master,
// subscribes, and stays subscribed over fail-overs.
//
//   scheduler::Driver driver(environment, options, &my_scheduler);
//   driver.Start();                        // OnSubscribed, OnEvent ...
//   driver.Send(accept_call);

#ifndef QUORATE_CORE_SCHEDULER_SCHEDULER_H_
#define QUORATE_CORE_SCHEDULER_SCHEDULER_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "core/api/media.h"
#include "core/api/scheduler.pb.h"
#include "core/election/election.h"
#include "io/environment.h"
#include "io/network.h"

namespace quorate::scheduler {

struct DriverOptions {
  election::MasterLocation master;
  // With id to subscribe again as a known framework.
  mesos::v1::FrameworkInfo framework;
  api::MediaType media = api::MediaType::kJson;
};

class Scheduler {
 public:
  virtual ~Scheduler() = default;
  // Each event but SUBSCRIBED and HEARTBEAT. An UPDATE that carries a uuid
  // stays the scheduler's to acknowledge.
  virtual void OnEvent(const mesos::v1::scheduler::Event& event) = 0;
  // At the first subscription and at each later one.
  virtual void OnSubscribed(const mesos::v1::FrameworkID& id,
                            const mesos::v1::MasterInfo& master) = 0;
  // The stream broke, heartbeats stopped, a call was not answered, or another
  // master leads; the driver subscribes again by itself.
  virtual void OnDisconnected() = 0;
  // The master refused for good (ERROR event, or 4xx on SUBSCRIBE).
  virtual void OnError(const std::string& message) = 0;
};

class Driver {
 public:
  // All arguments outlive the driver.
  Driver(io::Environment& environment, DriverOptions options,
         Scheduler* scheduler);
  ~Driver();

  void Start();

  // Sends a call (framework_id is filled in). Unavailable while not
  // subscribed, ResourceExhausted while 10,000 calls wait for their answers:
  // the call is dropped. A call whose answer is lost is not repeated: the
  // driver subscribes anew, so that offers that it may have used are rescinded,
  // and frameworks reconcile.
  absl::Status Send(mesos::v1::scheduler::Call call);

  // Fills in agent, task and uuid of an update and sends the acknowledgement;
  // nothing when the update has no uuid.
  void Acknowledge(const mesos::v1::TaskStatus& status);

  bool subscribed() const;
  const mesos::v1::FrameworkID& framework_id() const;
  // Where it is subscribed, and the id of the stream; both empty while it is
  // not. For calls that are to travel on a connection of their own.
  std::optional<io::Endpoint> endpoint() const;
  const std::string& stream_id() const;

 private:
  class Core;
  std::unique_ptr<Core> core_;
};

}  // namespace quorate::scheduler

#endif  // QUORATE_CORE_SCHEDULER_SCHEDULER_H_
