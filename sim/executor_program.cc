#include "sim/executor_program.h"

#include <map>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/api/executor.pb.h"
#include "core/api/media.h"
#include "core/executor/command_executor.h"
#include "core/http/client.h"
#include "core/scheduler/subscription.h"

namespace quorate::sim {
namespace {

using mesos::v1::executor::Call;
using std::chrono::seconds;

// The agent waits a minute for an executor to subscribe.
constexpr io::Duration kLatestStart = seconds(80);
constexpr io::Duration kLongestPause = seconds(30);
constexpr io::Duration kRepeatedWithin = seconds(2);
// How long the answer to a repeated or senseless request is waited for.
constexpr io::Duration kPatience = seconds(5);

// Writes some bytes over a connection of its own, and hears nothing.
class Utterance final : private io::Connection::Listener {
 public:
  Utterance(io::Environment& environment, const io::Endpoint& to,
            std::string bytes, std::function<void()> on_written)
      : bytes_(std::move(bytes)), on_written_(std::move(on_written)) {
    connector_ =
        environment.network().Connect(to, kPatience, [this](auto connected) {
          if (!connected.ok()) return;
          connection_ = *std::move(connected);
          connection_->Start(this);
          connection_->Write(bytes_);
          on_written_();
        });
    end_ = environment.clock().RunAfter(2 * kPatience, [this] { over = true; });
  }

  bool over = false;

 private:
  void OnData(absl::string_view) override {}
  void OnClosed(const absl::Status&) override { over = true; }

  const std::string bytes_;
  const std::function<void()> on_written_;
  std::unique_ptr<io::Connector> connector_;
  std::unique_ptr<io::Connection> connection_;
  io::Timer end_;
};

// Connections whose requests are told to somebody as well.
class OverheardNetwork final : public io::Network {
 public:
  using OnRequest =
      std::function<void(const io::Endpoint& to, absl::string_view bytes)>;

  OverheardNetwork(io::Network& network, OnRequest on_request)
      : network_(network), on_request_(std::move(on_request)) {}

  absl::StatusOr<std::unique_ptr<io::Acceptor>> Listen(
      const io::Endpoint& at, OnAccepted on_accepted) override {
    return network_.Listen(at, std::move(on_accepted));
  }

  std::unique_ptr<io::Connector> Connect(const io::Endpoint& to,
                                         io::Duration timeout,
                                         OnConnected on_connected) override {
    return network_.Connect(
        to, timeout,
        [this, on_connected = std::move(on_connected)](auto connected) {
          if (!connected.ok()) return on_connected(connected.status());
          on_connected(
              std::make_unique<Overheard>(*std::move(connected), on_request_));
        });
  }

 private:
  class Overheard final : public io::Connection {
   public:
    Overheard(std::unique_ptr<io::Connection> real, const OnRequest& on_request)
        : real_(std::move(real)), on_request_(on_request) {}

    void Start(Listener* listener) override { real_->Start(listener); }
    bool Write(absl::string_view bytes) override {
      on_request_(real_->peer(), bytes);
      return real_->Write(bytes);
    }
    size_t queued_bytes() const override { return real_->queued_bytes(); }
    void CloseWrite() override { real_->CloseWrite(); }
    void PauseReading() override { real_->PauseReading(); }
    void ResumeReading() override { real_->ResumeReading(); }
    io::Endpoint local() const override { return real_->local(); }
    io::Endpoint peer() const override { return real_->peer(); }

   private:
    const std::unique_ptr<io::Connection> real_;
    const OnRequest& on_request_;
  };

  io::Network& network_;
  const OnRequest on_request_;
};

// An environment with another network.
class Surroundings final : public io::Environment {
 public:
  Surroundings(io::Environment& real, OverheardNetwork::OnRequest on_request)
      : real_(real), network_(real.network(), std::move(on_request)) {}

  io::Clock& clock() override { return real_.clock(); }
  io::Network& network() override { return network_; }
  io::Disk& disk() override { return real_.disk(); }
  io::Random& random() override { return real_.random(); }
  io::Coordination& coordination() override { return real_.coordination(); }
  io::Containers& containers() override { return real_.containers(); }
  std::unique_ptr<io::Lane> NewLane(absl::string_view name) override {
    return real_.NewLane(name);
  }
  void Exit(int code, absl::string_view message) override {
    real_.Exit(code, message);
  }

