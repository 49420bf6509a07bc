#include "sim/node.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/executor/command_executor.h"
#include "sim/containers.h"
#include "sim/coordination.h"

namespace quorate::sim {
namespace {

constexpr uint16_t kMasterPort = 5050;
constexpr uint16_t kAgentPort = 5051;

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

template <typename Role>
Role* RoleOf(Program* program) {
  return program == nullptr ? nullptr
                            : &static_cast<RoleProgram<Role>*>(program)->role;
}

class ExecutorProgram final : public Program {
 public:
  ExecutorProgram(io::Environment& environment,
                  const std::map<std::string, std::string>& variables) {
    auto options = executor::OptionsFromEnvironment(variables);
    if (!options.ok()) {
      environment.Exit(io::kExitFailure, options.status().message());
      return;
    }
    role_ = std::make_unique<executor::CommandExecutor>(environment,
                                                        *std::move(options));
    role_->Start();
  }

 private:
  std::unique_ptr<executor::CommandExecutor> role_;
};

}  // namespace

Node::Node(World& world, Network& network, Ensemble& ensemble, std::string name,
           std::string ip)
    : Host(world, network, std::move(name), std::move(ip)) {
  this->ensemble = &ensemble;
}

Node::~Node() {
  // What runs here refers to this object.
  on_ended = nullptr;
  if (running()) LosePower();
}

void Node::Restart() {
  if (running()) return;
  if (!up()) {
    ++boots_;
    Boot();
  }
  seen_turns_ = 0;
  process_ = &Start(name(), MakeFactory());
  process_->on_ended = [this](const Process::Ended& ended) {
    if (on_ended) on_ended(*this, ended);
    if (restart_after_) {
      world().After(*restart_after_, "supervisor", [this] { Restart(); });
    }
  };
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
  return [options = options_](io::Environment& environment) {
    return std::make_unique<RoleProgram<master::Master>>(environment, options);
  };
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
  containers().Register(
      "mesos-executor", [](const io::ContainerSpec& spec) -> ProgramFactory {
        return [variables = spec.environment](io::Environment& environment) {
          return std::make_unique<ExecutorProgram>(environment, variables);
        };
      });
}

ProgramFactory AgentNode::MakeFactory() {
  agent::AgentOptions options = options_;
  options.boot_id = BootId();
  return [options](io::Environment& environment) {
    return std::make_unique<RoleProgram<agent::Agent>>(environment, options);
  };
}

agent::Agent* AgentNode::role() { return RoleOf<agent::Agent>(program()); }

const std::string& AgentNode::id() {
  if (role() != nullptr && !role()->id().empty()) id_ = role()->id();
  return id_;
}

}  // namespace quorate::sim
