// What the contract suite cannot see: real processes, and launchers that die.
//
// This program is also the launcher: with the arguments FOLDER ID SCRIPT
// [nested] it launches one container, prints its pid and stays.

#include "prod/containers.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <climits>
#include <csignal>
#include <iostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "prod/disk.h"

namespace quorate::prod {
namespace {

io::ContainerSpec Spec(const std::string& folder, const std::string& id,
                       const std::string& script) {
  io::ContainerSpec spec;
  spec.id = id;
  spec.program = "/bin/sh";
  spec.arguments = {"sh", "-c", script};
  spec.environment = {{"PATH", "/usr/bin:/bin"}};
  spec.directory = folder;
  spec.stdout_path = absl::StrCat(folder, "/", id, ".out");
  spec.stderr_path = absl::StrCat(folder, "/", id, ".err");
  return spec;
}

int RunLauncher(const std::vector<std::string>& arguments) {
  EventLoop loop;
  ProcessContainers containers(&loop, arguments[0] + "/records");
  io::ContainerSpec spec = Spec(arguments[0], arguments[1], arguments[2]);
  spec.nested = arguments.size() > 3;
  containers.Launch(spec, [](auto launched) {
    std::cout << (launched.ok() ? launched->pid : -1) << std::endl;
  });
  loop.Run();
  return 0;
}

bool Runs(pid_t pid) {
  const auto stat = ReadProcessStat(pid);
  return stat.has_value() && !stat->zombie();
}

class ProcessContainersTest : public testing::Test {
 protected:
  ProcessContainersTest() {
    std::string name = testing::TempDir() + "/containersXXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    folder_ = PosixDisk().RealPath(name).value();
    char self[PATH_MAX] = "";
    EXPECT_GT(readlink("/proc/self/exe", self, sizeof(self) - 1), 0);
    self_ = self;
    Restart();
  }
  ~ProcessContainersTest() override {
    EXPECT_TRUE(PosixDisk().RemoveTree(folder_).ok());
  }

  void Restart() {
    containers_.reset();
    containers_ =
        std::make_unique<ProcessContainers>(&loop_, folder_ + "/records");
  }

  // Polls, as there is nothing else to be told of strangers by.
  bool Await(const std::function<bool()>& done) {
    bool late = false;
    const io::Timer timer =
        loop_.RunAfter(std::chrono::seconds(60), [&] { late = true; });
    while (!late && !done()) {
      const io::Timer tick =
          loop_.RunAfter(std::chrono::milliseconds(1), [] {});
      loop_.RunOnce();
    }
    return !late;
  }

  absl::StatusOr<io::ContainerInfo> Launch(const io::ContainerSpec& spec) {
    std::optional<absl::StatusOr<io::ContainerInfo>> result;
    containers_->Launch(spec, [&](auto launched) { result = launched; });
    if (!Await([&] { return result.has_value(); })) {
      return absl::DeadlineExceededError("Launch");
    }
    return *result;
  }

  std::optional<int> Wait(const std::string& id) {
    std::optional<io::ContainerExit> exit;
    containers_->Wait(id, [&](const io::ContainerExit& e) { exit = e; });
    EXPECT_TRUE(Await([&] { return exit.has_value(); }));
    return exit->wait_status;
  }

  size_t Count() {
    std::optional<size_t> count;
    containers_->List([&](auto list) { count = list.value().size(); });
    EXPECT_TRUE(Await([&] { return count.has_value(); }));
    return *count;
  }

  std::string Output(const std::string& id) {
    return PosixDisk()
        .ReadFile(absl::StrCat(folder_, "/", id, ".out"))
        .value_or("");
  }
  // The number that the container prints.
  pid_t PrintedPid(const std::string& id) {
    pid_t pid = 0;
    EXPECT_TRUE(Await([&] {
      const std::string output = Output(id);
      return absl::EndsWith(output, "\n") && absl::SimpleAtoi(output, &pid);
    }));
    return pid;
  }

