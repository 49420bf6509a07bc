// POST /api/v1: the calls of operators and their tools.

#ifndef QUORATE_CORE_MASTER_OPERATOR_API_H_
#define QUORATE_CORE_MASTER_OPERATOR_API_H_

#include <string>

#include "core/api/master.pb.h"
#include "core/api/media.h"
#include "core/files/files.h"
#include "core/http/server.h"
#include "core/master/agents.h"
#include "core/master/context.h"
#include "core/master/frameworks.h"

namespace quorate::master {

class OperatorApi {
 public:
  OperatorApi(Context& context, Agents& agents, Frameworks& frameworks,
              files::Files& files);

  // This master leads.
  void Handle(const http::Request& request, http::Responder responder);

  // By id, and also before it has subscribed with this master. Answers when
  // that is durable; with 400 when there is no such framework.
  void TearDown(const std::string& framework_id, http::Responder responder);

 private:
  using Call = mesos::v1::master::Call;

  // What can be said at once; false for a call that is not supported.
  bool Answer(const Call& call, mesos::v1::master::Response* reply) const;
  bool AnswerAboutMaster(Call::Type type,
                         mesos::v1::master::Response* reply) const;
  bool AnswerAboutCluster(Call::Type type,
                          mesos::v1::master::Response* reply) const;
  void MarkAgentGone(const std::string& agent_id, http::Responder responder);
  void ListFiles(const Call& call, api::MediaType type,
                 http::Responder responder);
  void ReadFile(const Call& call, api::MediaType type,
                http::Responder responder);

  Context& context_;
  Agents& agents_;
  Frameworks& frameworks_;
  files::Files& files_;
};

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_OPERATOR_API_H_
