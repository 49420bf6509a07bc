// What the contract suites cannot see: signals, threads, sockets that
// misbehave, other processes.

#include <arpa/inet.h>
#include <glog/logging.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "prod/environment.h"

namespace quorate::prod {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class LoopTest : public testing::Test {
 protected:
  bool Await(const std::function<bool()>& done) {
    bool late = false;
    const io::Timer timer = loop_.RunAfter(seconds(60), [&] { late = true; });
    while (!late && !done()) {
      loop_.RunOnce();
      ++turns_;
    }
    return !late;
  }

  EventLoop loop_;
  int turns_ = 0;
};

// ---- The loop ----

using EventLoopTest = LoopTest;

TEST_F(EventLoopTest, PostKeepsTheOrderOfEachThread) {
  constexpr int kThreads = 4;
  constexpr int kPosts = 1000;
  std::map<int, std::vector<int>> seen;
  size_t total = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kPosts; ++i) {
        loop_.Post([&, t, i] {
          seen[t].push_back(i);
          ++total;
        });
      }
    });
  }
  EXPECT_TRUE(Await([&] { return total == kThreads * kPosts; }));
  for (std::thread& thread : threads) thread.join();
  for (const auto& [t, numbers] : seen) {
    ASSERT_EQ(numbers.size(), kPosts);
    EXPECT_TRUE(std::is_sorted(numbers.begin(), numbers.end()));
  }
}

TEST_F(EventLoopTest, NothingRunsAfterStop) {
  int ran = 0;
  for (int i = 0; i < 3; ++i) {
    loop_.Post([&] {
      ++ran;
      loop_.Stop();
    });
  }
  loop_.Run();
  EXPECT_EQ(ran, 1);
  loop_.Run();  // Is stopped for good.
  EXPECT_EQ(ran, 1);
}

TEST_F(EventLoopTest, SignalsAreCalledBack) {
  std::vector<int> seen;
  loop_.HandleSignals({SIGUSR1, SIGUSR2},
                      [&](int signal) { seen.push_back(signal); });
  kill(getpid(), SIGUSR2);
  EXPECT_TRUE(Await([&] { return seen.size() == 1; }));
  kill(getpid(), SIGUSR1);
  EXPECT_TRUE(Await([&] { return seen.size() == 2; }));
  EXPECT_EQ(seen, (std::vector<int>{SIGUSR2, SIGUSR1}));
}

TEST_F(EventLoopTest, AWatchThatIsGoneIsNotCalled) {
  int pipes[2][2];
  std::unique_ptr<FdWatch> watches[2];
  int calls = 0;
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(pipe(pipes[i]), 0);
    ASSERT_EQ(write(pipes[i][1], "x", 1), 1);
    // Both are due in the same turn; the first removes both.
    watches[i] =
        std::make_unique<FdWatch>(&loop_, pipes[i][0], EPOLLIN, [&](uint32_t) {
          ++calls;
          watches[0].reset();
          watches[1].reset();
        });
  }
  loop_.RunOnce();
  EXPECT_EQ(calls, 1);
  for (auto& pipe : pipes) {
    close(pipe[0]);
    close(pipe[1]);
  }
}

// Those that are always ready, each of which takes its time.
class BusyPipes {
 public:
  BusyPipes(EventLoop* loop, int count) {
    for (int i = 0; i < count; ++i) {
      int ends[2];
      PCHECK(pipe(ends) == 0 && write(ends[1], "x", 1) == 1);
      fds_.emplace_back(ends[0]);
      fds_.emplace_back(ends[1]);
      calls_.push_back(0);
      watches_.push_back(std::make_unique<FdWatch>(
          loop, ends[0], EPOLLIN, [=, this](uint32_t) {
            ++calls_[i];
            const io::Instant end = loop->Now() + milliseconds(1);
            while (loop->Now() < end) {
            }
          }));
    }
  }

  int calls() const { return std::reduce(calls_.begin(), calls_.end()); }
  int fewest_calls() const {
    return *std::min_element(calls_.begin(), calls_.end());
  }

 private:
  std::vector<UniqueFd> fds_;
  std::vector<int> calls_;
  std::vector<std::unique_ptr<FdWatch>> watches_;
};