  // A launcher as a process of its own, and the container that it launched.
  struct Launched {
    pid_t launcher = 0;
    pid_t leader = 0;
  };
  Launched StartLauncher(std::vector<std::string> arguments) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    Launched result;
    arguments.insert(arguments.begin(), {self_, folder_});
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    result.launcher = fork();
    if (result.launcher == 0) {
      dup2(ends[1], STDOUT_FILENO);
      execv(self_.c_str(), argv.data());
      _exit(1);
    }
    close(ends[1]);
    char line[32] = "";
    EXPECT_GT(read(ends[0], line, sizeof(line) - 1), 0);
    EXPECT_TRUE(absl::SimpleAtoi(line, &result.leader));
    EXPECT_GT(result.leader, 0);
    close(ends[0]);
    return result;
  }
  void Kill(pid_t child) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }

  void WriteRecord(const std::string& id, const std::string& text) {
    const std::string path = folder_ + "/records/" + id + ".container";
    ASSERT_TRUE(PosixDisk().MakeDirectories(folder_ + "/records").ok());
    ASSERT_TRUE(PosixDisk().WriteFileDurably(path, text).ok());
  }

  EventLoop loop_;
  std::string folder_;
  std::string self_;
  std::unique_ptr<ProcessContainers> containers_;
};

// ---- What a program finds ----

TEST_F(ProcessContainersTest, AProgramGetsWhatTheSpecSaysAndNothingElse) {
  setenv("QUORATE_NOT_FOR_CONTAINERS", "1", 1);
  const UniqueFd open_here(dup(STDERR_FILENO));  // Without O_CLOEXEC.
  io::ContainerSpec spec =
      Spec(folder_, "a",
           "/usr/bin/env; pwd; wc -c; cd /proc/self/fd && echo fds *; "
           "grep -E 'Sig(Blk|Ign)' /proc/self/status");
  spec.environment["NAME"] = "some value";
  ASSERT_TRUE(Launch(spec).ok());
  EXPECT_EQ(Wait("a"), 0);
  const std::string output = Output("a");
  EXPECT_TRUE(absl::StrContains(output, "NAME=some value\n")) << output;
  EXPECT_FALSE(absl::StrContains(output, "QUORATE")) << output;
  EXPECT_TRUE(absl::StrContains(output, "\n" + folder_ + "\n0\n")) << output;
  EXPECT_TRUE(absl::StrContains(output, "\nfds 0 1 2\n") ||
              absl::StrContains(output, "\nfds 0 1 2 3\n"))
      << output;
  EXPECT_TRUE(absl::StrContains(output, "SigBlk:\t0000000000000000\n"))
      << output;
  // But for 32 and 33: they are glibc's own, which lets nobody touch them, and
  // whoever started this test may ignore them.
  uint64_t ignored = ~0;
  EXPECT_TRUE(absl::SimpleHexAtoi(
      output.substr(output.find("SigIgn:\t") + 8, 16), &ignored));
  EXPECT_EQ(ignored & ~0x180000000, 0) << output;
}

TEST_F(ProcessContainersTest, ProgramsAreLookedUpInThePathOfTheContainer) {
  ASSERT_TRUE(PosixDisk().MakeDirectories(folder_ + "/bin").ok());
  const std::string script = folder_ + "/bin/tool";
  ASSERT_TRUE(
      PosixDisk().WriteFileDurably(script, "#!/bin/sh\necho tool $1\n").ok());
  io::ContainerSpec spec = Spec(folder_, "a", "");
  spec.program = "tool";
  spec.arguments = {"tool", "x"};
  spec.environment["PATH"] = "/nowhere:" + folder_ + "/bin";
  EXPECT_TRUE(absl::IsPermissionDenied(Launch(spec).status()));
  ASSERT_EQ(chmod(script.c_str(), 0755), 0);
  ASSERT_TRUE(Launch(spec).ok());
  EXPECT_EQ(Wait("a"), 0);
  EXPECT_EQ(Output("a"), "tool x\n");
}

TEST_F(ProcessContainersTest, Users) {
  io::ContainerSpec spec = Spec(folder_, "a", "id -u; id -G");
  spec.user = "no-such-user";
  EXPECT_TRUE(absl::IsPermissionDenied(Launch(spec).status()));
  spec.user = "nobody";
  if (geteuid() != 0) {
    EXPECT_TRUE(absl::IsPermissionDenied(Launch(spec).status()));
    return;
  }
  // Nobody may not write here, and must not be helped by our rights.
  spec.directory = folder_ + "/work";
  ASSERT_TRUE(PosixDisk().MakeDirectories(spec.directory).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(Launch(spec).status()));
  // But the working directory is its own.
  ASSERT_EQ(chmod(folder_.c_str(), 0711), 0);
  spec.stdout_path = spec.directory + "/out";
  spec.stderr_path = spec.directory + "/err";
  const auto launched = Launch(spec);
  if (absl::IsPermissionDenied(launched.status())) {
    GTEST_SKIP() << "no way to the folder, or no such right, for nobody";
  }
  ASSERT_TRUE(launched.ok()) << launched.status();
  EXPECT_EQ(Wait("a"), 0);
  EXPECT_EQ(PosixDisk().ReadFile(spec.stdout_path).value(), "65534\n65534\n");
}

