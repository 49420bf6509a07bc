// The framework side of the scheduler API against scripted masters.

#include "core/scheduler/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/api/media.h"
#include "core/api/scheduler.pb.h"
#include "core/http/recordio.h"
#include "core/http/server.h"
#include "core/scheduler/execute.h"
#include "sim/machine.h"
#include "sim/network.h"
#include "sim/world.h"

namespace quorate::sim {
namespace {

using mesos::v1::TaskState;
using mesos::v1::scheduler::Call;
using mesos::v1::scheduler::Event;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint16_t kPort = 5050;

// What a master answers, and what it was asked; outlives its process.
struct MasterScript {
  int subscribe_status = 200;
  std::string text;      // Of a refusal.
  std::string location;  // Of a redirect.
  bool heartbeats = true;
  bool answers_calls = true;  // Of those that are no SUBSCRIBE.
  std::string reign;
  std::string framework_id = "framework-1";

  std::vector<Call> calls;  // SUBSCRIBE as well.
  std::vector<std::string> stream_ids;
  std::set<std::string> content_types;
  int streams_left = 0;  // By the framework, and not for a newer one.
};

class SchedulerMaster final : public Program {
 public:
  SchedulerMaster(io::Environment& environment, const std::string& ip,
                  MasterScript* script)
      : environment_(environment),
        script_(*script),
        server_(environment.clock(), {},
                [this](http::Request request, http::Responder responder) {
                  Handle(request, std::move(responder));
                }) {
    auto acceptor = environment.network().Listen(
        {ip, kPort}, [this](std::unique_ptr<io::Connection> connection) {
          server_.Adopt(std::move(connection), "");
        });
    EXPECT_TRUE(acceptor.ok());
    acceptor_ = *std::move(acceptor);
  }

  void Send(const Event& event) {
    ASSERT_NE(stream_, nullptr);
    stream_->Write(http::EncodeRecord(api::SerializeBody(media_, event)));
  }
  void SendOffer(const std::string& id, double cpus) {
    Event event;
    event.set_type(Event::OFFERS);
    auto& offer = *event.mutable_offers()->add_offers();
    offer.mutable_id()->set_value(id);
    offer.mutable_framework_id()->set_value(script_.framework_id);
    offer.mutable_agent_id()->set_value("agent-1");
    offer.set_hostname("host");
    for (const auto& [name, value] :
         {std::pair("cpus", cpus), std::pair("mem", 1000.0)}) {
      auto& resource = *offer.add_resources();
      resource.set_name(name);
      resource.set_type(mesos::v1::Value::SCALAR);
      resource.mutable_scalar()->set_value(value);
      resource.mutable_allocation_info()->set_role("*");
    }
    Send(event);
  }
  void SendUpdate(TaskState state, const std::string& uuid,
                  std::optional<mesos::v1::TaskStatus::Reason> reason = {}) {
    Event event;
    event.set_type(Event::UPDATE);
    auto& status = *event.mutable_update()->mutable_status();
    status.mutable_task_id()->set_value("hello");
    status.mutable_agent_id()->set_value("agent-1");
    status.set_state(state);
    status.set_source(mesos::v1::TaskStatus::SOURCE_MASTER);
    if (!uuid.empty()) status.set_uuid(uuid);
    if (reason.has_value()) status.set_reason(*reason);
    Send(event);
  }
  void EndStream() { stream_.reset(); }

 private:
  void Handle(const http::Request& request, http::Responder responder) {
    const std::string type = request.headers.Get("Content-Type").value_or("");
    script_.content_types.insert(type);
    const auto negotiation = api::NegotiateContentType(type);
    ASSERT_TRUE(negotiation.type.has_value());
    Call call;
    ASSERT_TRUE(api::ParseBody(*negotiation.type, request.body, &call).ok());
    script_.calls.push_back(call);
    if (call.type() == Call::SUBSCRIBE) {
      return Subscribe(*negotiation.type, std::move(responder));
    }
    script_.stream_ids.push_back(
        request.headers.Get("Mesos-Stream-Id").value_or(""));
    if (!script_.answers_calls) {
      unanswered_.push_back(std::move(responder));
      return;
    }
    http::Response response;
    response.status = 202;
    responder.Send(response);
    if (call.type() == Call::TEARDOWN) stream_.reset();
  }

