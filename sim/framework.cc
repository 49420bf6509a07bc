#include "sim/framework.h"

#include <algorithm>
#include <utility>

#include "core/resources/resources.h"
#include "core/scheduler/scheduler.h"

namespace quorate::sim {
namespace {

using mesos::v1::scheduler::Call;
using mesos::v1::scheduler::Event;

constexpr char kResourcesOfTask[] = "cpus:0.1;mem:32";

scheduler::DriverOptions OptionsFor(election::ZooKeeperUrl zk) {
  scheduler::DriverOptions options;
  options.master.zookeeper = std::move(zk);
  options.framework.set_user("root");
  options.framework.set_name("simulated");
  options.framework.set_failover_timeout(3600);
  options.framework.set_checkpoint(true);
  options.framework.add_roles("*");
  for (auto capability : {mesos::v1::FrameworkInfo::Capability::MULTI_ROLE,
                          mesos::v1::FrameworkInfo::Capability::
                              RESERVATION_REFINEMENT,
                          mesos::v1::FrameworkInfo::Capability::
                              PARTITION_AWARE}) {
    options.framework.add_capabilities()->set_type(capability);
  }
  return options;
}

}  // namespace

class FrameworkProgram final : public Program, public scheduler::Scheduler {
 public:
  FrameworkProgram(io::Environment& environment, Framework& owner,
                   election::ZooKeeperUrl zk)
      : owner_(owner), driver_(environment, OptionsFor(std::move(zk)), this) {
    driver_.Start();
  }

  void OnSubscribed(const mesos::v1::FrameworkID&,
                    const mesos::v1::MasterInfo&) override {
    ++owner_.subscriptions_;
    // What was launched into a leader that died is told by reconciliation.
    Call call;
    call.set_type(Call::RECONCILE);
    call.mutable_reconcile();
    driver_.Send(std::move(call)).IgnoreError();
  }
  void OnDisconnected() override {}
  void OnError(const std::string& message) override {
    owner_.errors_.push_back(message);
  }

  void OnEvent(const Event& event) override {
    if (event.type() == Event::UPDATE) {
      const mesos::v1::TaskStatus& status = event.update().status();
      owner_.tasks_[status.task_id().value()].states.push_back(
          mesos::v1::TaskState_Name(status.state()));
      driver_.Acknowledge(status);
    } else if (event.type() == Event::OFFERS) {
      for (const auto& offer : event.offers().offers()) OnOffer(offer);
    }
  }

  scheduler::Driver& driver() { return driver_; }

 private:
  void OnOffer(const mesos::v1::Offer& offer) {
    Call call;
    call.set_type(Call::ACCEPT);
    Call::Accept& accept = *call.mutable_accept();
    *accept.add_offer_ids() = offer.id();
    accept.mutable_filters()->set_refuse_seconds(1);
    Resources wanted = *Resources::ParseText(kResourcesOfTask);
    wanted.Allocate("*");
    auto left = Resources::FromProto(offer.resources());
    for (auto& [id, task] : owner_.tasks_) {
      if (!task.agent_id.empty() || task.command.empty() || !left.ok() ||
          !left->Contains(wanted)) {
        continue;
      }
      *left -= wanted;
      task.agent_id = offer.agent_id().value();
      auto& operation = *accept.add_operations();
      operation.set_type(mesos::v1::Offer::Operation::LAUNCH);
      mesos::v1::TaskInfo& info = *operation.mutable_launch()->add_task_infos();
      info.set_name(id);
      info.mutable_task_id()->set_value(id);
      *info.mutable_agent_id() = offer.agent_id();
      wanted.ToProto(info.mutable_resources());
      info.mutable_command()->set_value(task.command);
    }
    // Without an operation this declines.
    driver_.Send(std::move(call)).IgnoreError();
  }

  Framework& owner_;
  scheduler::Driver driver_;
};

Framework::Framework(Host& host, election::ZooKeeperUrl zk) : host_(host) {
  process_ = &host.Start("framework", [this, zk](io::Environment& environment) {
    return std::make_unique<FrameworkProgram>(environment, *this, zk);
  });
}
Framework::~Framework() = default;

void Framework::Launch(const std::string& task_id, const std::string& command) {
  tasks_[task_id].command = command;
}

void Framework::Kill(const std::string& task_id) {
  process_->Run([this, task_id] {
    Call call;
    call.set_type(Call::KILL);
    call.mutable_kill()->mutable_task_id()->set_value(task_id);
    call.mutable_kill()->mutable_agent_id()->set_value(AgentOf(task_id));
    static_cast<FrameworkProgram*>(process_->program())
        ->driver()
        .Send(std::move(call))
        .IgnoreError();
  });
}

bool Framework::subscribed() const {
  return static_cast<FrameworkProgram*>(process_->program())
      ->driver()
      .subscribed();
}

std::string Framework::id() const {
  return static_cast<FrameworkProgram*>(process_->program())
      ->driver()
      .framework_id()
      .value();
}

std::vector<std::string> Framework::States(const std::string& task_id) const {
  auto task = tasks_.find(task_id);
  return task == tasks_.end() ? std::vector<std::string>()
                              : task->second.states;
}

bool Framework::Reached(const std::string& task_id,
                        const std::string& state) const {
  const std::vector<std::string> states = States(task_id);
  return std::find(states.begin(), states.end(), state) != states.end();
}

std::string Framework::AgentOf(const std::string& task_id) const {
  auto task = tasks_.find(task_id);
  return task == tasks_.end() ? "" : task->second.agent_id;
}

}  // namespace quorate::sim
