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
#include <set>
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

  // Unavailable: the registry could not take it, nothing has changed.
  using OnDone = std::function<void(const absl::Status&)>;

  // InvalidArgument for what may not be changed, or is invalid;
  // ResourceExhausted for what is too large; FailedPrecondition when the
  // framework is about to end; Unavailable.
  void Update(Framework& framework,
              const mesos::v1::scheduler::Call::UpdateFramework& call,
              OnDone done);

  // Shuts down its executors on all agents and remembers it as completed, or is
  // Unavailable. May be asked for again meanwhile.
  void Remove(const Framework& framework, OnDone done);

  // An agent runs tasks of a framework that is not known, not even to the
  // registry: one of an older release has let it in. It has as long to
  // subscribe as those of Start. Of what would be refused from a framework
  // only the essence is kept.
  void Recover(const mesos::v1::FrameworkInfo& info);

  // Tells an agent to end what it runs of a framework.
  void ShutDownOn(Agent& agent, const std::string& framework_id);

  void CheckInvariants() const;

 private:
  // A subscription that the registry has yet to hold.
  struct Waiting {
    mesos::v1::scheduler::Call::Subscribe call;  // Its framework has an id.
    Subscription subscription;
    bool is_new = false;   // Nobody has heard of the id.
    bool writing = false;  // The registry is being told of this framework,
    bool told = false;     // and that it is exactly what this call says.
    bool left = false;     // The framework has gone meanwhile.
  };
  using WaitingById = std::map<std::string, Waiting>;

  absl::Status Check(const mesos::v1::scheduler::Call::Subscribe& call) const;
  absl::Status CheckRoom(const mesos::v1::FrameworkInfo& info) const;
  bool InRegistry(const mesos::v1::FrameworkInfo& info) const;
  void Refuse(Subscription subscription, const std::string& reason);
  void Proceed(const std::string& id);
  void OnWritten(const std::string& id, const absl::Status& outcome);
  Waiting Take(WaitingById::iterator it);
  void Accept(Waiting waiting);
  void PutOff(Waiting waiting, const absl::Status& reason);
  void GiveUp(const Waiting& waiting);
  void FollowRegistry(Framework& framework);
  void Forget(const mesos::v1::FrameworkInfo& info);
  void Write(const mesos::v1::FrameworkInfo& info, OnDone done);

  Framework& Add(const mesos::v1::FrameworkInfo& info,
                 io::WallTime registered_time);
  void SetInfo(Framework& framework, const mesos::v1::FrameworkInfo& info);
  void Change(Framework& framework,
              const mesos::v1::scheduler::Call::UpdateFramework& call);
  void FailOver(Framework& framework, const mesos::v1::FrameworkInfo& info);
  void OnDisconnected(const std::string& framework_id);
  void AwaitReturn(Framework& framework);
  void AwaitReturn(Framework& framework, io::Duration timeout);
  void OnTimeout(const std::string& id);
  // After a change of leaders.
  io::Duration RecoveryTimeout(const mesos::v1::FrameworkInfo& info) const;
  void OnEnded(const std::string& id, const absl::Status& outcome);
  void Complete(Framework& framework);

  Context& context_;
  Offers& offers_;
  Tasks& tasks_;
  uint64_t next_framework_ = 0;
  WaitingById waiting_;  // By framework id.
  // How often the registry is being told of a framework.
  std::map<std::string, int> writes_;
  // What the registry is about to have as ended, and who waits for that.
  std::map<std::string, std::vector<OnDone>> ending_;
  // What it is about to know no more.
  std::set<std::string> forgetting_;
  // Of the descriptions of all frameworks that have not ended, and of those
  // that the registry has yet to hold: kMaxFrameworkBytes.
  size_t bytes_ = 0;
};

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_FRAMEWORKS_H_
