#include "sim/framework.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/resources/resources.h"
#include "core/scheduler/scheduler.h"

namespace quorate::sim {
namespace {

using mesos::v1::FrameworkInfo;
using mesos::v1::TaskState;
using mesos::v1::TaskStatus;
using mesos::v1::scheduler::Call;
using mesos::v1::scheduler::Event;

constexpr char kResourcesOfTask[] = "cpus:0.1;mem:32";
constexpr double kFailoverSeconds = 3600;
constexpr double kRefuseSeconds = 1;
// A call or its effect may get lost: what waits for one is asked for again.
constexpr io::Duration kRepeatInterval = std::chrono::seconds(30);

scheduler::DriverOptions OptionsFor(const election::ZooKeeperUrl& zk,
                                    const std::string& id) {
  scheduler::DriverOptions options;
  options.master.zookeeper = zk;
  FrameworkInfo& framework = options.framework;
  framework.set_user("root");
  framework.set_name("simulated");
  framework.set_failover_timeout(kFailoverSeconds);
  framework.set_checkpoint(true);
  framework.add_roles("*");
  if (!id.empty()) framework.mutable_id()->set_value(id);
  for (auto capability : {FrameworkInfo::Capability::MULTI_ROLE,
                          FrameworkInfo::Capability::RESERVATION_REFINEMENT,
                          FrameworkInfo::Capability::PARTITION_AWARE}) {
    framework.add_capabilities()->set_type(capability);
  }
  return options;
}

bool IsTerminal(TaskState state) {
  return state != mesos::v1::TASK_STAGING &&
         state != mesos::v1::TASK_STARTING &&
         state != mesos::v1::TASK_RUNNING && state != mesos::v1::TASK_KILLING &&
         state != mesos::v1::TASK_UNREACHABLE;
}

}  // namespace

// One life of the framework's process.
class FrameworkNode::Running final : public Program,
                                     public scheduler::Scheduler {
 public:
  Running(io::Environment& environment, FrameworkNode& node)
      : environment_(environment),
        node_(node),
        driver_(environment, OptionsFor(node.zk_, node.id_), this) {
    driver_.Start();
  }

  void OnSubscribed(const mesos::v1::FrameworkID& id,
                    const mesos::v1::MasterInfo&) override {
    node_.id_ = id.value();
    ++node_.subscriptions_;
    Repeat();
  }

  void OnDisconnected() override { repeat_.Cancel(); }

  void OnError(const std::string& message) override {
    node_.errors_.push_back(message);
  }

  void OnEvent(const Event& event) override {
    if (event.type() == Event::UPDATE) {
      OnUpdate(event.update().status());
    } else if (event.type() == Event::OFFERS) {
      for (const auto& offer : event.offers().offers()) OnOffer(offer);
    }
  }

  void SendKill(const std::string& task_id) {
    Call call;
    call.set_type(Call::KILL);
    call.mutable_kill()->mutable_task_id()->set_value(task_id);
    call.mutable_kill()->mutable_agent_id()->set_value(node_.AgentOf(task_id));
    Send(std::move(call));
  }

  bool subscribed() const { return driver_.subscribed(); }

 private:
  // What is lost with a connection comes again after the next subscription.
  void Send(Call call) { driver_.Send(std::move(call)).IgnoreError(); }

  void Reconcile() {
    Call call;
    call.set_type(Call::RECONCILE);
    auto& reconcile = *call.mutable_reconcile();
    for (const auto& [id, task] : node_.tasks_) {
      if (task.ended || task.agent_id.empty()) continue;
      auto& asked = *reconcile.add_tasks();
      asked.mutable_task_id()->set_value(id);
      asked.mutable_agent_id()->set_value(task.agent_id);
    }
    if (reconcile.tasks_size() > 0) Send(std::move(call));
  }

  void Repeat() {
    Reconcile();
    for (const auto& [task_id, task] : node_.tasks_) {
      if (task.kill_wanted && !task.ended) SendKill(task_id);
    }
    repeat_ =
        environment_.clock().RunAfter(kRepeatInterval, [this] { Repeat(); });
  }

  void OnUpdate(const TaskStatus& status) {
    Task& task = node_.tasks_[status.task_id().value()];
    const std::string& state = mesos::v1::TaskState_Name(status.state());
    driver_.Acknowledge(status);
    if (status.has_uuid() && !task.seen.insert(status.uuid()).second) return;
    task.states.push_back(state);
    node_.world().Note(node_.name(), "hears that", "",
                       absl::StrCat(status.task_id().value(), " is ", state));
    if (IsTerminal(status.state())) task.ended = true;
    node_.truth_.Told(node_.id_, status.task_id().value(), state);
  }

  void OnOffer(const mesos::v1::Offer& offer) {
    Call call;
    call.set_type(Call::ACCEPT);
    Call::Accept& accept = *call.mutable_accept();
    *accept.add_offer_ids() = offer.id();
    accept.mutable_filters()->set_refuse_seconds(kRefuseSeconds);
    Resources wanted = Resources::ParseText(kResourcesOfTask).value();
    wanted.Allocate("*");
    Resources left = Resources::FromProto(offer.resources()).value();
    for (auto& [id, task] : node_.tasks_) {
      if (!task.agent_id.empty() || !left.Contains(wanted)) continue;
      left -= wanted;
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
    Send(std::move(call));
  }

  io::Environment& environment_;
  FrameworkNode& node_;
  scheduler::Driver driver_;
  io::Timer repeat_;
};

FrameworkNode::FrameworkNode(World& world, Network& network, Ensemble& ensemble,
                             std::string name, std::string ip,
                             election::ZooKeeperUrl zk, TaskTruth& truth)
    : Node(world, network, ensemble, std::move(name), std::move(ip)),
      zk_(std::move(zk)),
      truth_(truth) {}

FrameworkNode::~FrameworkNode() = default;

ProgramFactory FrameworkNode::MakeFactory() {
  return [this](io::Environment& environment) {
    return std::make_unique<Running>(environment, *this);
  };
}

void FrameworkNode::Launch(const std::string& task_id,
                           const std::string& command) {
  CHECK(tasks_.count(task_id) == 0) << task_id << " was launched before";
  tasks_[task_id].command = command;
}

void FrameworkNode::KillTask(const std::string& task_id) {
  tasks_[task_id].kill_wanted = true;
  truth_.KillWanted(id_, task_id);
  if (!running()) return;
  process()->Run(
      [this, task_id] { static_cast<Running*>(program())->SendKill(task_id); });
}

bool FrameworkNode::subscribed() {
  return program() != nullptr && static_cast<Running*>(program())->subscribed();
}

const std::vector<std::string>& FrameworkNode::States(
    const std::string& task_id) const {
  static const auto& none = *new std::vector<std::string>;
  auto task = tasks_.find(task_id);
  return task == tasks_.end() ? none : task->second.states;
}

bool FrameworkNode::Reached(const std::string& task_id,
                            const std::string& state) const {
  const std::vector<std::string>& states = States(task_id);
  return std::find(states.begin(), states.end(), state) != states.end();
}

bool FrameworkNode::Ended(const std::string& task_id) const {
  auto task = tasks_.find(task_id);
  return task != tasks_.end() && task->second.ended;
}

std::string FrameworkNode::AgentOf(const std::string& task_id) const {
  auto task = tasks_.find(task_id);
  return task == tasks_.end() ? "" : task->second.agent_id;
}

}  // namespace quorate::sim
