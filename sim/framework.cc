#include "sim/framework.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/resources/resources.h"
#include "core/scheduler/scheduler.h"
#include "sim/call_flood.h"

namespace quorate::sim {
namespace {

using mesos::v1::FrameworkInfo;
using mesos::v1::TaskState;
using mesos::v1::TaskStatus;
using mesos::v1::scheduler::Call;
using mesos::v1::scheduler::Event;

constexpr char kResourcesOfTask[] = "cpus:0.1;mem:32";
// A call or its effect may get lost: what waits for one is asked for again.
constexpr io::Duration kRepeatInterval = std::chrono::seconds(30);
// Between misdeeds, and before it begins anew when it was refused.
constexpr io::Duration kMisdeedInterval = std::chrono::seconds(1);
constexpr io::Duration kNewStart = std::chrono::seconds(1);
constexpr size_t kMaxOldOffers = 20;
constexpr int kMaxReconnects = 10;
constexpr char kRemoved[] = "Framework has been removed";

scheduler::DriverOptions OptionsFor(const election::MasterLocation& masters,
                                    const FrameworkOptions& mine,
                                    const std::string& id) {
  scheduler::DriverOptions options;
  options.master = masters;
  FrameworkInfo& framework = options.framework;
  framework.set_user("root");
  framework.set_name("simulated");
  framework.set_failover_timeout(
      std::chrono::duration<double>(mine.failover_timeout).count());
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

// Subscribes with the framework's id and takes its stream away; never answers.
class FrameworkNode::Twin final : public scheduler::Scheduler {
 public:
  Twin(io::Environment& environment, const scheduler::DriverOptions& options,
       std::function<void()> on_subscribed)
      : on_subscribed_(std::move(on_subscribed)),
        driver_(environment, options, this) {
    driver_.Start();
  }

  void OnSubscribed(const mesos::v1::FrameworkID&,
                    const mesos::v1::MasterInfo&) override {
    on_subscribed_();
  }
  void OnEvent(const Event&) override {}
  void OnDisconnected() override {}
  void OnError(const std::string&) override {}

 private:
  const std::function<void()> on_subscribed_;
  scheduler::Driver driver_;
};

// One life of the framework's process.
class FrameworkNode::Running final : public Program,
                                     public scheduler::Scheduler {
 public:
  Running(io::Environment& environment, FrameworkNode& node)
      : environment_(environment), node_(node) {
    Begin();
    ArmMisdeeds();
  }

  void OnSubscribed(const mesos::v1::FrameworkID& id,
                    const mesos::v1::MasterInfo&) override;
  void OnDisconnected() override { repeat_.Cancel(); }
  void OnError(const std::string& message) override;
  void OnEvent(const Event& event) override;

  void SendKill(const std::string& task_id);
  bool subscribed() const {
    return driver_ != nullptr && driver_->subscribed();
  }

  void ArmMisdeeds();
  void Reconnect(int times);
  void SubscribeTwice();
  void AcceptStale();
  void AcknowledgeUnknown();
  void Flood(int calls, int events);

 private:
  void Begin();
  // What is lost with a connection comes again after the next subscription.
  void Send(Call call) {
    if (driver_ != nullptr) driver_->Send(std::move(call)).IgnoreError();
  }
  void Reconcile();
  void Repeat();
  void OnUpdate(const TaskStatus& status);
  // Whether it is the answer to a launch that had to be refused.
  bool IsRefusal(Task& task, const TaskStatus& status);
  void CountReuse(Task& task, const TaskStatus& status);
  void OnOffers(const Event::Offers& offers);
  // Whether it has launched something on it.
  bool Use(const mesos::v1::Offer& offer);
  void AddLaunch(const std::string& task_id, const std::string& agent_id,
                 Call::Accept* accept);
  void Misbehave();
  World& world() { return node_.world(); }

  io::Environment& environment_;
  FrameworkNode& node_;
  std::unique_ptr<scheduler::Driver> driver_;
  io::Timer begin_;
  io::Timer repeat_;
  io::Timer misdeed_;
  std::unique_ptr<Twin> twin_;
  io::Timer twin_leaves_;
  std::unique_ptr<CallFlood> flood_;
};

void FrameworkNode::Running::Begin() {
  driver_ = std::make_unique<scheduler::Driver>(
      environment_, OptionsFor(node_.masters_, node_.options_, node_.id_),
      this);
  driver_->Start();
}

void FrameworkNode::Running::OnSubscribed(const mesos::v1::FrameworkID& id,
                                          const mesos::v1::MasterInfo&) {
  node_.id_ = id.value();
  ++node_.subscriptions_;
  Repeat();
}

// The driver has given up. A framework that was pushed off its stream comes
// back; one that was removed comes back as another.
void FrameworkNode::Running::OnError(const std::string& message) {
  repeat_.Cancel();
  node_.errors_.push_back(message);
  if (absl::StrContains(message, kRemoved)) node_.OnRemoved();
  begin_ = environment_.clock().RunAfter(kNewStart, [this] { Begin(); });
}

void FrameworkNode::Running::OnEvent(const Event& event) {
  if (event.type() == Event::UPDATE) {
    OnUpdate(event.update().status());
  } else if (event.type() == Event::OFFERS) {
    OnOffers(event.offers());
  }
}

void FrameworkNode::Running::SendKill(const std::string& task_id) {
  Call call;
  call.set_type(Call::KILL);
  call.mutable_kill()->mutable_task_id()->set_value(task_id);
  call.mutable_kill()->mutable_agent_id()->set_value(node_.AgentOf(task_id));
  Send(std::move(call));
}

void FrameworkNode::Running::Reconcile() {
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

void FrameworkNode::Running::Repeat() {
  Reconcile();
  for (const auto& [task_id, task] : node_.tasks_) {
    if (task.kill_wanted && !task.ended) SendKill(task_id);
  }
  repeat_ =
      environment_.clock().RunAfter(kRepeatInterval, [this] { Repeat(); });
}

void FrameworkNode::Running::OnUpdate(const TaskStatus& status) {
  driver_->Acknowledge(status);
  auto known = node_.tasks_.find(status.task_id().value());
  // Of a flood.
  if (known == node_.tasks_.end()) return;
  Task& task = known->second;
  if (status.has_uuid() && !task.seen.insert(status.uuid()).second) return;
  if (IsRefusal(task, status)) return;
  const std::string& state = mesos::v1::TaskState_Name(status.state());
  task.states.push_back(state);
  world().Note(node_.name(), "hears that", "",
               absl::StrCat(known->first, " is ", state));
  CountReuse(task, status);
  if (IsTerminal(status.state())) {
    task.ended = true;
    task.ended_by_agent = status.has_uuid();
  }
  node_.truth_.Told(node_.id_, known->first, state);
  if (node_.on_word) {
    node_.on_word(
        {status.agent_id().value(), known->first, state, status.uuid()});
  }
}

bool FrameworkNode::Running::IsRefusal(Task& task, const TaskStatus& status) {
  if (task.duplicates == 0 || status.has_uuid() ||
      status.state() != mesos::v1::TASK_ERROR) {
    return false;
  }
  --task.duplicates;
  world().Took(Fault::kTaskIdReused, node_.name());
  return true;
}

void FrameworkNode::Running::CountReuse(Task& task, const TaskStatus& status) {
  if (task.reused && status.state() == mesos::v1::TASK_RUNNING) {
    task.reused = false;
    world().Took(Fault::kTaskIdReused, node_.name());
  }
  if (task.stale && status.reason() == TaskStatus::REASON_INVALID_OFFERS) {
    task.stale = false;
    world().Took(Fault::kStaleOfferAccepted, node_.name());
  }
}

void FrameworkNode::Running::AddLaunch(const std::string& task_id,
                                       const std::string& agent_id,
                                       Call::Accept* accept) {
  Task& task = node_.tasks_.at(task_id);
  task.agent_id = agent_id;
  node_.truth_.Asked(node_.id_, task_id);
  auto& operation = *accept->add_operations();
  operation.set_type(mesos::v1::Offer::Operation::LAUNCH);
  mesos::v1::TaskInfo& info = *operation.mutable_launch()->add_task_infos();
  info.set_name(task_id);
  info.mutable_task_id()->set_value(task_id);
  info.mutable_agent_id()->set_value(agent_id);
  Resources wanted = Resources::ParseText(kResourcesOfTask).value();
  wanted.Allocate("*");
  wanted.ToProto(info.mutable_resources());
  info.mutable_command()->set_value(task.command);
  if (!std::exchange(node_.launch_twice_, false)) return;
  ++task.duplicates;
  *operation.mutable_launch()->add_task_infos() = info;
}

// What it does not use it declines, with one call.
void FrameworkNode::Running::OnOffers(const Event::Offers& offers) {
  Call call;
  call.set_type(Call::DECLINE);
  Call::Decline& decline = *call.mutable_decline();
  decline.mutable_filters()->set_refuse_seconds(node_.options_.refuse_seconds);
  for (const mesos::v1::Offer& offer : offers.offers()) {
    if (!Use(offer)) *decline.add_offer_ids() = offer.id();
    node_.old_offers_.emplace_back(offer.id().value(),
                                   offer.agent_id().value());
    if (node_.old_offers_.size() > kMaxOldOffers) {
      node_.old_offers_.pop_front();
    }
  }
  if (decline.offer_ids_size() > 0) Send(std::move(call));
}

bool FrameworkNode::Running::Use(const mesos::v1::Offer& offer) {
  if (node_.waiting_.empty()) return false;
  Call call;
  call.set_type(Call::ACCEPT);
  Call::Accept& accept = *call.mutable_accept();
  *accept.add_offer_ids() = offer.id();
  accept.mutable_filters()->set_refuse_seconds(node_.options_.refuse_seconds);
  Resources wanted = Resources::ParseText(kResourcesOfTask).value();
  wanted.Allocate("*");
  Resources left = Resources::FromProto(offer.resources()).value();
  while (!node_.waiting_.empty() && left.Contains(wanted)) {
    const std::string id = *node_.waiting_.begin();
    node_.waiting_.erase(node_.waiting_.begin());
    const Task& task = node_.tasks_.at(id);
    if (!task.agent_id.empty() || task.ended) continue;
    left -= wanted;
    AddLaunch(id, offer.agent_id().value(), &accept);
  }
  if (accept.operations_size() == 0) return false;
  Send(std::move(call));
  return true;
}

// -----------------------------------------------------------------------------
// Misdeeds

void FrameworkNode::Running::ArmMisdeeds() {
  misdeed_.Cancel();
  if (!node_.faults_.any()) return;
  misdeed_ =
      environment_.clock().RunAfter(kMisdeedInterval, [this] { Misbehave(); });
}

void FrameworkNode::Running::Misbehave() {
  ArmMisdeeds();
  const FrameworkFaults faults = node_.faults_;
  io::Random& random = *node_.misdeeds_;
  const auto happens = [&random](double chance) {
    return chance > 0 && random.Fraction() < chance;
  };
  if (happens(faults.stale_accept)) AcceptStale();
  if (happens(faults.unknown_acknowledge)) AcknowledgeUnknown();
  if (happens(faults.flood)) Flood(faults.flood_calls, 1);
  if (happens(faults.reuse_id)) {
    if (random.Below(2) == 0) {
      node_.ReuseId();
    } else {
      node_.LaunchNextTwice();
    }
  }
  if (happens(faults.subscribe_twice)) SubscribeTwice();
  if (happens(faults.reconnect)) {
    Reconnect(1 + static_cast<int>(random.Below(kMaxReconnects)));
  }
  if (happens(faults.slow)) {
    node_.ReadNothingFor(
        random.Between(std::chrono::seconds(1), faults.slow_for));
  }
}

void FrameworkNode::Running::Reconnect(int times) {
  if (times == 0) return;
  if (subscribed()) world().Took(Fault::kFrameworkReconnects, node_.name());
  repeat_.Cancel();
  driver_.reset();
  Begin();
  begin_ = environment_.clock().RunAfter(
      node_.misdeeds_->Between(io::Duration::zero(),
                               std::chrono::milliseconds(300)),
      [this, times] { Reconnect(times - 1); });
}

void FrameworkNode::Running::SubscribeTwice() {
  if (!subscribed()) return;
  twin_ = std::make_unique<Twin>(
      environment_, OptionsFor(node_.masters_, node_.options_, node_.id_),
      [this] { world().Took(Fault::kSubscribedTwice, node_.name()); });
  twin_leaves_ = environment_.clock().RunAfter(
      node_.misdeeds_->Between(std::chrono::milliseconds(500),
                               std::chrono::seconds(3)),
      [this] { twin_.reset(); });
}

void FrameworkNode::Running::AcceptStale() {
  if (!subscribed() || node_.old_offers_.empty()) return;
  const auto& [offer_id, agent_id] =
      node_.old_offers_[node_.misdeeds_->Below(node_.old_offers_.size())];
  const std::string task_id =
      absl::StrCat("stale", node_.stale_++, "-", node_.name());
  node_.tasks_[task_id] = {.command = "sleep 1", .stale = true};
  Call call;
  call.set_type(Call::ACCEPT);
  call.mutable_accept()->add_offer_ids()->set_value(offer_id);
  AddLaunch(task_id, agent_id, call.mutable_accept());
  Send(std::move(call));
}

void FrameworkNode::Running::AcknowledgeUnknown() {
  if (!subscribed() || node_.old_offers_.empty()) return;
  Call call;
  call.set_type(Call::ACKNOWLEDGE);
  Call::Acknowledge& acknowledge = *call.mutable_acknowledge();
  // A task that is there, or one that never was.
  const bool known = node_.misdeeds_->Below(2) == 0 && !node_.tasks_.empty();
  acknowledge.mutable_task_id()->set_value(known ? node_.tasks_.begin()->first
                                                 : "nobody's");
  acknowledge.mutable_agent_id()->set_value(node_.old_offers_.back().second);
  acknowledge.set_uuid(node_.misdeeds_->UuidBytes());
  if (driver_->Send(std::move(call)).ok()) {
    world().Took(Fault::kUnknownAcknowledged, node_.name());
  }
}

void FrameworkNode::Running::Flood(int calls, int events) {
  if (!subscribed()) return;
  // One at a time: the one before breaks off.
  flood_ = std::make_unique<CallFlood>(
      environment_,
      CallFlood::Options{.master = *driver_->endpoint(),
                         .framework_id = node_.id_,
                         .stream_id = driver_->stream_id(),
                         .calls = calls,
                         .tasks = events},
      [this, first = true](int status) mutable {
        ++node_.flood_answers_;
        if (status == 202) ++node_.flood_accepted_;
        if (std::exchange(first, false)) {
          world().Took(Fault::kCallFlood, node_.name());
        }
      });
}

// -----------------------------------------------------------------------------

FrameworkNode::FrameworkNode(World& world, Network& network, Ensemble& ensemble,
                             std::string name, std::string ip,
                             election::MasterLocation masters,
                             FrameworkOptions options, TaskTruth& truth)
    : Node(world, network, ensemble, std::move(name), std::move(ip)),
      masters_(std::move(masters)),
      options_(options),
      truth_(truth),
      misdeeds_(world.NewRandom(absl::StrCat("misdeeds of ", this->name()))) {}

FrameworkNode::~FrameworkNode() = default;

ProgramFactory FrameworkNode::MakeFactory() {
  return [this](io::Environment& environment) {
    return std::make_unique<Running>(environment, *this);
  };
}

void FrameworkNode::Do(std::function<void(Running&)> deed) {
  if (!running()) return;
  process()->Run([this, deed = std::move(deed)] {
    if (program() != nullptr) deed(*static_cast<Running*>(program()));
  });
}

void FrameworkNode::Launch(const std::string& task_id,
                           const std::string& command) {
  CHECK(tasks_.count(task_id) == 0) << task_id << " was launched before";
  tasks_[task_id].command = command;
  waiting_.insert(task_id);
}

void FrameworkNode::KillTask(const std::string& task_id) {
  Task& task = tasks_[task_id];
  task.kill_wanted = true;
  truth_.KillWanted(id_, task_id);
  // It will never be launched.
  if (task.agent_id.empty()) task.ended = true;
  if (task.ended) return;
  Do([task_id](Running& running) { running.SendKill(task_id); });
}

// What it ran ends, and it is not told how.
void FrameworkNode::OnRemoved() {
  for (auto& [id, task] : tasks_) {
    if (!task.agent_id.empty()) task.ended = true;
  }
  id_.clear();
}

void FrameworkNode::Misbehave(const FrameworkFaults& faults) {
  faults_ = faults;
  Do([](Running& running) { running.ArmMisdeeds(); });
}

void FrameworkNode::Reconnect(int times) {
  Do([times](Running& running) { running.Reconnect(times); });
}

void FrameworkNode::SubscribeTwice() {
  Do([](Running& running) { running.SubscribeTwice(); });
}

void FrameworkNode::AcceptStale() {
  Do([](Running& running) { running.AcceptStale(); });
}

void FrameworkNode::AcknowledgeUnknown() {
  Do([](Running& running) { running.AcknowledgeUnknown(); });
}

void FrameworkNode::Flood(int calls, int events) {
  Do([calls, events](Running& running) { running.Flood(calls, events); });
}

void FrameworkNode::ReadNothingFor(io::Duration time) {
  if (!running() || paused()) return;
  reads_again_ = world().now() + time;
  PauseFor(time);
}

bool FrameworkNode::reads_nothing() {
  return paused() && world().now() < reads_again_;
}

bool FrameworkNode::ReuseId() {
  for (auto& [id, task] : tasks_) {
    if (!task.ended_by_agent || task.kill_wanted) continue;
    task.agent_id.clear();
    waiting_.insert(id);
    task.ended = task.ended_by_agent = false;
    task.reused = true;
    return true;
  }
  return false;
}

int FrameworkNode::Waiting() const {
  int waiting = 0;
  for (const auto& [id, task] : tasks_) {
    waiting += task.agent_id.empty() && !task.ended ? 1 : 0;
  }
  return waiting;
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
