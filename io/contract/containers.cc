#include "io/containers.h"

#include <sys/wait.h>

#include <csignal>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "io/contract/suites.h"

namespace quorate::io::contract {
namespace {

using absl::StatusCode;
using Names = std::vector<std::string>;

// Process 0 launches. The scripts keep to what both worlds' shells know: echo,
// sleep, exit, true, false, trap '' TERM, `;` and `&&`.
class Machine {
 public:
  explicit Machine(ContractWorld& world) : world_(world) {}

  Containers& containers() { return world_.environment(0).containers(); }
  bool Await(const std::function<bool()>& done) {
    return world_.RunUntil(done, kTimeout);
  }

  ContainerSpec Spec(const std::string& id, const std::string& script) {
    ContainerSpec spec;
    spec.id = id;
    spec.program = "/bin/sh";
    spec.arguments = {"sh", "-c", script};
    spec.environment = {{"PATH", "/usr/bin:/bin"}};
    spec.directory = world_.directory(0);
    spec.stdout_path = world_.directory(0) + "/" + id + ".out";
    spec.stderr_path = world_.directory(0) + "/" + id + ".err";
    return spec;
  }

  absl::StatusOr<ContainerInfo> Launch(const ContainerSpec& spec) {
    std::optional<absl::StatusOr<ContainerInfo>> result;
    containers().Launch(spec, [&](auto launched) { result = launched; });
    EXPECT_FALSE(result.has_value()) << "called from inside Launch";
    if (!Await([&] { return result.has_value(); })) {
      return absl::DeadlineExceededError("Launch does not call back");
    }
    return *result;
  }
  absl::StatusOr<ContainerInfo> Launch(const std::string& id,
                                       const std::string& script) {
    return Launch(Spec(id, script));
  }

  ContainerExit Wait(const std::string& id) {
    std::optional<ContainerExit> exit;
    containers().Wait(id, [&](const ContainerExit& e) { exit = e; });
    EXPECT_FALSE(exit.has_value()) << "called from inside Wait";
    EXPECT_TRUE(Await([&] { return exit.has_value(); }));
    return exit.value_or(ContainerExit{});
  }

  Names List() {
    std::optional<absl::StatusOr<std::vector<ContainerInfo>>> result;
    containers().List([&](auto list) { result = std::move(list); });
    EXPECT_FALSE(result.has_value()) << "called from inside List";
    EXPECT_TRUE(Await([&] { return result.has_value(); }));
    if (!result.has_value() || !result->ok()) return {"failed"};
    Names ids;
    for (const ContainerInfo& info : **result) ids.push_back(info.id);
    return ids;
  }

  std::string Output(const std::string& id) {
    std::string content;
    bool done = false;
    Environment& environment = world_.environment(0);
    const auto lane = environment.NewLane("contract");
    lane->Run(
        [&] {
          content = environment.disk()
                        .ReadFile(world_.directory(0) + "/" + id + ".out")
                        .value_or("missing");
        },
        [&] { done = true; });
    EXPECT_TRUE(Await([&] { return done; }));
    return content;
  }

  // The container has come as far as its first line of output.
  void AwaitOutput(const std::string& id) {
    for (int i = 0; i < 1000 && Output(id).empty(); ++i) Settle(world_);
    ASSERT_FALSE(Output(id).empty());
  }

