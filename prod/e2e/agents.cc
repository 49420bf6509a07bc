// Many agents in one process, over real sockets: each finds the leader,
// registers, answers pings and comes back after a fail-over as mesos-agent
// does, with tasks that it only claims to run.
//
//   agents --master=10.0.0.1:5050,10.0.0.2:5050 --count=1000 --tasks=10
//
// On standard output, a line for each registration: seconds of CLOCK_BOOTTIME,
// "admitted" with the first one and "registered" with each later one, the
// agent's id, the epoch of the master. An id that was admitted is a fact that
// the registry must never forget. "disobeyed" is a master of an earlier epoch
// or of another cluster, "refused" one that wants the agent to shut down.

#include <glog/logging.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/api/mesos.pb.h"
#include "core/election/election.h"
#include "core/resources/resources.h"
#include "core/wire/agent.pb.h"
#include "core/wire/link.h"
#include "prod/environment.h"
#include "prod/event_loop.h"
#include "prod/options/common.h"
#include "prod/program.h"

namespace quorate::prod {
namespace {

using mesos::v1::MasterInfo;

constexpr io::Duration kMaxBackoff = std::chrono::minutes(1);
constexpr io::Duration kFlushInterval = std::chrono::milliseconds(20);
// Of the ports that agents claim to listen at: nobody connects to them.
constexpr uint32_t kPortsPerIp = 60000;
constexpr char kFramework[] = "agents";

struct Options {
  std::string master;
  uint32_t count = 1;
  uint32_t first = 0;
  flags::Duration join_every = io::Duration::zero();
  uint32_t tasks = 0;
  std::string resources = "disk:1";
  flags::Duration backoff = std::chrono::seconds(1);
  flags::Duration zk_session_timeout = std::chrono::seconds(10);

  void AddTo(flags::FlagSet* flags) {
    flags->Add(&master, "master", "As mesos-agent's.").Required();
    flags->Add(&count, "count", "Agents at the beginning.");
    flags->Add(&first, "first",
               "Number of the first one: those of several processes must not "
               "overlap.");
    flags->Add(&join_every, "join_every",
               "Another one each time; zero: none. The next one joins when "
               "the one before is registered.");
    flags->Add(&tasks, "tasks", "What each claims to run.");
    flags->Add(&resources, "resources",
               "What each offers beside what its tasks use.");
    flags->Add(&backoff, "registration_backoff_factor", "As mesos-agent's.");
    flags->Add(&zk_session_timeout, "zk_session_timeout", "As mesos-agent's.");
  }
};

// What all agents share.
struct Context {
  io::Environment& environment;
  const election::MasterLocation master;
  const io::Duration backoff;
  const Resources resources;
  const uint32_t tasks;
  const Resources resources_of_task;  // Allocated.

  void Tell(const char* what, const std::string& id, uint64_t epoch) const {
    const double now = std::chrono::duration<double>(
                           environment.clock().Now().time_since_epoch())
                           .count();
    absl::PrintF("%.6f %s %s %d\n", now, what, id, epoch);
  }
};

class FakeAgent final : private wire::Dialer::Listener {
 public:
  // `context` outlives it. `number`: no other agent has the same.
  FakeAgent(const Context& context, uint32_t number)
      : context_(context),
        random_(
            context.environment.random().Split(absl::StrCat("agent ", number))),
        // Of addresses that nobody routes.
        address_{absl::StrCat("192.0.2.", 1 + number / kPortsPerIp),
                 static_cast<uint16_t>(1024 + number % kPortsPerIp)} {
    Detect();
  }

  bool admitted() const { return !id_.empty(); }

 private:
  void Detect() {
    detector_ = election::NewDetector(
        context_.environment, context_.master, newest_.cluster_id(),
        [this](const std::optional<MasterInfo>& leader) { OnLeader(leader); });
  }

  void OnLeader(const std::optional<MasterInfo>& leader) {
    if (!leader || (dialer_ && leader->id() == dialed_)) return;
    dialed_ = leader->id();
    registered_ = false;
    register_.Cancel();
    const io::Endpoint to = {leader->address().ip(),
                             static_cast<uint16_t>(leader->address().port())};
    dialer_ = wire::NewDialer(
        context_.environment.clock(), context_.environment.network(), to,
        [this] {
          wire::Handshake mine;
          mine.purpose = wire::Purpose::kAgent;
          mine.cluster_id = newest_.cluster_id();
          mine.node_id = id_;
          mine.address = address_;
          return mine;
        },
        wire::Dialer::Options{}, random_->Next(), this);
  }

