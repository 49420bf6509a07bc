// Executors that frameworks bring along.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <utility>

#include "core/api/executor.pb.h"
#include "core/api/media.h"
#include "core/http/client.h"
#include "core/scheduler/subscription.h"
#include "sim/roles/agent_world.h"

namespace quorate::sim {
namespace {

using mesos::v1::TaskStatus;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::Test;

using States = std::vector<std::string>;

int Count(const AgentWorld& w, wire::AgentMessage::KindCase kind) {
  return static_cast<int>(std::count_if(
      w.script.received.begin(), w.script.received.end(),
      [kind](const auto& message) { return message.kind_case() == kind; }));
}

// An executor of a framework: each task runs until it is killed.
class CustomExecutor final : public Program {
 public:
  using Call = mesos::v1::executor::Call;
  using Event = mesos::v1::executor::Event;

  CustomExecutor(io::Environment& environment,
                 std::map<std::string, std::string> variables,
                 std::vector<std::string>* told)
      : environment_(environment),
        variables_(std::move(variables)),
        agent_(*io::ParseEndpoint(variables_.at("MESOS_AGENT_ENDPOINT"))),
        told_(*told),
        calls_(environment.clock(), environment.network(), agent_, {}) {
    Subscribe({});
  }

  void Subscribe(const std::vector<std::string>& tasks) {
    Call call = MakeCall(Call::SUBSCRIBE);
    call.mutable_subscribe();
    for (const std::string& id : tasks) {
      auto& task = *call.mutable_subscribe()->add_unacknowledged_tasks();
      task.set_name(id);
      task.mutable_task_id()->set_value(id);
      task.mutable_agent_id()->set_value(variables_.at("MESOS_SLAVE_ID"));
    }
    stream_ = std::make_unique<scheduler::Subscription>(
        environment_, agent_, "/api/v1/executor", kMedia,
        api::SerializeBody(kMedia, call),
        scheduler::Subscription::Callbacks{
            .on_open = [](const http::Response&) {},
            .on_record = [this](absl::string_view record) { OnEvent(record); },
            .on_refused =
                [](const http::Response& answer) {
                  ADD_FAILURE() << answer.status << answer.body;
                },
            .on_closed = [](const absl::Status&) {}});
  }
  void Disconnect() { stream_.reset(); }

  bool silent = false;

 private:
  static constexpr api::MediaType kMedia = api::MediaType::kJson;

  Call MakeCall(Call::Type type) const {
    Call call;
    call.set_type(type);
    call.mutable_executor_id()->set_value(variables_.at("MESOS_EXECUTOR_ID"));
    call.mutable_framework_id()->set_value(variables_.at("MESOS_FRAMEWORK_ID"));
    return call;
  }
  void Send(const Call& call) {
    calls_.Send(scheduler::ApiRequest("/api/v1/executor", kMedia,
                                      api::SerializeBody(kMedia, call)),
                [](const auto& answer) {
                  ASSERT_TRUE(answer.ok());
                  EXPECT_EQ(answer->status, 202) << answer->body;
                });
  }
  void Update(const mesos::v1::TaskID& id, mesos::v1::TaskState state) {
    if (silent) return;
    Call call = MakeCall(Call::UPDATE);
    TaskStatus& status = *call.mutable_update()->mutable_status();
    *status.mutable_task_id() = id;
    status.set_state(state);
    status.set_source(TaskStatus::SOURCE_EXECUTOR);
    status.set_uuid(environment_.random().UuidBytes());
    Send(call);
  }
  void OnEvent(absl::string_view record) {
    Event event;
    ASSERT_TRUE(api::ParseBody(kMedia, record, &event).ok());
    const std::string type = Event::Type_Name(event.type());
    switch (event.type()) {
      case Event::LAUNCH: {
        const mesos::v1::TaskID& id = event.launch().task().task_id();
        told_.push_back("LAUNCH " + id.value());
        return Update(id, mesos::v1::TASK_RUNNING);
      }
      case Event::KILL:
        return Update(event.kill().task_id(), mesos::v1::TASK_KILLED);
      case Event::MESSAGE: {
        told_.push_back("MESSAGE " + event.message().data());
        Call call = MakeCall(Call::MESSAGE);
        call.mutable_message()->set_data(event.message().data());
        return Send(call);
      }
      case Event::ACKNOWLEDGED:
        return;
      default:
        told_.push_back(type);
    }
  }

  io::Environment& environment_;
  const std::map<std::string, std::string> variables_;
  const io::Endpoint agent_;
  std::vector<std::string>& told_;
  http::ClientConnection calls_;
  std::unique_ptr<scheduler::Subscription> stream_;
};

class CustomExecutorTest : public Test {
 protected:
  CustomExecutorTest() : w(1) {
    w.agent_host.containers().Register(
        "custom", [this](const io::ContainerSpec& spec) {
          ++launches;
          return [this,
                  variables = spec.environment](io::Environment& environment) {
            auto executor =
                std::make_unique<CustomExecutor>(environment, variables, &told);
            process = executor.get();
            return executor;
          };
        });
    w.Begin();
  }

