// The life of frameworks: subscribed, disconnected, failed over, removed.

#ifndef QUORATE_CORE_MASTER_FRAMEWORKS_H_
#define QUORATE_CORE_MASTER_FRAMEWORKS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/api/media.h"
#include "core/api/scheduler.pb.h"
#include "core/http/server.h"
#include "core/master/context.h"
#include "core/master/offers.h"
#include "core/master/tasks.h"

namespace quorate::master {

class Frameworks {
 public:
  Frameworks(Context& context, Offers& offers, Tasks& tasks);

  // A stream on which the framework wants its events.
  struct Subscription {
    api::MediaType type = api::MediaType::kJson;
    std::string stream_id;
    std::unique_ptr<http::Stream> stream;
  };
  // Answers with SUBSCRIBED, or with ERROR and the end of the stream. Whoever
  // subscribes last with an id has the framework.
  void Subscribe(const mesos::v1::scheduler::Call::Subscribe& call,
                 Subscription subscription);

  // InvalidArgument for what may not be changed, or is invalid.
  absl::Status Update(Framework& framework,
                      const mesos::v1::scheduler::Call::UpdateFramework& call);

  // Shuts down its executors on all agents and remembers it as completed.
  void Remove(Framework& framework);

  // An agent runs tasks of it, and it is not known: the master has changed
  // meanwhile. It waits, without a limit of time, for the framework to
  // subscribe again or for an operator to tear it down.
  void Recover(const mesos::v1::FrameworkInfo& info);

  // Tells an agent to end what it runs of a framework.
  void ShutDownOn(Agent& agent, const std::string& framework_id);

 private:
  absl::Status Check(const mesos::v1::scheduler::Call::Subscribe& call) const;
  Framework& Add(const mesos::v1::FrameworkInfo& info);
  void FailOver(Framework& framework, mesos::v1::FrameworkInfo info);
  void OnDisconnected(const std::string& framework_id);

  Context& context_;
  Offers& offers_;
  Tasks& tasks_;
  uint64_t next_framework_ = 0;
};

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_FRAMEWORKS_H_