  void OnUp(const wire::Handshake&) override {
    backoff_ = context_.backoff;
    register_ = context_.environment.clock().RunAfter(
        random_->Between(io::Duration::zero(), backoff_),
        [this] { Register(); });
  }

  void OnDown(const absl::Status&) override {
    registered_ = false;
    register_.Cancel();
    silence_.Cancel();
  }

  void Register();
  mesos::v1::AgentInfo Info() const;
  void AddTasks(wire::ReregisterAgent* message) const;

  void OnMessage(absl::string_view payload) override;
  void OnRegistered(const std::string& id, const wire::Reign& reign,
                    int64_t ping_timeout_ns);
  void OnPing();
  void AwaitPing();
  bool Obeys(const wire::Reign& reign) const {
    return !newest_.has_epoch() ||
           (reign.cluster_id() == newest_.cluster_id() &&
            std::make_pair(reign.generation(), reign.epoch()) >=
                std::make_pair(newest_.generation(), newest_.epoch()));
  }

  const Context& context_;
  const std::unique_ptr<io::Random> random_;
  const io::Endpoint address_;
  std::string id_;
  wire::Reign newest_;
  std::unique_ptr<election::Detector> detector_;
  std::string dialed_;
  std::unique_ptr<wire::Dialer> dialer_;
  bool registered_ = false;
  io::Duration backoff_;
  io::Timer register_;
  io::Duration ping_timeout_;
  io::Timer silence_;
};

mesos::v1::AgentInfo FakeAgent::Info() const {
  mesos::v1::AgentInfo info;
  info.set_hostname(address_.ToString());
  info.set_port(address_.port);
  context_.resources.ToProto(info.mutable_resources());
  if (!id_.empty()) info.mutable_id()->set_value(id_);
  return info;
}

void FakeAgent::AddTasks(wire::ReregisterAgent* message) const {
  if (context_.tasks == 0) return;
  mesos::v1::FrameworkInfo& framework = *message->add_frameworks();
  framework.mutable_id()->set_value(kFramework);
  framework.set_user("nobody");
  framework.set_name(kFramework);
  framework.add_roles("*");
  framework.add_capabilities()->set_type(
      mesos::v1::FrameworkInfo::Capability::MULTI_ROLE);
  framework.set_checkpoint(true);
  // Longer than any measurement.
  framework.set_failover_timeout(86400);
  for (uint32_t i = 0; i < context_.tasks; ++i) {
    wire::AgentTask& task = *message->add_tasks();
    mesos::v1::TaskInfo& info = *task.mutable_task_info();
    *task.mutable_framework_id() = framework.id();
    info.set_name("claimed");
    info.mutable_task_id()->set_value(absl::StrCat(id_, "-", i));
    info.mutable_agent_id()->set_value(id_);
    info.mutable_command()->set_value("sleep 1000");
    context_.resources_of_task.ToProto(info.mutable_resources());
    task.set_state(mesos::v1::TASK_RUNNING);
    task.set_status_update_state(mesos::v1::TASK_RUNNING);
    mesos::v1::TaskStatus& status = *task.add_statuses();
    *status.mutable_task_id() = info.task_id();
    status.set_state(mesos::v1::TASK_RUNNING);
  }
}

void FakeAgent::Register() {
  wire::AgentMessage message;
  if (id_.empty()) {
    wire::RegisterAgent& wanted = *message.mutable_register_agent();
    *wanted.mutable_agent_info() = Info();
    wanted.set_version("1.12.0");
  } else {
    wire::ReregisterAgent& wanted = *message.mutable_reregister_agent();
    *wanted.mutable_agent_info() = Info();
    wanted.set_version("1.12.0");
    AddTasks(&wanted);
  }
  dialer_->Send(message.SerializeAsString());
  register_ = context_.environment.clock().RunAfter(
      random_->Between(backoff_ / 2, backoff_), [this] { Register(); });
  backoff_ = std::min(2 * backoff_, kMaxBackoff);
}

void FakeAgent::OnMessage(absl::string_view payload) {
  wire::AgentMessage message;
  CHECK(
      message.ParseFromArray(payload.data(), static_cast<int>(payload.size())));
  if (message.has_agent_registered()) {
    const wire::AgentRegistered& answer = message.agent_registered();
    OnRegistered(answer.agent_id().value(), answer.reign(),
                 answer.ping_timeout_ns());
  } else if (message.has_agent_reregistered()) {
    const wire::AgentReregistered& answer = message.agent_reregistered();
    OnRegistered(answer.agent_id().value(), answer.reign(),
                 answer.ping_timeout_ns());
  } else if (message.has_ping()) {
    if (!registered_ || !Obeys(message.ping().reign())) return;
    OnPing();
    if (message.ping().connected()) return;
    registered_ = false;
    backoff_ = context_.backoff;
    Register();
  } else if (message.has_shutdown_agent()) {
    context_.Tell("refused", id_, message.shutdown_agent().reign().epoch());
  }
}

void FakeAgent::OnRegistered(const std::string& id, const wire::Reign& reign,
                             int64_t ping_timeout_ns) {
  if (registered_) return;
  if (!Obeys(reign)) {
    return context_.Tell("disobeyed", id_, reign.epoch());
  }
  const bool first = id_.empty();
  CHECK(first || id == id_) << "the master calls agent " << id_ << " " << id;
  id_ = id;
  newest_ = reign;
  registered_ = true;
  register_.Cancel();
  ping_timeout_ = io::Duration(ping_timeout_ns);
  AwaitPing();
  context_.Tell(first ? "admitted" : "registered", id_, reign.epoch());
}

void FakeAgent::OnPing() {
  AwaitPing();
  wire::AgentMessage pong;
  pong.mutable_pong();
  dialer_->Send(pong.SerializeAsString());
}

void FakeAgent::AwaitPing() {
  silence_ = context_.environment.clock().RunAfter(ping_timeout_, [this] {
    dialer_.reset();
    Detect();
  });
}

// All agents of this process.
class Crowd {
 public:
  // `most`: of agents.
  Crowd(Context context, const Options& options, uint64_t most)
      : context_(std::move(context)),
        most_(most),
        first_(options.first),
        join_every_(options.join_every) {
    for (uint32_t i = 0; i < options.count; ++i) Add();
    if (join_every_ > io::Duration::zero()) JoinLater();
    Flush();
  }