  void Subscribe(api::MediaType media, http::Responder responder) {
    if (script_.subscribe_status != 200) {
      http::Response refusal =
          http::Response::Text(script_.subscribe_status, script_.text);
      if (!script_.location.empty()) {
        refusal.headers.Set("Location", script_.location);
      }
      return responder.Send(refusal);
    }
    media_ = media;
    stream_ = responder.StartStream(
        200, {{"Content-Type", std::string(api::MediaTypeName(media))},
              {"Mesos-Stream-Id", absl::StrCat("stream-", ++streams_)},
              {"Quorate-Reign", script_.reign}});
    stream_->OnClosed([this] { ++script_.streams_left; });
    Event event;
    event.set_type(Event::SUBSCRIBED);
    event.mutable_subscribed()->mutable_framework_id()->set_value(
        script_.framework_id);
    event.mutable_subscribed()->set_heartbeat_interval_seconds(15);
    Send(event);
    Heartbeat();
  }

  void Heartbeat() {
    if (stream_ == nullptr || !script_.heartbeats) return;
    Event event;
    event.set_type(Event::HEARTBEAT);
    Send(event);
    heartbeat_ =
        environment_.clock().RunAfter(seconds(15), [this] { Heartbeat(); });
  }

  io::Environment& environment_;
  MasterScript& script_;
  http::Server server_;
  std::unique_ptr<io::Acceptor> acceptor_;
  std::unique_ptr<http::Stream> stream_;
  std::vector<http::Responder> unanswered_;
  api::MediaType media_ = api::MediaType::kJson;
  int streams_ = 0;
  io::Timer heartbeat_;
};

// What a scheduler is told, in words.
struct Told {
  std::vector<std::string> log;
};

class Recorder final : public Program, public scheduler::Scheduler {
 public:
  Recorder(io::Environment& environment,
           const scheduler::DriverOptions& options, Told* told)
      : told_(*told), driver(environment, options, this) {
    driver.Start();
  }

  void OnEvent(const Event& event) override {
    told_.log.push_back(Event::Type_Name(event.type()));
    if (event.type() == Event::UPDATE) {
      driver.Acknowledge(event.update().status());
    }
  }
  void OnSubscribed(const mesos::v1::FrameworkID& id,
                    const mesos::v1::MasterInfo&) override {
    told_.log.push_back("subscribed " + id.value());
  }
  void OnDisconnected() override { told_.log.push_back("disconnected"); }
  void OnError(const std::string& message) override {
    told_.log.push_back("error " + message);
  }

 private:
  Told& told_;

 public:
  scheduler::Driver driver;
};

class SchedulerTest : public testing::Test {
 protected:
  SchedulerTest()
      : world_(1),
        network_(world_, NetworkOptions{}),
        first_(world_, network_, "m1", "10.0.0.1"),
        second_(world_, network_, "m2", "10.0.0.2"),
        host_(world_, network_, "client", "10.0.0.9") {
    options_.master.masters = {{"10.0.0.1", kPort}};
    options_.framework.set_user("root");
    options_.framework.set_name("test");
  }

  SchedulerMaster& StartMaster(Host& host, MasterScript* script) {
    master_process_ =
        &host.Start("master", [&host, script](io::Environment& environment) {
          return std::make_unique<SchedulerMaster>(environment, host.ip(),
                                                   script);
        });
    world_.RunFor(milliseconds(1));
    return *static_cast<SchedulerMaster*>(master_process_->program());
  }
  Recorder& StartRecorder() {
    Process& process =
        host_.Start("client", [this](io::Environment& environment) {
          return std::make_unique<Recorder>(environment, options_, &told_);
        });
    world_.RunFor(milliseconds(1));
    return *static_cast<Recorder*>(process.program());
  }
  bool AwaitTold(const std::string& what, int times = 1,
                 io::Duration at_most = seconds(30)) {
    return world_.RunUntil(
        [&] {
          return std::count(told_.log.begin(), told_.log.end(), what) >= times;
        },
        at_most);
  }