// ---- The end of all processes ----

TEST_F(ProcessContainersTest, WhatTheLeaderLeavesIsKilled) {
  ASSERT_TRUE(Launch(Spec(folder_, "a", "sleep 1000 & echo $!; exit 7")).ok());
  const auto status = Wait("a");
  ASSERT_TRUE(status.has_value() && WIFEXITED(*status));
  EXPECT_EQ(WEXITSTATUS(*status), 7);
  EXPECT_FALSE(Runs(PrintedPid("a")));
  EXPECT_EQ(Count(), 0);
}

TEST_F(ProcessContainersTest, DestroyReachesAllProcesses) {
  ASSERT_TRUE(Launch(Spec(folder_, "a",
                          "trap '' TERM; sh -c 'sleep 1000 & echo $!; wait'"))
                  .ok());
  const pid_t grandchild = PrintedPid("a");
  EXPECT_TRUE(containers_->Signal("a", SIGTERM).ok());
  EXPECT_TRUE(Runs(grandchild));
  containers_->Destroy("a");
  const auto status = Wait("a");
  ASSERT_TRUE(status.has_value() && WIFSIGNALED(*status));
  EXPECT_FALSE(Runs(grandchild));
}

TEST_F(ProcessContainersTest, DestroyWhileLaunching) {
  bool launched = false;
  containers_->Launch(Spec(folder_, "a", "sleep 1000"), [&](auto result) {
    EXPECT_TRUE(result.ok()) << result.status();
    launched = true;
  });
  containers_->Destroy("a");
  const auto status = Wait("a");
  EXPECT_TRUE(launched);
  ASSERT_TRUE(status.has_value() && WIFSIGNALED(*status));
  EXPECT_EQ(Count(), 0);
}

TEST_F(ProcessContainersTest, ManyAtOnce) {
  constexpr int kContainers = 50;
  int ended = 0;
  for (int i = 0; i < kContainers; ++i) {
    const std::string id = absl::StrCat("c", i);
    io::ContainerSpec spec = Spec(folder_, id, "exit 9");
    if (i % 5 == 0) spec.program = "/no/such/program";
    containers_->Launch(spec, [&, id, i](auto launched) {
      if (i % 5 == 0) {
        EXPECT_TRUE(absl::IsNotFound(launched.status()));
        ++ended;
        return;
      }
      ASSERT_TRUE(launched.ok()) << launched.status();
      containers_->Wait(id, [&](const io::ContainerExit& exit) {
        EXPECT_EQ(WEXITSTATUS(exit.wait_status.value_or(0)), 9);
        ++ended;
      });
    });
  }
  EXPECT_TRUE(Await([&] { return ended == kContainers; }));
  EXPECT_EQ(PosixDisk().List(folder_ + "/records")->size(), 0);
}

// ---- Nested ----

TEST_F(ProcessContainersTest, ANestedContainerDiesWithItsLauncher) {
  const Launched launched = StartLauncher({"n", "sleep 1000", "nested"});
  EXPECT_TRUE(Runs(launched.leader));
  Kill(launched.launcher);
  EXPECT_TRUE(Await([&] { return !Runs(launched.leader); }));
}