 private:
  void Add() {
    agents_.push_back(std::make_unique<FakeAgent>(
        context_, first_ + static_cast<uint32_t>(agents_.size())));
  }

  void JoinLater() {
    join_ = context_.environment.clock().RunAfter(join_every_, [this] {
      if (agents_.size() >= most_) {
        LOG(ERROR) << "no more than " << most_ << " agents may join";
        return;
      }
      if (agents_.empty() || agents_.back()->admitted()) Add();
      JoinLater();
    });
  }

  void Flush() {
    std::fflush(stdout);
    flush_ = context_.environment.clock().RunAfter(kFlushInterval,
                                                   [this] { Flush(); });
  }

  const Context context_;
  const uint64_t most_;
  const uint32_t first_;
  const io::Duration join_every_;
  std::vector<std::unique_ptr<FakeAgent>> agents_;
  io::Timer join_;
  io::Timer flush_;
};

// Two sockets for each agent are more than many systems allow at first. How
// many agents there can be.
uint64_t AllowManySockets() {
  rlimit limit = {1 << 18, 1 << 18};
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    PCHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    PCHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  }
  constexpr uint64_t kOtherFiles = 64;
  return limit.rlim_cur < kOtherFiles ? 0 : (limit.rlim_cur - kOtherFiles) / 2;
}

void Main(int argc, char** argv) {
  Options options;
  flags::FlagSet flags({.name = "agents",
                        .summary = "many agents in one process",
                        .synopsis = "agents --master=HOSTS [flags]",
                        .version = "1.12.0"});
  options.AddTo(&flags);
  LoadFlags(argc, argv, &flags);
  auto master =
      options::ResolveMasters(options.master, options.zk_session_timeout);
  if (!master.ok()) FailUsage("agents", master.status().message());
  auto resources = Resources::ParseText(options.resources);
  if (!resources.ok()) FailUsage("agents", resources.status().message());
  Resources of_task = *Resources::ParseText("cpus:0.1;mem:32");
  for (uint32_t i = 0; i < options.tasks; ++i) *resources += of_task;
  of_task.Allocate("*");
  InitLogging("agents", {.logging_level = "ERROR"});
  const uint64_t most = AllowManySockets();
  if (options.count > most) {
    FailUsage("agents",
              absl::StrCat("this process may open files for ", most,
                           " agents only; start several, with --first"));
  }

  EventLoop loop;
  Environment environment(&loop, {});
  const Crowd crowd({.environment = environment,
                     .master = *std::move(master),
                     .backoff = options.backoff,
                     .resources = *std::move(resources),
                     .tasks = options.tasks,
                     .resources_of_task = std::move(of_task)},
                    options, most);
  loop.HandleSignals({SIGTERM, SIGINT}, [&](int) {
    std::fflush(stdout);
    environment.Exit(io::kExitOk, "told to stop");
  });
  environment.Run();
}

}  // namespace
}  // namespace quorate::prod

int main(int argc, char** argv) { quorate::prod::Main(argc, argv); }