  World world_;
  Network network_;
  Host first_;
  Host second_;
  Host host_;
  MasterScript script_;
  Told told_;
  scheduler::DriverOptions options_;
  Process* master_process_ = nullptr;
};

TEST_F(SchedulerTest, SubscribesAndCallsInJson) {
  SchedulerMaster& master = StartMaster(first_, &script_);
  StartRecorder();
  ASSERT_TRUE(AwaitTold("subscribed framework-1"));
  master.SendUpdate(mesos::v1::TASK_RUNNING, "0123456789abcdef");
  ASSERT_TRUE(AwaitTold("UPDATE"));
  ASSERT_TRUE(
      world_.RunUntil([&] { return script_.calls.size() == 2; }, seconds(5)));
  const Call& acknowledge = script_.calls[1];
  EXPECT_EQ(acknowledge.type(), Call::ACKNOWLEDGE);
  EXPECT_EQ(acknowledge.framework_id().value(), "framework-1");
  EXPECT_EQ(acknowledge.acknowledge().uuid(), "0123456789abcdef");
  EXPECT_EQ(script_.stream_ids, std::vector<std::string>{"stream-1"});
  EXPECT_EQ(script_.content_types, std::set<std::string>{"application/json"});
  // Without uuid there is nothing to acknowledge.
  master.SendUpdate(mesos::v1::TASK_RUNNING, "");
  ASSERT_TRUE(AwaitTold("UPDATE", 2));
  world_.RunFor(seconds(1));
  EXPECT_EQ(script_.calls.size(), 2u);
}

TEST_F(SchedulerTest, SpeaksProtobuf) {
  options_.media = api::MediaType::kProtobuf;
  StartMaster(first_, &script_);
  StartRecorder();
  ASSERT_TRUE(AwaitTold("subscribed framework-1"));
  EXPECT_EQ(script_.content_types,
            std::set<std::string>{"application/x-protobuf"});
}

TEST_F(SchedulerTest, ComesBackWithItsIdWhenTheMasterDies) {
  StartMaster(first_, &script_);
  Recorder& recorder = StartRecorder();
  ASSERT_TRUE(AwaitTold("subscribed framework-1"));
  master_process_->Kill();
  ASSERT_TRUE(AwaitTold("disconnected"));
  EXPECT_FALSE(recorder.driver.subscribed());
  EXPECT_TRUE(absl::IsUnavailable(recorder.driver.Send(Call())));
  world_.RunFor(seconds(20));
  StartMaster(first_, &script_);
  ASSERT_TRUE(AwaitTold("subscribed framework-1", 2));
  const Call& again = script_.calls.back();
  EXPECT_EQ(again.framework_id().value(), "framework-1");
  EXPECT_EQ(again.subscribe().framework_info().id().value(), "framework-1");
  EXPECT_EQ(told_.log,
            (std::vector<std::string>{"subscribed framework-1", "disconnected",
                                      "subscribed framework-1"}));
}

// A framework without failover_timeout is removed when its stream ends: the new
// one is there before.
TEST_F(SchedulerTest, SubscribesAnewWhenACallIsNotAnswered) {
  script_.answers_calls = false;
  SchedulerMaster& master = StartMaster(first_, &script_);
  Recorder& recorder = StartRecorder();
  ASSERT_TRUE(AwaitTold("subscribed framework-1"));
  ASSERT_TRUE(recorder.driver.Send(Call()).ok());
  ASSERT_TRUE(AwaitTold("disconnected", 1, seconds(60)));
  // Nobody hears what the old stream says.
  master.SendOffer("o", 1);
  ASSERT_TRUE(AwaitTold("subscribed framework-1", 2));
  EXPECT_EQ(script_.streams_left, 0);
  EXPECT_EQ(script_.calls.back().framework_id().value(), "framework-1");
  master.SendOffer("p", 1);
  ASSERT_TRUE(AwaitTold("OFFERS"));
  EXPECT_EQ(told_.log,
            (std::vector<std::string>{"subscribed framework-1", "disconnected",
                                      "subscribed framework-1", "OFFERS"}));
}

TEST_F(SchedulerTest, SoManyCallsMayWait) {
  script_.answers_calls = false;
  StartMaster(first_, &script_);
  Recorder& recorder = StartRecorder();
  ASSERT_TRUE(AwaitTold("subscribed framework-1"));
  for (int i = 0; i < 10000; ++i) {
    ASSERT_TRUE(recorder.driver.Send(Call()).ok());
  }
  EXPECT_TRUE(absl::IsResourceExhausted(recorder.driver.Send(Call())));
  EXPECT_TRUE(recorder.driver.subscribed());
}

TEST_F(SchedulerTest, FollowsARedirect) {
  MasterScript standby;
  standby.subscribe_status = 307;
  standby.location = "//10.0.0.2:5050/master/api/v1/scheduler";
  StartMaster(first_, &standby);
  StartMaster(second_, &script_);
  StartRecorder();
  ASSERT_TRUE(AwaitTold("subscribed framework-1"));
  EXPECT_EQ(standby.calls.size(), 1u);
  EXPECT_EQ(script_.calls.size(), 1u);
}

TEST_F(SchedulerTest, AReignThatIsOverIsLeft) {
  script_.reign = "00ff/0/9";
  SchedulerMaster& master = StartMaster(first_, &script_);
  StartRecorder();
  ASSERT_TRUE(AwaitTold("subscribed framework-1"));
  script_.reign = "00ff/0/8";
  master.EndStream();
  EXPECT_FALSE(AwaitTold("subscribed framework-1", 2));
  EXPECT_GT(script_.calls.size(), 2u);
  script_.reign = "00ff/1/3";
  EXPECT_TRUE(AwaitTold("subscribed framework-1", 2));
  master.EndStream();
  // Another cluster counts anew.
  script_.reign = "00aa/0/1";
  EXPECT_TRUE(AwaitTold("subscribed framework-1", 3));
}

TEST_F(SchedulerTest, RedirectsInACircleEndInPatience) {
  script_.subscribe_status = 307;
  script_.location = "//10.0.0.1:5050/";
  StartMaster(first_, &script_);
  StartRecorder();
  world_.RunFor(seconds(60));
  EXPECT_LT(script_.calls.size(), 200u);
  script_.subscribe_status = 200;
  ASSERT_TRUE(AwaitTold("subscribed framework-1"));
}

TEST_F(SchedulerTest, WaitsForAMasterThatIsNotReady) {
  script_.subscribe_status = 503;
  script_.text = "No leader elected";
  StartMaster(first_, &script_);
  StartRecorder();
  world_.RunFor(seconds(60));
  EXPECT_TRUE(told_.log.empty());
  EXPECT_GT(script_.calls.size(), 10u);
  EXPECT_LT(script_.calls.size(), 30u);
  script_.subscribe_status = 200;
  ASSERT_TRUE(AwaitTold("subscribed framework-1"));
}

TEST_F(SchedulerTest, ARefusalIsFinal) {
  script_.subscribe_status = 400;
  script_.text = "no user";
  StartMaster(first_, &script_);
  StartRecorder();
  ASSERT_TRUE(AwaitTold("error 400 no user"));
  world_.RunFor(seconds(60));
  EXPECT_EQ(script_.calls.size(), 1u);
}

TEST_F(SchedulerTest, AnErrorEventIsFinal) {
  SchedulerMaster& master = StartMaster(first_, &script_);
  StartRecorder();
  ASSERT_TRUE(AwaitTold("subscribed framework-1"));
  Event event;
  event.set_type(Event::ERROR);
  event.mutable_error()->set_message("Framework failed over");
  master.Send(event);
  ASSERT_TRUE(AwaitTold("error Framework failed over"));
  world_.RunFor(seconds(60));
  EXPECT_EQ(script_.calls.size(), 1u);
}

TEST_F(SchedulerTest, WithoutHeartbeatsItSubscribesAnew) {
  script_.heartbeats = false;
  StartMaster(first_, &script_);
  StartRecorder();
  ASSERT_TRUE(AwaitTold("subscribed framework-1"));
  world_.RunFor(seconds(74));
  EXPECT_EQ(script_.calls.size(), 1u);
  world_.RunFor(seconds(2));
  EXPECT_EQ(script_.calls.size(), 2u);
}

TEST_F(SchedulerTest, WhatIsNotRecordIoBreaksTheStreamOnly) {
  SchedulerMaster& master = StartMaster(first_, &script_);
  StartRecorder();
  ASSERT_TRUE(AwaitTold("subscribed framework-1"));
  Event broken;  // Not an event: no type, and an unset required field.
  broken.mutable_rescind();
  master.Send(broken);
  ASSERT_TRUE(AwaitTold("disconnected"));
  ASSERT_TRUE(AwaitTold("subscribed framework-1", 2));
}

// -----------------------------------------------------------------------------
// mesos-execute

class ExecuteTest : public SchedulerTest {
 protected:
  ExecuteTest() {
    execute_.master = options_.master;
    execute_.name = "hello";
    execute_.command = "echo hello";
    execute_.user = "root";
  }