TEST_F(EventLoopTest, TimersAndUrgentWatchesDoNotWaitForAFlood) {
  BusyPipes flood(&loop_, 100);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const UniqueFd urgent(ends[0]);
  const UniqueFd other(ends[1]);
  bool called = false;
  const FdWatch watch(
      &loop_, urgent.get(), EPOLLIN,
      [&](uint32_t) {
        char c;
        ASSERT_EQ(read(urgent.get(), &c, 1), 1);
        called = true;
      },
      FdWatch::Priority::kUrgent);
  loop_.RunOnce();  // The flood has begun.
  ASSERT_EQ(write(other.get(), "x", 1), 1);
  bool fired = false;
  const io::Timer timer =
      loop_.RunAfter(io::Duration::zero(), [&] { fired = true; });
  const int before = flood.calls();
  ASSERT_TRUE(Await([&] { return called && fired; }));
  EXPECT_LE(flood.calls() - before, 10);
}

TEST_F(EventLoopTest, AFloodIsServedInTurn) {
  BusyPipes flood(&loop_, 20);
  ASSERT_TRUE(Await([&] { return flood.calls() >= 100; }));
  EXPECT_GE(flood.fewest_calls(), 4);
}

TEST_F(EventLoopTest, ATimerWakesTheLoopInTime) {
  const io::Instant start = loop_.Now();
  bool fired = false;
  const io::Timer late = loop_.RunAfter(std::chrono::hours(1), [] {});
  const io::Timer timer =
      loop_.RunAfter(milliseconds(5), [&] { fired = true; });
  ASSERT_TRUE(Await([&] { return fired; }));
  EXPECT_LT(loop_.Now() - start, seconds(30));
  EXPECT_LT(turns_, 10) << "the loop spins";
}

TEST_F(EventLoopTest, SigpipeIsIgnored) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  EXPECT_EQ(write(ends[1], "x", 1), -1);
  EXPECT_EQ(errno, EPIPE);
  close(ends[1]);
}

TEST(EnvironmentDeathTest, ExitEndsTheProcessAfterTheRunningCallback) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto run = [] {
    EventLoop loop;
    Environment environment(&loop, {});
    std::vector<io::Timer> timers;
    timers.push_back(loop.RunAfter(milliseconds(0), [&] {
      environment.Exit(io::kExitLostLeadership, "lost the leadership");
      environment.Exit(io::kExitFailure, "too late");
    }));
    timers.push_back(loop.RunAfter(milliseconds(0), [] { abort(); }));
    environment.Run();
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(io::kExitLostLeadership),
              "lost the leadership");
}

// ---- TCP ----

struct Recorder final : io::Connection::Listener {
  void OnData(absl::string_view bytes) override {
    received.append(bytes.data(), bytes.size());
  }
  void OnClosed(const absl::Status& reason) override { closed = reason; }
  std::string received;
  std::optional<absl::Status> closed;
};

// A server whose sockets the test handles itself.
class TcpTest : public LoopTest {
 protected:
  void Listen(int backlog) {
    listener_.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* address = reinterpret_cast<sockaddr*>(&address_);
    ASSERT_EQ(bind(listener_.get(), address, sizeof(address_)), 0);
    ASSERT_EQ(listen(listener_.get(), backlog), 0);
    socklen_t size = sizeof(address_);
    ASSERT_EQ(getsockname(listener_.get(), address, &size), 0);
  }
  io::Endpoint endpoint() const {
    return {"127.0.0.1", ntohs(address_.sin_port)};
  }
  UniqueFd ConnectSocket(int flags, uint16_t port) {
    UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
    sockaddr_in to = address_;
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(port);
    connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to));
    return fd;
  }
  // A connection of ours to a socket of the server.
  void Open(UniqueFd* server) {
    Listen(16);
    connector_ = network_.Connect(endpoint(), seconds(60), [&](auto result) {
      ASSERT_TRUE(result.ok()) << result.status();
      connection_ = *std::move(result);
      connection_->Start(&recorder_);
    });
    ASSERT_TRUE(Await([&] { return connection_ != nullptr; }));
    server->reset(accept(listener_.get(), nullptr, nullptr));
  }

  TcpNetwork network_{&loop_};
  UniqueFd listener_;
  sockaddr_in address_ = {};
  std::unique_ptr<io::Connector> connector_;
  std::unique_ptr<io::Connection> connection_;
  Recorder recorder_;
};

