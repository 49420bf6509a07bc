// A leading master without its log and its port, for tests: frameworks and
// operators speak to it in HTTP messages, agents over links in memory, and the
// registry writes when it is told to.
//
//   Harness master;
//   TestAgent agent(master, "10.0.0.2");
//   agent.Register("cpus:2;mem:1024");
//   TestFramework framework(master);
//   framework.Subscribe();
//   EXPECT_EQ(framework.TakeOffers().size(), 1);

#ifndef QUORATE_CORE_MASTER_TESTING_HARNESS_H_
#define QUORATE_CORE_MASTER_TESTING_HARNESS_H_

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/api/scheduler.pb.h"
#include "core/files/files.h"
#include "core/http/testing/fakes.h"
#include "core/log/log_node.h"
#include "core/master/agents.h"
#include "core/master/context.h"
#include "core/master/endpoints.h"
#include "core/master/frameworks.h"
#include "core/master/offers.h"
#include "core/master/operator_api.h"
#include "core/master/scheduler_api.h"
#include "core/master/standing.h"
#include "core/master/tasks.h"
#include "core/wire/link.h"

namespace quorate::master::testing {

class HarnessEnvironment final : public io::Environment {
 public:
  http::testing::FakeClock& clock() override { return clock_; }
  io::Random& random() override { return random_; }
  std::unique_ptr<io::Lane> NewLane(absl::string_view name) override;
  // Not used by what is tested.
  io::Network& network() override;
  io::Disk& disk() override;
  io::Coordination& coordination() override;
  io::Containers& containers() override;
  void Exit(int code, absl::string_view message) override;

 private:
  http::testing::FakeClock clock_;
  io::SeededRandom random_{7};
};

// Applies at the next turn of the loop, or when told to.
class FakeRegistry final : public RegistryWriter {
 public:
  explicit FakeRegistry(io::Clock& clock) : clock_(clock) {}

  void Apply(registry::Operation operation, OnApplied done) override;
  const registry::RegistryState& state() const override { return state_; }
  registry::RegistryState& mutable_state() { return state_; }

  // From now on operations wait, until Release.
  void Hold() { held_ = true; }
  void Release();
  // Those that wait longest, now.
  void Answer(int operations);
  // From now on nothing is tried, for that reason; OK ends this.
  void Refuse(absl::Status reason) { refusal_ = std::move(reason); }
  // Leadership is lost: nobody hears what became of what waits.
  void Lose() { pending_.clear(); }
  // From now on it does not hold what it is told of frameworks.
  void Distort() { distorted_ = true; }
  // Operations so far.
  int asked() const { return asked_; }

 private:
  struct Pending {
    registry::Operation operation;
    OnApplied done;
  };
  void Drain();
  void AnswerNext();

  io::Clock& clock_;
  registry::RegistryState state_;
  bool held_ = false;
  absl::Status refusal_;
  bool distorted_ = false;
  int asked_ = 0;
  std::deque<Pending> pending_;
  io::Timer timer_;
};

// The client's end of a streaming response.
struct StreamEnd {
  std::string bytes;
  bool closed = false;
  std::function<void()> on_peer_left;
};

// To a request, perhaps later.
struct Answer {
  std::optional<http::Response> response;
  std::shared_ptr<StreamEnd> stream;
};

class Harness {
 public:
  // Master M1. Agents of the registry may be given; they are those to be
  // recovered.
  explicit Harness(MasterOptions options = {},
                   const std::vector<mesos::v1::AgentInfo>& admitted = {});

  // The next leader, which knows what the one before has made durable.
  Harness(MasterOptions options, const registry::RegistryState& registry,
          const std::string& id = "M2");

  // Runs what is due now, or within `time`, and checks the books.
  void Run(io::Duration time = io::Duration::zero());