TEST_F(ProcessContainersTest, ANestedContainerIsPartOfTheOuterOne) {
  // The outer container is a launcher; its nested one has a child, too.
  io::ContainerSpec spec = Spec(folder_, "outer", "");
  spec.program = self_;
  spec.arguments = {self_, folder_ + "/inner", "n",
                    "trap '' TERM; sleep 1000 & echo $!; wait", "nested"};
  ASSERT_TRUE(PosixDisk().MakeDirectories(folder_ + "/inner").ok());
  ASSERT_TRUE(Launch(spec).ok());
  const pid_t nested = PrintedPid("outer");
  const pid_t child = PrintedPid("inner/n");
  EXPECT_NE(ReadProcessStat(nested)->group, ReadProcessStat(getpid())->group);
  EXPECT_EQ(ReadProcessStat(nested)->group, nested);
  containers_->Destroy("outer");
  const auto status = Wait("outer");
  ASSERT_TRUE(status.has_value() && WIFSIGNALED(*status));
  EXPECT_FALSE(Runs(nested));
  EXPECT_FALSE(Runs(child));
}

// ---- After a restart ----

TEST_F(ProcessContainersTest, ContainersOfADeadLauncherAreFound) {
  const Launched launched = StartLauncher({"a", "sleep 1000 & echo $!; wait"});
  const pid_t child = PrintedPid("a");
  Kill(launched.launcher);
  EXPECT_EQ(Count(), 1);
  EXPECT_TRUE(Runs(launched.leader) && Runs(child));
  bool ended = false;
  containers_->Wait("a", [&](const io::ContainerExit& exit) {
    EXPECT_FALSE(exit.wait_status.has_value());
    ended = true;
  });
  EXPECT_TRUE(containers_->Signal("a", SIGTERM).ok());
  EXPECT_TRUE(Await([&] { return ended; }));
  EXPECT_FALSE(Runs(launched.leader) || Runs(child));
  EXPECT_EQ(Count(), 0);
}

TEST_F(ProcessContainersTest, OrphansOfADeadLeaderAreKilled) {
  if (AutogroupOf(getpid()) == "-") GTEST_SKIP() << "no autogroups here";
  const Launched launched = StartLauncher({"a", "sleep 1000 & echo $!; wait"});
  const pid_t child = PrintedPid("a");
  Kill(launched.launcher);
  kill(launched.leader, SIGKILL);
  EXPECT_TRUE(Await([&] { return !Runs(launched.leader); }));
  EXPECT_TRUE(Runs(child));
  EXPECT_FALSE(Wait("a").has_value());
  EXPECT_FALSE(Runs(child));
  EXPECT_EQ(Count(), 0);
}

TEST_F(ProcessContainersTest, StrangersAreLeftAlone) {
  // A session whose leader has ended, as daemons have it.
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t leader = fork();
  if (leader == 0) {
    setsid();
    const pid_t daemon = fork();
    if (daemon == 0) {
      execlp("sleep", "sleep", "1000", nullptr);
      _exit(1);
    }
    (void)!write(ends[1], &daemon, sizeof(daemon));
    _exit(0);
  }
  pid_t daemon = 0;
  ASSERT_EQ(read(ends[0], &daemon, sizeof(daemon)), sizeof(daemon));
  waitpid(leader, nullptr, 0);
  const std::string rest = absl::StrCat(" ", BootId(), " session ");
  const uint64_t start = ReadProcessStat(daemon)->start_time;
  // Its pid, but older; its session's number, but another session; no
  // autogroup known; another boot; and no records at all.
  WriteRecord("a", absl::StrCat(daemon, " ", start - 1, rest, "-\n"));
  WriteRecord("b",
              absl::StrCat(leader, " ", start - 1, rest, "/autogroup-x\n"));
  WriteRecord("c", absl::StrCat(leader, " ", start - 1, rest, "-\n"));
  WriteRecord("d", absl::StrCat(daemon, " ", start, " boot session ",
                                AutogroupOf(daemon), "\n"));
  WriteRecord("e", "");
  WriteRecord("f", "1 2 3 4 5 6\n");
  EXPECT_EQ(Count(), 0);
  for (const char* id : {"a", "b", "c", "d", "e", "f"}) {
    EXPECT_TRUE(absl::IsNotFound(containers_->Signal(id, SIGKILL))) << id;
    containers_->Destroy(id);
    EXPECT_FALSE(Wait(id).has_value()) << id;
  }
  EXPECT_EQ(PosixDisk().List(folder_ + "/records")->size(), 0);
  EXPECT_TRUE(Runs(daemon));
  kill(daemon, SIGKILL);
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace quorate::prod

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc > 1) {
    return quorate::prod::RunLauncher({argv + 1, argv + argc});
  }
  return RUN_ALL_TESTS();
}