TEST_F(TcpTest, ConnectTimesOut) {
  // A full backlog drops whoever asks next.
  Listen(0);
  std::vector<UniqueFd> fill;
  for (int i = 0; i < 3; ++i) {
    fill.push_back(ConnectSocket(SOCK_NONBLOCK, ntohs(address_.sin_port)));
  }
  std::optional<absl::Status> status;
  const auto connector =
      network_.Connect(endpoint(), milliseconds(50),
                       [&](auto result) { status = result.status(); });
  ASSERT_TRUE(Await([&] { return status.has_value(); }));
  EXPECT_TRUE(absl::IsDeadlineExceeded(*status)) << *status;
}

TEST_F(TcpTest, AResetIsNoticedWhilePaused) {
  UniqueFd server;
  Open(&server);
  connection_->PauseReading();
  const linger reset = {1, 0};
  setsockopt(server.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
  server.reset();
  ASSERT_TRUE(Await([&] { return recorder_.closed.has_value(); }));
  EXPECT_TRUE(absl::IsUnavailable(*recorder_.closed)) << *recorder_.closed;
}

// A server that answers without reading all of the request, then closes, is
// understood, though our writing fails.
TEST_F(TcpTest, AnAnswerBeforeAResetIsDelivered) {
  UniqueFd server;
  Open(&server);
  const std::string request(1 << 20, 'x');
  connection_->Write(request);
  char byte;
  ASSERT_TRUE(Await([&] {
    return recv(server.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 1;
  }));
  ASSERT_EQ(send(server.get(), "too large", 9, 0), 9);
  server.reset();
  connection_->Write(request);
  ASSERT_TRUE(Await([&] { return recorder_.closed.has_value(); }));
  EXPECT_EQ(recorder_.received, "too large");
  EXPECT_TRUE(absl::IsUnavailable(*recorder_.closed)) << *recorder_.closed;
}

TEST_F(TcpTest, RunningOutOfDescriptorsOnlyDelaysConnections) {
  std::vector<std::unique_ptr<io::Connection>> accepted;
  const auto acceptor = *network_.Listen(
      {"127.0.0.1", 0},
      [&](auto connection) { accepted.push_back(std::move(connection)); });
  const UniqueFd client = ConnectSocket(0, acceptor->local().port);
  rlimit limit;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit exhausted = {0, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &exhausted), 0);
  bool over = false;
  const io::Timer timer =
      loop_.RunAfter(milliseconds(250), [&] { over = true; });
  EXPECT_TRUE(Await([&] { return over; }));
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_TRUE(accepted.empty());
  EXPECT_LT(turns_, 20) << "the loop spins";
  EXPECT_TRUE(Await([&] { return accepted.size() == 1; }));
}

// ---- Files ----

class PosixDiskTest : public testing::Test {
 protected:
  PosixDiskTest() { EXPECT_NE(mkdtemp(folder_.data()), nullptr); }
  ~PosixDiskTest() override { EXPECT_TRUE(disk_.RemoveTree(folder_).ok()); }

  PosixDisk disk_;
  std::string folder_ = testing::TempDir() + "/diskXXXXXX";
};

TEST_F(PosixDiskTest, LocksExcludeOtherProcessesUntilTheyDie) {
  const std::string path = folder_ + "/lock";
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t holder = fork();
  if (holder == 0) {
    const auto lock = disk_.Lock(path);
    (void)!write(ready[1], lock.ok() ? "+" : "-", 1);
    while (true) pause();
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_EQ(byte, '+');
  EXPECT_TRUE(absl::IsFailedPrecondition(disk_.Lock(path).status()));
  kill(holder, SIGKILL);
  waitpid(holder, nullptr, 0);
  EXPECT_TRUE(disk_.Lock(path).ok());
  close(ready[0]);
  close(ready[1]);
}

TEST_F(PosixDiskTest, APipeIsNotAFileAndDoesNotBlock) {
  const std::string path = folder_ + "/pipe";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(disk_.ReadFile(path).status()));
  EXPECT_EQ(disk_.Stat(path)->type, io::FileInfo::Type::kOther);
}

}  // namespace
}  // namespace quorate::prod