  Context& context() { return context_; }
  Standing& standing() { return standing_; }
  // As of the only member of its log, which leads.
  log::LogStatus& log() { return log_; }
  FakeRegistry& registry() { return registry_; }
  Agents& agents() { return agents_; }

  http::Response Send(http::Request request);
  http::Response Get(const std::string& target);
  http::Response Post(const std::string& target, const std::string& body,
                      http::Headers headers = {
                          {"Content-Type", "application/json"}});
  http::Response Send(http::Request request, std::shared_ptr<StreamEnd> stream);
  std::shared_ptr<Answer> Ask(http::Request request,
                              std::shared_ptr<StreamEnd> stream = nullptr);

 private:
  HarnessEnvironment environment_;
  const MasterOptions options_;
  Context context_;
  FakeRegistry registry_;
  Standing standing_;
  log::LogStatus log_;
  Offers offers_;
  Tasks tasks_;
  Frameworks frameworks_;
  Agents agents_;
  files::Files files_;
  SchedulerApi scheduler_api_;
  OperatorApi operator_api_;
  Endpoints endpoints_;
};

// The operator's call.
http::Request MarkGone(const std::string& agent_id);

class TestAgent {
 public:
  TestAgent(Harness& harness, std::string ip, uint16_t port = 5051);
  ~TestAgent();

  // A new link to the master.
  void Connect();
  // The link breaks.
  void Break();

  void Register(const std::string& resources);
  // With what it has been told to run, unless the test has changed it.
  void Reregister();
  void Send(const wire::AgentMessage& message);
  void SendPong();
  // Of `task`, with a new UUID, which is returned.
  std::string SendUpdate(const std::string& framework_id,
                         const std::string& task_id,
                         mesos::v1::TaskState state);

  // Messages since the last call. A registration gives the agent its id.
  std::vector<wire::AgentMessage> Take();
  // The next message of that kind, dropping what is before it.
  std::optional<wire::AgentMessage> Next(wire::AgentMessage::KindCase kind);

  const std::string& id() const { return info.id().value(); }
  bool connected() const;

  mesos::v1::AgentInfo info;
  // What it lists when it registers again.
  wire::ReregisterAgent listing;

 private:
  class FakeLink;
  struct Ends;

  Harness& harness_;
  const io::Endpoint address_;
  std::shared_ptr<Ends> ends_;
  int updates_ = 0;
};

class TestFramework {
 public:
  using Call = mesos::v1::scheduler::Call;
  using Event = mesos::v1::scheduler::Event;

  // Named, of user "root", with role "*" and MULTI_ROLE.
  explicit TestFramework(Harness& harness);

  // Events go to a new stream; an id that it was given is used again.
  http::Response Subscribe();
  void Disconnect();

  http::Response Send(Call call);
  // Takes the offers and launches tasks of these ids, each with `resources`.
  http::Response Launch(const std::vector<mesos::v1::Offer>& offers,
                        const std::vector<std::string>& task_ids,
                        const std::string& resources);
  mesos::v1::TaskInfo MakeTask(const mesos::v1::Offer& offer,
                               const std::string& id,
                               const std::string& resources) const;
  http::Response Acknowledge(const mesos::v1::TaskStatus& status);

  // Events since the last call, without heartbeats.
  std::vector<Event> Take();
  // Those of one kind; the others are dropped.
  std::vector<mesos::v1::Offer> TakeOffers();
  std::vector<mesos::v1::TaskStatus> TakeUpdates();

  const std::string& id() const { return info.id().value(); }
  bool closed() const { return stream_->closed; }
  std::string TakeBytes() { return std::exchange(stream_->bytes, {}); }

  mesos::v1::FrameworkInfo info;
  std::vector<std::string> suppressed_roles;
  std::string stream_id;

 private:
  Harness& harness_;
  std::shared_ptr<StreamEnd> stream_;
};

}  // namespace quorate::master::testing

#endif  // QUORATE_CORE_MASTER_TESTING_HARNESS_H_
