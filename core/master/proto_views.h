// The master's state as v1 messages, for the operator API. Pure.

#ifndef QUORATE_CORE_MASTER_PROTO_VIEWS_H_
#define QUORATE_CORE_MASTER_PROTO_VIEWS_H_

#include <string>

#include "core/api/master.pb.h"
#include "core/master/context.h"

namespace quorate::master {

void FillVersion(mesos::v1::VersionInfo* info);
void FillMaster(const Context& context,
                mesos::v1::master::Response::GetMaster* master);
void FillAgents(const Context& context,
                mesos::v1::master::Response::GetAgents* agents);
void FillFrameworks(const Context& context,
                    mesos::v1::master::Response::GetFrameworks* frameworks);
void FillExecutors(const Context& context,
                   mesos::v1::master::Response::GetExecutors* executors);
void FillTasks(const Context& context,
               mesos::v1::master::Response::GetTasks* tasks);

// As JSON. Lists of tasks, agents, frameworks and executors are written also
// when they are empty: clients walk over them without looking.
std::string ReplyJson(const mesos::v1::master::Response& reply);

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_PROTO_VIEWS_H_
