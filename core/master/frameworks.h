// The life of frameworks: subscribed, disconnected, failed over, removed.
//
// The registry comes first: a framework hears that it is subscribed, and its
// executors are shut down, only when a quorum of masters has that on disk. So
// a new leader knows every framework before any of its agents has come back,
// and one that has ended stays so.

#ifndef QUORATE_CORE_MASTER_FRAMEWORKS_H_
#define QUORATE_CORE_MASTER_FRAMEWORKS_H_

#include <cstdint>
#include <functional>
#include <map>
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

  // The master leads: the frameworks of the registry have their
  // failover_timeout, and not less than --agent_reregister_timeout, to come
  // back.
  void Start();

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

  // InvalidArgument for what may not be changed, or is invalid;
  // FailedPrecondition when the framework is about to end.
  using OnUpdated = std::function<void(const absl::Status&)>;
  void Update(Framework& framework,
              const mesos::v1::scheduler::Call::UpdateFramework& call,
              OnUpdated done);

  // Shuts down its executors on all agents and remembers it as completed, and
  // calls `done`, unless null. May be asked for again meanwhile.
  void Remove(const Framework& framework, std::function<void()> done);

  // An agent runs tasks of a framework that is not known, not even to the
  // registry: one of an older release has let it in. It has as long to
  // subscribe as those of Start.
  void Recover(const mesos::v1::FrameworkInfo& info);

  // Tells an agent to end what it runs of a framework.
  void ShutDownOn(Agent& agent, const std::string& framework_id);

 private:
  // A subscription that the registry has yet to hold.
  struct Waiting {
    mesos::v1::scheduler::Call::Subscribe call;  // Its framework has an id.
    Subscription subscription;
    bool is_new = false;   // Nobody has heard of the id.
    bool writing = false;  // The registry is being told.
    bool left = false;     // The framework has gone meanwhile.
  };

  absl::Status Check(const mesos::v1::scheduler::Call::Subscribe& call) const;
  void Refuse(Subscription subscription, const std::string& reason);
  void Proceed(const std::string& id);
  void Accept(Waiting waiting);
  void GiveUp(const Waiting& waiting);
  void Write(const mesos::v1::FrameworkInfo& info, std::function<void()> done);
  void WriteEnd(const mesos::v1::FrameworkInfo& info,
                std::function<void()> done);

  Framework& Add(const mesos::v1::FrameworkInfo& info,
                 io::WallTime registered_time);
  void FailOver(Framework& framework, mesos::v1::FrameworkInfo info);
  void OnDisconnected(const std::string& framework_id);
  void AwaitReturn(Framework& framework, io::Duration timeout);
  // After a change of leaders.
  io::Duration RecoveryTimeout(const mesos::v1::FrameworkInfo& info) const;
  void OnEnded(const std::string& id);
  void Complete(Framework& framework);

  Context& context_;
  Offers& offers_;
  Tasks& tasks_;
  uint64_t next_framework_ = 0;
  std::map<std::string, Waiting> waiting_;  // By framework id.
  // What the registry is about to have as ended, and who waits for that.
  std::map<std::string, std::vector<std::function<void()>>> ending_;
};

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_FRAMEWORKS_H_