 private:
  io::Environment& real_;
  OverheardNetwork network_;
};

// A request that no agent can make sense of, of several kinds.
constexpr uint64_t kKindsOfGarbage = 9;

std::string RandomBytes(io::Random& random) {
  std::string bytes(1 + random.Below(300), '\0');
  for (char& c : bytes) c = static_cast<char>(random.Below(256));
  return bytes;
}

Call SenselessCall(const executor::ExecutorOptions& options, uint64_t kind,
                   io::Random& random) {
  Call call;
  call.mutable_executor_id()->set_value(options.executor_id);
  call.mutable_framework_id()->set_value(options.framework_id);
  call.set_type(Call::UPDATE);
  if (kind == 0) return call;  // No update in it.
  auto& status = *call.mutable_update()->mutable_status();
  status.mutable_task_id()->set_value(options.executor_id);
  status.set_state(mesos::v1::TASK_RUNNING);
  status.set_source(mesos::v1::TaskStatus::SOURCE_EXECUTOR);
  status.set_uuid(random.UuidBytes());
  if (kind == 1) status.set_uuid("no uuid");
  if (kind == 2) status.set_source(mesos::v1::TaskStatus::SOURCE_MASTER);
  if (kind == 3) status.set_state(mesos::v1::TASK_STAGING);
  if (kind == 4) status.mutable_task_id()->set_value("../no task\n");
  if (kind == 5) call.mutable_framework_id()->set_value("no framework");
  if (kind == 6) status.mutable_executor_id()->set_value("somebody else");
  return call;
}

std::string HttpPost(const io::Endpoint& to, absl::string_view body,
                     size_t declared) {
  return absl::StrCat("POST /api/v1/executor HTTP/1.1\r\nHost: ", to.ToString(),
                      "\r\nContent-Type: application/json\r\n"
                      "Accept: application/json\r\nContent-Length: ",
                      declared, "\r\n\r\n", body);
}

std::string Garbage(const executor::ExecutorOptions& options,
                    io::Random& random) {
  const uint64_t kind = random.Below(kKindsOfGarbage);
  if (kind == 7) return RandomBytes(random);
  if (kind == 8) {
    const std::string body = RandomBytes(random);
    // Sometimes less is said than was promised.
    const size_t declared = body.size() + random.Below(2) * 100;
    return HttpPost(options.agent, body, declared);
  }
  const std::string body = api::SerializeBody(
      api::MediaType::kJson, SenselessCall(options, kind, random));
  return HttpPost(options.agent, body, body.size());
}

class ExecutorProgram final : public Program {
 public:
  ExecutorProgram(io::Environment& environment,
                  const std::map<std::string, std::string>& variables,
                  const ExecutorFaults& faults)
      : process_(static_cast<Process&>(environment)),
        faults_(faults),
        random_(process_.world().NewRandom(
            absl::StrCat("executor ", process_.name()))),
        surroundings_(environment,
                      [this](const io::Endpoint& to, absl::string_view bytes) {
                        Overhear(to, bytes);
                      }) {
    auto options = executor::OptionsFromEnvironment(variables);
    if (!options.ok()) {
      environment.Exit(io::kExitFailure, options.status().message());
      return;
    }
    options_ = *std::move(options);
    if (Draw(faults_.garbage)) TalkGarbage();
    if (!Draw(faults_.slow)) {
      Begin();
      return;
    }
    Took(Fault::kExecutorSlow);
    begin_ = process_.clock().RunAfter(
        random_->Between(io::Duration::zero(), kLatestStart), [this] {
          Begin();
          PauseLater();
        });
  }

 private:
  bool Draw(double chance) {
    return chance > 0 && random_->Fraction() < chance;
  }
  void Took(Fault fault) { process_.world().Took(fault, process_.name()); }

  void Begin() {
    const bool overheard = faults_.repeats > 0;
    role_ = std::make_unique<executor::CommandExecutor>(
        overheard ? static_cast<io::Environment&>(surroundings_) : process_,
        options_);
    role_->Start();
  }

  void PauseLater() {
    pause_ = process_.clock().RunAfter(
        random_->Between(io::Duration::zero(), kLongestPause), [this] {
          Took(Fault::kExecutorSlow);
          process_.Pause();
          process_.world().After(
              random_->Between(io::Duration::zero(), kLongestPause), "wakes",
              [&process = process_] { process.Resume(); });
          PauseLater();
        });
  }

  void TalkGarbage() {
    garbage_ = process_.clock().RunAfter(
        random_->Between(io::Duration::zero(), seconds(3)), [this] {
          Say(options_.agent, Garbage(options_, *random_),
              Fault::kExecutorGarbage);
          TalkGarbage();
        });
  }

  void Overhear(const io::Endpoint& to, absl::string_view bytes) {
    if (!absl::StartsWith(bytes, "POST ") || !Draw(faults_.repeats)) return;
    const uint64_t number = next_repetition_++;
    repetitions_[number] = process_.clock().RunAfter(
        random_->Between(io::Duration::zero(), kRepeatedWithin),
        [this, number, to, bytes = std::string(bytes)] {
          Say(to, bytes, Fault::kExecutorRepeats);
          repetitions_.erase(number);
        });
  }

  void Say(const io::Endpoint& to, const std::string& bytes, Fault fault) {
    std::erase_if(said_, [](const auto& utterance) { return utterance->over; });
    said_.push_back(std::make_unique<Utterance>(
        process_, to, bytes, [this, fault] { Took(fault); }));
  }

  Process& process_;
  const ExecutorFaults faults_;
  const std::unique_ptr<io::Random> random_;
  executor::ExecutorOptions options_;
  Surroundings surroundings_;
  io::Timer begin_, pause_, garbage_;
  uint64_t next_repetition_ = 0;
  std::map<uint64_t, io::Timer> repetitions_;
  std::vector<std::unique_ptr<Utterance>> said_;
  std::unique_ptr<executor::CommandExecutor> role_;
};

}  // namespace

ProgramFactory NewExecutorProgram(const io::ContainerSpec& spec,
                                  const ExecutorFaults& faults) {
  return [variables = spec.environment, faults](io::Environment& environment) {
    return std::make_unique<ExecutorProgram>(environment, variables, faults);
  };
}

}  // namespace quorate::sim