  class Main final : public Program {
   public:
    Main(io::Environment& environment, const scheduler::ExecuteOptions& options,
         std::vector<std::string>* lines)
        : execute_(environment, options, [lines](const std::string& line) {
            lines->push_back(line);
          }) {
      const absl::Status started = execute_.Start();
      if (!started.ok()) {
        environment.Exit(io::kExitFailure, started.message());
      }
    }

   private:
    scheduler::Execute execute_;
  };

  Process& StartExecute() {
    return host_.Start("execute", [this](io::Environment& environment) {
      return std::make_unique<Main>(environment, execute_, &lines_);
    });
  }
  const Call* FindCall(Call::Type type) {
    for (const Call& call : script_.calls) {
      if (call.type() == type) return &call;
    }
    return nullptr;
  }
  bool AwaitCall(Call::Type type) {
    return world_.RunUntil([&] { return FindCall(type) != nullptr; },
                           seconds(60));
  }
  bool AwaitEnd(Process& process) {
    return world_.RunUntil([&] { return process.ended().has_value(); },
                           seconds(60));
  }

  scheduler::ExecuteOptions execute_;
  std::vector<std::string> lines_;
};

TEST_F(ExecuteTest, RunsACommandOnTheFirstOfferThatSuffices) {
  SchedulerMaster& master = StartMaster(first_, &script_);
  Process& execute = StartExecute();
  ASSERT_TRUE(AwaitCall(Call::SUBSCRIBE));
  master.SendOffer("small", 0.5);
  master.SendOffer("large", 2);
  ASSERT_TRUE(AwaitCall(Call::ACCEPT));
  const Call& decline = *FindCall(Call::DECLINE);
  EXPECT_EQ(decline.decline().offer_ids(0).value(), "small");
  const Call& accept = *FindCall(Call::ACCEPT);
  EXPECT_EQ(accept.accept().offer_ids(0).value(), "large");
  const auto& task = accept.accept().operations(0).launch().task_infos(0);
  EXPECT_EQ(task.task_id().value(), "hello");
  EXPECT_EQ(task.command().value(), "echo hello");
  EXPECT_EQ(task.resources_size(), 2);
  EXPECT_EQ(task.resources(0).allocation_info().role(), "*");
  master.SendUpdate(mesos::v1::TASK_RUNNING, "0123456789abcdef");
  master.SendUpdate(mesos::v1::TASK_RUNNING, "0123456789abcdef");
  master.SendUpdate(mesos::v1::TASK_FINISHED, "fedcba9876543210");
  ASSERT_TRUE(AwaitEnd(execute));
  EXPECT_EQ(execute.ended()->code, 0) << execute.ended()->message;
  EXPECT_NE(FindCall(Call::ACKNOWLEDGE), nullptr);
  EXPECT_NE(FindCall(Call::TEARDOWN), nullptr);
  ASSERT_EQ(lines_.size(), 4u);
  EXPECT_EQ(lines_[0], "Subscribed with ID framework-1");
  EXPECT_EQ(lines_[1], "Submitted task 'hello' to agent 'agent-1'");
  EXPECT_TRUE(absl::StartsWith(
      lines_[2], "Received status update TASK_RUNNING for task 'hello'"));
  EXPECT_TRUE(absl::StartsWith(
      lines_[3], "Received status update TASK_FINISHED for task 'hello'"));
}

TEST_F(ExecuteTest, FailsWithItsTask) {
  SchedulerMaster& master = StartMaster(first_, &script_);
  Process& execute = StartExecute();
  ASSERT_TRUE(AwaitCall(Call::SUBSCRIBE));
  master.SendOffer("large", 2);
  ASSERT_TRUE(AwaitCall(Call::ACCEPT));
  master.SendUpdate(mesos::v1::TASK_FAILED, "fedcba9876543210");
  ASSERT_TRUE(AwaitEnd(execute));
  EXPECT_EQ(execute.ended()->code, 1);
}

TEST_F(ExecuteTest, ReconcilesAfterAFailover) {
  SchedulerMaster& master = StartMaster(first_, &script_);
  StartExecute();
  ASSERT_TRUE(AwaitCall(Call::SUBSCRIBE));
  master.SendOffer("large", 2);
  ASSERT_TRUE(AwaitCall(Call::ACCEPT));
  master.SendUpdate(mesos::v1::TASK_RUNNING, "0123456789abcdef");
  world_.RunFor(seconds(1));
  master_process_->Kill();
  world_.RunFor(seconds(5));
  SchedulerMaster& next = StartMaster(first_, &script_);
  ASSERT_TRUE(AwaitCall(Call::RECONCILE));
  next.SendUpdate(mesos::v1::TASK_FINISHED, "fedcba9876543210");
  ASSERT_TRUE(AwaitCall(Call::TEARDOWN));
}

// The leader that took the launch died before it passed it on.
TEST_F(ExecuteTest, ALostLaunchIsRepeated) {
  SchedulerMaster& master = StartMaster(first_, &script_);
  StartExecute();
  ASSERT_TRUE(AwaitCall(Call::SUBSCRIBE));
  master.SendOffer("first", 2);
  ASSERT_TRUE(AwaitCall(Call::ACCEPT));
  ASSERT_TRUE(AwaitCall(Call::RECONCILE));  // Nothing was heard of it.
  script_.calls.clear();
  master.SendUpdate(mesos::v1::TASK_GONE, "",
                    mesos::v1::TaskStatus::REASON_RECONCILIATION);
  world_.RunFor(seconds(1));
  master.SendOffer("second", 2);
  ASSERT_TRUE(AwaitCall(Call::ACCEPT));
  EXPECT_EQ(FindCall(Call::ACCEPT)->accept().offer_ids(0).value(), "second");
}

TEST_F(ExecuteTest, KillsWhenItsTimeIsUp) {
  execute_.kill_after = seconds(5);
  SchedulerMaster& master = StartMaster(first_, &script_);
  StartExecute();
  ASSERT_TRUE(AwaitCall(Call::SUBSCRIBE));
  master.SendOffer("large", 2);
  ASSERT_TRUE(AwaitCall(Call::ACCEPT));
  ASSERT_TRUE(AwaitCall(Call::KILL));
  EXPECT_EQ(FindCall(Call::KILL)->kill().task_id().value(), "hello");
}

TEST_F(ExecuteTest, RefusesWhatCannotBe) {
  for (const auto& [environment, resources, text] :
       {std::tuple("[1]", "cpus:1", "JSON object"),
        std::tuple("{\"A\":1}", "cpus:1", "'A'"),
        std::tuple("", "cpus:x", "cpus")}) {
    execute_.environment = environment;
    execute_.resources = resources;
    Process& execute = StartExecute();
    ASSERT_TRUE(AwaitEnd(execute));
    EXPECT_EQ(execute.ended()->code, 1);
    EXPECT_TRUE(absl::StrContains(execute.ended()->message, text))
        << execute.ended()->message;
  }
}

}  // namespace
}  // namespace quorate::sim
