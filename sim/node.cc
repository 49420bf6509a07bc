#include "sim/node.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "sim/containers.h"
#include "sim/coordination.h"

namespace quorate::sim {
namespace {

constexpr uint16_t kAgentPort = 5051;
constexpr uint16_t kSecondMasterPort = 6050;
constexpr uint16_t kSecondAgentPort = 6051;

// A program that is one role, which may refuse to start.
template <typename Role>
class RoleProgram final : public Program {
 public:
  template <typename Options>
  RoleProgram(io::Environment& environment, const Options& options)
      : role(environment, options) {
    const absl::Status started = role.Start();
    if (!started.ok()) {
      environment.Exit(io::kExitFailure, started.message());
    }
  }

  Role role;
};

template <typename Role, typename Options>
ProgramFactory FactoryOf(Options options) {
  return [options = std::move(options)](io::Environment& environment) {
    return std::make_unique<RoleProgram<Role>>(environment, options);
  };
}

template <typename Role>
Role* RoleOf(Program* program) {
  return program == nullptr ? nullptr
                            : &static_cast<RoleProgram<Role>*>(program)->role;
}

}  // namespace

Node::Node(World& world, Network& network, Ensemble& ensemble, std::string name,
           std::string ip)
    : Host(world, network, std::move(name), std::move(ip)) {
  this->ensemble = &ensemble;
}

Node::~Node() {
  // What runs here refers to this object.
  on_ended = nullptr;
  restart_after_.reset();
  TurnOff();
}

void Node::Restart() {
  if (running()) return;
  // From its sleep it comes back as the same boot.
  Wake();
  if (!up()) {
    ++boots_;
    Boot();
    world().Took(Fault::kHostRebooted, name());
  }
  seen_turns_ = 0;
  if (process_ != nullptr) CountRestart();
  last_protocol_ = protocol_;
  process_ = &Start(name(), MakeFactory());
  process_->on_ended = [this](const Process::Ended& ended) {
    if (on_ended) on_ended(*this, ended);
    if (restart_after_) {
      world().After(*restart_after_, "supervisor", [this] { Restart(); });
    }
  };
}

void Node::CountRestart() {
  if (std::exchange(other_flags_, false)) {
    world().Took(Fault::kOtherFlags, name());
  }
  if (protocol_ != last_protocol_) world().Took(Fault::kUpgrade, name());
}

void Node::Kill() {
  if (running()) process_->Kill();
}

void Node::Pause() {
  if (running()) process_->Pause();
}

void Node::PauseFor(io::Duration time) {
  if (!running()) return;
  process_->Pause();
  world().After(time, "wakes", [process = process_] { process->Resume(); });
}

void Node::Resume() {
  if (running()) process_->Resume();
}

void Node::DieAtDiskCall(uint64_t n, bool power) {
  if (running()) process_->DieAtDiskCall(n, power);
}

void Node::SetSlowLoop(io::Duration at_most) {
  if (running()) process_->SetSlowLoop(at_most);
}

bool Node::HasMoved() {
  if (program() == nullptr || process_->turns() == seen_turns_) return false;
  seen_turns_ = process_->turns();
  return true;
}

std::optional<Process::Ended> Node::ended() const {
  if (process_ == nullptr) return std::nullopt;
  return process_->ended();
}

bool Node::Exited(int code) const {
  const std::optional<Process::Ended> end = ended();
  return end && !end->killed && end->code == code;
}

Program* Node::program() { return running() ? process_->program() : nullptr; }

std::string Node::BootId() const { return absl::StrCat(name(), "-", boots_); }

MasterNode::MasterNode(World& world, Network& network, Ensemble& ensemble,
                       std::string name, std::string ip,
                       master::MasterOptions options)
    : Node(world, network, ensemble, std::move(name), std::move(ip)),
      options_([&] {
        options.bind = options.advertise = {this->ip(), kMasterPort};
        options.hostname = this->ip();
        options.work_dir = "/var/lib/mesos";
        return std::move(options);
      }()) {}

ProgramFactory MasterNode::MakeFactory() {
  master::MasterOptions options = options_;
  options.protocol = protocol();
  return FactoryOf<master::Master>(std::move(options));
}

void MasterNode::ChangeFlags(
    const std::function<void(master::MasterOptions&)>& change) {
  change(options_);
  NoteOtherFlags();
}

Process& MasterNode::StartSecond() {
  master::MasterOptions options = options_;
  options.bind.port = options.advertise.port = kSecondMasterPort;
  return Start(absl::StrCat(name(), "-again"),
               FactoryOf<master::Master>(std::move(options)));
}

master::Master* MasterNode::role() { return RoleOf<master::Master>(program()); }

bool MasterNode::leads() { return role() != nullptr && role()->leads(); }

uint64_t MasterNode::epoch() { return role() == nullptr ? 0 : role()->epoch(); }

AgentNode::AgentNode(World& world, Network& network, Ensemble& ensemble,
                     std::string name, std::string ip,
                     agent::AgentOptions options)
    : Node(world, network, ensemble, std::move(name), std::move(ip)),
      options_([&] {
        options.bind = options.advertise = {this->ip(), kAgentPort};
        options.hostname = this->ip();
        options.work_dir = "/var/lib/mesos";
        options.runtime_dir = "/run/mesos";
        options.launcher_dir = "/usr/libexec/mesos";
        return std::move(options);
      }()) {
  containers().Register("mesos-executor",
                        [this](const io::ContainerSpec& spec) {
                          return NewExecutorProgram(spec, executor_faults);
                        });
}

ProgramFactory AgentNode::MakeFactory() {
  agent::AgentOptions options = options_;
  options.boot_id = BootId();
  options.master.protocol = protocol();
  return FactoryOf<agent::Agent>(std::move(options));
}

void AgentNode::ChangeFlags(
    const std::function<void(agent::AgentOptions&)>& change) {
  change(options_);
  NoteOtherFlags();
}

Process& AgentNode::StartSecond() {
  agent::AgentOptions options = options_;
  options.boot_id = BootId();
  options.bind.port = options.advertise.port = kSecondAgentPort;
  return Start(absl::StrCat(name(), "-again"),
               FactoryOf<agent::Agent>(std::move(options)));
}

agent::Agent* AgentNode::role() { return RoleOf<agent::Agent>(program()); }

const std::string& AgentNode::id() {
  if (role() != nullptr && !role()->id().empty()) id_ = role()->id();
  return id_;
}

}  // namespace quorate::sim
