// POST /api/v1: the calls of operators and their tools.

#ifndef QUORATE_CORE_MASTER_OPERATOR_API_H_
#define QUORATE_CORE_MASTER_OPERATOR_API_H_

#include <string>

#include "core/api/master.pb.h"
#include "core/api/media.h"
#include "core/files/files.h"
#include "core/http/server.h"
#include "core/master/context.h"
#include "core/master/frameworks.h"

namespace quorate::master {

class OperatorApi {
 public:
  OperatorApi(Context& context, Frameworks& frameworks, files::Files& files);

  // This master leads.
  void Handle(const http::Request& request, http::Responder responder);

  // By id; false when there is no such framework.
  bool TearDown(const std::string& framework_id);

 private:
  using Call = mesos::v1::master::Call;

  // What can be said at once; false for a call that is not supported.
  bool Answer(const Call& call, mesos::v1::master::Response* reply) const;
  bool AnswerAboutMaster(Call::Type type,
                         mesos::v1::master::Response* reply) const;
  bool AnswerAboutCluster(Call::Type type,
                          mesos::v1::master::Response* reply) const;
  void ListFiles(const Call& call, api::MediaType type,
                 http::Responder responder);
  void ReadFile(const Call& call, api::MediaType type,
                http::Responder responder);

  Context& context_;
  Frameworks& frameworks_;
  files::Files& files_;
};

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_OPERATOR_API_H_