  void Launch(const std::string& task_id) {
    wire::AgentMessage message;
    wire::RunTask& run = *message.mutable_run_task();
    *run.mutable_reign() = w.master().Reign();
    *run.mutable_framework_info() = w.Framework();
    mesos::v1::TaskInfo& task = *run.mutable_task();
    task.set_name(task_id);
    task.mutable_task_id()->set_value(task_id);
    task.mutable_agent_id()->set_value("master-S0");
    mesos::v1::ExecutorInfo& info = *task.mutable_executor();
    info.mutable_executor_id()->set_value("custom-1");
    info.mutable_command()->set_shell(false);
    info.mutable_command()->set_value("/bin/custom");
    w.master().Send(message);
  }
  bool AwaitTold(const std::string& what) {
    return w.RunUntil([&] {
      return std::find(told.begin(), told.end(), what) != told.end();
    });
  }

  AgentWorld w;
  int launches = 0;
  std::vector<std::string> told;
  CustomExecutor* process = nullptr;
};

TEST_F(CustomExecutorTest, OneExecutorRunsSeveralTasks) {
  Launch("a");
  Launch("b");
  ASSERT_TRUE(w.AwaitState("a", mesos::v1::TASK_RUNNING));
  ASSERT_TRUE(w.AwaitState("b", mesos::v1::TASK_RUNNING));
  Launch("c");
  ASSERT_TRUE(w.AwaitState("c", mesos::v1::TASK_RUNNING));
  EXPECT_EQ(launches, 1);
  EXPECT_EQ(told, (States{"SUBSCRIBED", "LAUNCH a", "LAUNCH b", "LAUNCH c"}));
  w.Kill("b");
  ASSERT_TRUE(w.AwaitState("b", mesos::v1::TASK_KILLED));
  // It stays without tasks, until it is told to end.
  w.Kill("a");
  w.Kill("c");
  ASSERT_TRUE(w.AwaitState("c", mesos::v1::TASK_KILLED));
  w.world.RunFor(minutes(5));
  Launch("d");
  ASSERT_TRUE(w.AwaitState("d", mesos::v1::TASK_RUNNING));
  EXPECT_EQ(launches, 1);
}

TEST_F(CustomExecutorTest, MessagesGoBothWays) {
  Launch("a");
  ASSERT_TRUE(w.AwaitState("a", mesos::v1::TASK_RUNNING));
  wire::AgentMessage message;
  wire::FrameworkMessage& sent = *message.mutable_framework_message();
  *sent.mutable_reign() = w.master().Reign();
  sent.mutable_framework_id()->set_value("framework-1");
  sent.mutable_executor_id()->set_value("custom-1");
  sent.set_data("ping");
  w.master().Send(message);
  ASSERT_TRUE(AwaitTold("MESSAGE ping"));
  ASSERT_TRUE(w.RunUntil(
      [&] { return Count(w, wire::AgentMessage::kExecutorMessage) == 1; }));
  EXPECT_EQ(w.script.received.back().executor_message().data(), "ping");
}

TEST_F(CustomExecutorTest, ShutDownIsToldAndThenEnforced) {
  Launch("a");
  ASSERT_TRUE(w.AwaitState("a", mesos::v1::TASK_RUNNING));
  wire::AgentMessage message;
  *message.mutable_shutdown_executor()->mutable_reign() = w.master().Reign();
  message.mutable_shutdown_executor()->mutable_framework_id()->set_value(
      "framework-1");
  message.mutable_shutdown_executor()->mutable_executor_id()->set_value(
      "custom-1");
  w.master().Send(message);
  ASSERT_TRUE(AwaitTold("SHUTDOWN"));
  // It does not care; what is launched meanwhile is dropped.
  Launch("late");
  ASSERT_TRUE(w.AwaitState("late", mesos::v1::TASK_DROPPED));
  ASSERT_TRUE(w.AwaitState("a", mesos::v1::TASK_FAILED, seconds(6)));
  ASSERT_TRUE(w.RunUntil(
      [&] { return Count(w, wire::AgentMessage::kExecutorExited) == 1; }));
  for (const auto& received : w.script.received) {
    if (!received.has_executor_exited()) continue;
    EXPECT_EQ(received.executor_exited().wait_status(), 9);
  }
}

TEST_F(CustomExecutorTest, ABrokenStreamLosesNoKill) {
  Launch("a");
  ASSERT_TRUE(w.AwaitState("a", mesos::v1::TASK_RUNNING));
  process->Disconnect();
  w.world.RunFor(seconds(1));
  w.Kill("a");
  w.world.RunFor(seconds(1));
  EXPECT_EQ(told.back(), "LAUNCH a");
  process->Subscribe({"a"});
  ASSERT_TRUE(w.AwaitState("a", mesos::v1::TASK_KILLED));
}

// A task whose launch was lost with the stream is dropped when the executor
// comes back without it.
TEST_F(CustomExecutorTest, ATaskThatTheExecutorNeverGotIsDropped) {
  Launch("a");
  ASSERT_TRUE(w.AwaitState("a", mesos::v1::TASK_RUNNING));
  process->silent = true;  // It takes b, but says nothing of it.
  Launch("b");
  ASSERT_TRUE(AwaitTold("LAUNCH b"));
  process->Disconnect();
  w.world.RunFor(seconds(1));
  process->Subscribe({"a"});
  ASSERT_TRUE(w.AwaitState("b", mesos::v1::TASK_DROPPED));
  EXPECT_EQ(w.Last("b").reason(), TaskStatus::REASON_AGENT_RESTARTED);
  EXPECT_EQ(w.States("a"), States{"TASK_RUNNING"});
}

}  // namespace
}  // namespace quorate::sim