 private:
  ContractWorld& world_;
};

testing::AssertionResult Exited(const ContainerExit& exit, int code) {
  if (!exit.wait_status.has_value()) {
    return testing::AssertionFailure() << "no status";
  }
  if (!WIFEXITED(*exit.wait_status) || WEXITSTATUS(*exit.wait_status) != code) {
    return testing::AssertionFailure() << "status " << *exit.wait_status;
  }
  return testing::AssertionSuccess();
}

testing::AssertionResult Killed(const ContainerExit& exit, int signal) {
  if (!exit.wait_status.has_value()) {
    return testing::AssertionFailure() << "no status";
  }
  if (!WIFSIGNALED(*exit.wait_status) ||
      WTERMSIG(*exit.wait_status) != signal) {
    return testing::AssertionFailure() << "status " << *exit.wait_status;
  }
  return testing::AssertionSuccess();
}

TEST_P(ContainersContract, ExitStatus) {
  Machine machine(world());
  const auto launched = machine.Launch("three", "exit 3");
  ASSERT_TRUE(launched.ok()) << launched.status();
  EXPECT_EQ(launched->id, "three");
  EXPECT_GT(launched->pid, 0);
  EXPECT_TRUE(Exited(machine.Wait("three"), 3));
  ASSERT_TRUE(machine.Launch("zero", "true").ok());
  EXPECT_TRUE(Exited(machine.Wait("zero"), 0));
  EXPECT_EQ(machine.List(), Names());
}

TEST_P(ContainersContract, AStatusIsKeptForALateWaiter) {
  Machine machine(world());
  ASSERT_TRUE(machine.Launch("late", "exit 4").ok());
  for (int i = 0; i < 1000 && !machine.List().empty(); ++i) Settle();
  EXPECT_TRUE(Exited(machine.Wait("late"), 4));
  // It was told: from now on the container is unknown.
  EXPECT_FALSE(machine.Wait("late").wait_status.has_value());
}

TEST_P(ContainersContract, OutputIsAppended) {
  Machine machine(world());
  ASSERT_TRUE(machine.Launch("a", "echo hello; echo world").ok());
  EXPECT_TRUE(Exited(machine.Wait("a"), 0));
  EXPECT_EQ(machine.Output("a"), "hello\nworld\n");
  ContainerSpec again = machine.Spec("b", "echo again");
  again.stdout_path = machine.Spec("a", "").stdout_path;
  ASSERT_TRUE(machine.Launch(again).ok());
  EXPECT_TRUE(Exited(machine.Wait("b"), 0));
  EXPECT_EQ(machine.Output("a"), "hello\nworld\nagain\n");
}

TEST_P(ContainersContract, LaunchRefusals) {
  Machine machine(world());
  ContainerSpec spec = machine.Spec("a", "true");
  spec.program = "/no/such/program";
  EXPECT_EQ(machine.Launch(spec).status().code(), StatusCode::kNotFound);
  spec.program = "no-such-program-in-path";
  EXPECT_EQ(machine.Launch(spec).status().code(), StatusCode::kNotFound);
  spec = machine.Spec("a", "true");
  spec.directory = world().directory(0) + "/missing";
  EXPECT_EQ(machine.Launch(spec).status().code(), StatusCode::kNotFound);
  for (const std::string& id :
       {std::string(), std::string("a/b"), std::string("."), std::string(".."),
        std::string("a b"), std::string(243, 'x')}) {
    spec = machine.Spec("a", "true");
    spec.id = id;
    EXPECT_EQ(machine.Launch(spec).status().code(),
              StatusCode::kInvalidArgument)
        << id;
  }
  EXPECT_EQ(machine.List(), Names());
  // An id whose launch failed may be used.
  EXPECT_TRUE(machine.Launch("a", "exit 5").ok());
  EXPECT_TRUE(Exited(machine.Wait("a"), 5));
}

TEST_P(ContainersContract, AnIdIsTakenOnce) {
  Machine machine(world());
  std::string longest(242, 'x');
  longest.replace(0, 8, "A-z.0_9.");
  ContainerSpec spec = machine.Spec("out", "sleep 1000");
  spec.id = longest;
  ASSERT_TRUE(machine.Launch(spec).ok());
  EXPECT_EQ(machine.Launch(spec).status().code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(machine.List(), Names{longest});
  machine.containers().Destroy(longest);
  EXPECT_TRUE(Killed(machine.Wait(longest), SIGKILL));
}

TEST_P(ContainersContract, Signals) {
  Machine machine(world());
  ASSERT_TRUE(machine.Launch("a", "echo up; sleep 1000").ok());
  machine.AwaitOutput("a");
  EXPECT_TRUE(machine.containers().Signal("a", SIGTERM).ok());
  EXPECT_TRUE(Killed(machine.Wait("a"), SIGTERM));
  EXPECT_EQ(machine.containers().Signal("a", SIGTERM).code(),
            StatusCode::kNotFound);
  EXPECT_EQ(machine.containers().Signal("unknown", SIGTERM).code(),
            StatusCode::kNotFound);
}

TEST_P(ContainersContract, DestroyEndsWhatIgnoresSignals) {
  Machine machine(world());
  ASSERT_TRUE(machine.Launch("a", "trap '' TERM; echo up; sleep 1000").ok());
  machine.AwaitOutput("a");
  EXPECT_TRUE(machine.containers().Signal("a", SIGTERM).ok());
  Settle();
  EXPECT_EQ(machine.List(), Names{"a"});
  machine.containers().Destroy("a");
  machine.containers().Destroy("a");
  machine.containers().Destroy("unknown");
  EXPECT_TRUE(Killed(machine.Wait("a"), SIGKILL));
  EXPECT_EQ(machine.List(), Names());
}

TEST_P(ContainersContract, UnknownContainersHaveEnded) {
  Machine machine(world());
  EXPECT_FALSE(machine.Wait("unknown").wait_status.has_value());
}

TEST_P(ContainersContract, ListIsSorted) {
  Machine machine(world());
  for (const char* id : {"b", "c", "a"}) {
    ASSERT_TRUE(machine.Launch(id, "sleep 1000").ok());
  }
  EXPECT_EQ(machine.List(), (Names{"a", "b", "c"}));
  machine.containers().Destroy("b");
  machine.Wait("b");
  EXPECT_EQ(machine.List(), (Names{"a", "c"}));
  for (const char* id : {"a", "c"}) {
    machine.containers().Destroy(id);
    machine.Wait(id);
  }
}

TEST_P(ContainersContract, ContainersOutliveTheProcess) {
  Machine machine(world());
  ASSERT_TRUE(machine.Launch("a", "echo up; sleep 1000").ok());
  ASSERT_TRUE(machine.Launch("b", "sleep 1000").ok());
  ASSERT_TRUE(machine.Launch("ended", "exit 1").ok());
  machine.AwaitOutput("a");
  machine.Wait("ended");
  bool called = false;
  machine.containers().Wait("a", [&](const auto&) { called = true; });
  world().Restart(0);

  EXPECT_EQ(machine.List(), (Names{"a", "b"}));
  EXPECT_EQ(machine.Launch("a", "true").status().code(),
            StatusCode::kAlreadyExists);
  EXPECT_TRUE(machine.containers().Signal("a", SIGTERM).ok());
  // The status may be lost: the parent is no more.
  const ContainerExit exit = machine.Wait("a");
  EXPECT_TRUE(!exit.wait_status.has_value() || Killed(exit, SIGTERM));
  EXPECT_EQ(machine.List(), Names{"b"});
  machine.containers().Destroy("b");
  machine.Wait("b");
  EXPECT_EQ(machine.List(), Names());
  EXPECT_FALSE(called);
}

TEST_P(ContainersContract, ContainersThatEndedMeanwhileAreNotListed) {
  Machine machine(world());
  const auto launched = machine.Launch("a", "echo up; sleep 1000");
  ASSERT_TRUE(launched.ok());
  machine.AwaitOutput("a");
  machine.containers().Destroy("a");
  world().Restart(0);
  for (int i = 0; i < 1000 && !machine.List().empty(); ++i) Settle();
  EXPECT_EQ(machine.List(), Names());
  EXPECT_EQ(machine.containers().Signal("a", SIGTERM).code(),
            StatusCode::kNotFound);
  (void)machine.Wait("a");
}

TEST_P(ContainersContract, NestedContainersHaveAStatusAsWell) {
  Machine machine(world());
  ContainerSpec spec = machine.Spec("nested", "echo up; sleep 1000");
  spec.nested = true;
  ASSERT_TRUE(machine.Launch(spec).ok());
  machine.AwaitOutput("nested");
  EXPECT_EQ(machine.List(), Names{"nested"});
  EXPECT_TRUE(machine.containers().Signal("nested", SIGTERM).ok());
  EXPECT_TRUE(Killed(machine.Wait("nested"), SIGTERM));
}

}  // namespace
}  // namespace quorate::io::contract
