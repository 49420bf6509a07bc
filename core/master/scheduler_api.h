// POST /api/v1/scheduler: the calls of frameworks.

#ifndef QUORATE_CORE_MASTER_SCHEDULER_API_H_
#define QUORATE_CORE_MASTER_SCHEDULER_API_H_

#include <optional>

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
  // What is wrong with a call of a framework that should be subscribed.
  std::optional<http::Response> Refusal(const http::Request& request,
                                        const Call& call) const;
  void Perform(Framework& framework, const Call& call);
  // Answered when they are durable.
  void TearDown(Framework& framework, http::Responder responder);
  void Update(Framework& framework, const Call::UpdateFramework& call,
              http::Responder responder);
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
