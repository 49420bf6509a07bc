// POST /api/v1/scheduler: the calls of frameworks.

#ifndef QUORATE_CORE_MASTER_SCHEDULER_API_H_
#define QUORATE_CORE_MASTER_SCHEDULER_API_H_

#include "core/api/scheduler.pb.h"
#include "core/http/server.h"
#include "core/master/context.h"
#include "core/master/frameworks.h"
#include "core/master/offers.h"
#include "core/master/tasks.h"

namespace quorate::master {

class SchedulerApi {
 public:
  SchedulerApi(Context& context, Offers& offers, Tasks& tasks,
               Frameworks& frameworks);

  // This master leads.
  void Handle(const http::Request& request, http::Responder responder);

 private:
  using Call = mesos::v1::scheduler::Call;

  void Subscribe(const http::Request& request, const Call& call,
                 http::Responder responder);
  http::Response Answer(const http::Request& request, const Call& call);
  void Perform(Framework& framework, const Call& call);
  void SendToExecutor(Framework& framework, const Call::Message& call);
  void ShutDownExecutor(Framework& framework, const Call::Shutdown& call);
  void CountCall(Call::Type type);

  Context& context_;
  Offers& offers_;
  Tasks& tasks_;
  Frameworks& frameworks_;
};

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_SCHEDULER_API_H_
