#include "core/master/accept.h"

#include <glog/logging.h>

#include <set>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/master/events.h"
#include "core/master/validation.h"

namespace quorate::master {
namespace {

using mesos::v1::OperationStatus;
using mesos::v1::TaskInfo;
using mesos::v1::TaskStatus;
using mesos::v1::scheduler::Call;
using Operation = mesos::v1::Offer::Operation;

// Resources without a mark are meant for the role of the offer.
void MarkAllocation(
    google::protobuf::RepeatedPtrField<mesos::v1::Resource>* resources,
    const std::string& role) {
  for (mesos::v1::Resource& resource : *resources) {
    if (!resource.allocation_info().has_role()) {
      resource.mutable_allocation_info()->set_role(role);
    }
  }
}

class Acceptance {
 public:
  Acceptance(Context& context, Offers& offers, Tasks& tasks,
             Framework& framework, const Call::Accept& call)
      : context_(context),
        offers_(offers),
        tasks_(tasks),
        framework_(framework),
        call_(call) {}

  void Run() {
    if (call_.offer_ids().empty()) {
      return Reject(absl::InvalidArgumentError("No offers specified"));
    }
    const absl::Status valid = ValidateOffers();
    if (!valid.ok()) return Reject(valid);
    // The offers stand until the end, so that nothing of them is available to
    // others in between.
    for (const Operation& operation : call_.operations()) Perform(operation);
    DeclineRest();
  }

 private:
  absl::Status ValidateOffers() {
    std::set<std::string> seen;
    for (const mesos::v1::OfferID& id : call_.offer_ids()) {
      const std::string& value = id.value();
      const Offer* offer = context_.cluster.FindOffer(value);
      if (offer == nullptr || offer->framework_id != framework_.id) {
        return absl::InvalidArgumentError(
            absl::StrCat("Offer ", value, " is no longer valid"));
      }
      if (!seen.insert(value).second) {
        return absl::InvalidArgumentError(
            absl::StrCat("Offer ", value, " is given twice"));
      }
      if (seen.size() == 1) {
        first_.framework_id = offer->framework_id;
        first_.agent_id = offer->agent_id;
        first_.role = offer->role;
      }
      if (offer->agent_id != first_.agent_id) {
        return absl::InvalidArgumentError(
            "The offers are of more than one agent");
      }
      if (offer->role != first_.role) {
        return absl::InvalidArgumentError(
            "The offers are for more than one role");
      }
      remaining_ += offer->resources;
    }
    agent_ = context_.cluster.FindAgent(first_.agent_id);
    return absl::OkStatus();
  }

  void Reject(const absl::Status& reason) {
    LOG(WARNING) << "framework " << framework_.id
                 << " accepts invalid offers: " << reason;
    DiscardOffers();
    const std::string message =
        absl::StrCat("Task launched with invalid offers: ", reason.message());
    for (const Operation& operation : call_.operations()) {
      for (const TaskInfo& task : operation.launch().task_infos()) {
        RefuseTask(task, LostState(framework_, mesos::v1::TASK_DROPPED),
                   TaskStatus::REASON_INVALID_OFFERS, message);
      }
      for (const TaskInfo& task :
           operation.launch_group().task_group().tasks()) {
        RefuseTask(task, LostState(framework_, mesos::v1::TASK_DROPPED),
                   TaskStatus::REASON_INVALID_OFFERS, message);
      }
      if (operation.type() != Operation::LAUNCH &&
          operation.type() != Operation::LAUNCH_GROUP) {
        RefuseOperation(operation, absl::StrCat("Operation on invalid offers: ",
                                                reason.message()));
      }
    }
  }

  void DiscardOffers() {
    for (const mesos::v1::OfferID& id : call_.offer_ids()) {
      const Offer* offer = context_.cluster.FindOffer(id.value());
      if (offer == nullptr || offer->framework_id != framework_.id) continue;
      offers_.Discard(id.value());
    }
  }

  void Perform(const Operation& operation) {
    switch (operation.type()) {
      case Operation::LAUNCH:
        return Launch(operation);
      case Operation::LAUNCH_GROUP:
        for (const TaskInfo& task :
             operation.launch_group().task_group().tasks()) {
          RefuseTask(task, mesos::v1::TASK_ERROR,
                     TaskStatus::REASON_TASK_GROUP_INVALID,
                     "Task groups are not supported yet");
        }
        return;
      default:
        return RefuseOperation(
            operation,
            absl::StrCat("Operation ", Operation::Type_Name(operation.type()),
                         " is not supported yet"));
    }
  }

  void Launch(const Operation& operation) {
    for (const TaskInfo& info : operation.launch().task_infos()) {
      if (operation.has_id()) {
        RefuseTask(info, mesos::v1::TASK_ERROR, TaskStatus::REASON_TASK_INVALID,
                   "'operation.id' must not be set for LAUNCH");
        continue;
      }
      LaunchTask(info);
    }
  }

  void LaunchTask(TaskInfo info) {
    MarkAllocation(info.mutable_resources(), first_.role);
    if (info.has_executor()) {
      mesos::v1::ExecutorInfo& executor = *info.mutable_executor();
      MarkAllocation(executor.mutable_resources(), first_.role);
      // Left out by many; with it, equal executors compare equal.
      if (!executor.has_framework_id()) {
        executor.mutable_framework_id()->set_value(framework_.id);
      }
    }
    absl::StatusOr<TaskDemand> demand =
        ValidateTask(info, framework_, *agent_, remaining_);
    if (!demand.ok()) {
      return RefuseTask(info, mesos::v1::TASK_ERROR,
                        TaskStatus::REASON_TASK_INVALID,
                        std::string(demand.status().message()));
    }
    remaining_ -= demand->task + demand->executor;
    tasks_.Launch(framework_, *agent_, std::move(info), *std::move(demand),
                  first_.role);
  }

  void RefuseTask(const TaskInfo& task, mesos::v1::TaskState state,
                  TaskStatus::Reason reason, const std::string& message) {
    LOG(WARNING) << "not launching task "
                 << absl::CHexEscape(task.task_id().value()) << " of framework "
                 << framework_.id << ": " << absl::CHexEscape(message);
    SendUpdate(framework_,
               MakeStatus(context_, {.task_id = task.task_id().value(),
                                     .agent_id = task.agent_id().value(),
                                     .state = state,
                                     .reason = reason,
                                     .message = message}));
  }

  void RefuseOperation(const Operation& operation, const std::string& message) {
    LOG(WARNING) << "framework " << framework_.id << ": " << message;
    if (!operation.has_id()) return;
    OperationStatus status;
    *status.mutable_operation_id() = operation.id();
    status.set_state(mesos::v1::OPERATION_ERROR);
    status.set_message(message);
    SendOperationStatus(framework_, status);
  }

  void DeclineRest() {
    if (!remaining_.empty()) {
      offers_.Refuse(first_, remaining_, call_.filters().refuse_seconds());
    }
    DiscardOffers();
  }

  Context& context_;
  Offers& offers_;
  Tasks& tasks_;
  Framework& framework_;
  const Call::Accept& call_;
  Offer first_;  // Whose role and agent all have.
  Agent* agent_ = nullptr;
  Resources remaining_;
};

}  // namespace

void Accept(Context& context, Offers& offers, Tasks& tasks,
            Framework& framework, const Call::Accept& call) {
  Acceptance(context, offers, tasks, framework, call).Run();
}

}  // namespace quorate::master
