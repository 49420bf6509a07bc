#include "scenarios/workers.h"

#include <fcntl.h>
#include <glog/logging.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace quorate::scenarios {
namespace {

// In a worker: where its results go.
int results_fd = -1;

void WriteAll(int fd, absl::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return;  // The reader is gone, and finds that out.
    text.remove_prefix(static_cast<size_t>(written));
  }
}

void Tell(const Result& result) {
  WriteAll(results_fd, absl::StrCat(ToLine(result), "\n"));
}

// A worker's life: jobs come as lines, "scenario seed", until there are none.
[[noreturn]] void Work(int jobs, const Options& options, sim::BlackBox& box) {
  OnCrash(&Tell);
  std::FILE* in = fdopen(jobs, "r");
  char line[100];
  while (std::fgets(line, sizeof line, in) != nullptr) {
    const std::pair<std::string, std::string> words =
        absl::StrSplit(absl::StripSuffix(line, "\n"), ' ');
    Job job;
    CHECK(absl::SimpleAtoi(words.first, &job.scenario) &&
          absl::SimpleAtoi(words.second, &job.seed))
        << line;
    box.Clear();
    Tell(RunJob(job, options, options.seed && options.shows(), &box));
  }
  _exit(0);
}

std::string HowItDied(int status) {
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    return absl::StrCat("the program died of signal ", signal, " (",
                        strsignal(signal), ")");
  }
  return absl::StrCat("the program exited with ", WEXITSTATUS(status));
}

}  // namespace

Workers::Workers(int count, const Options& options)
    : options_(options), workers_(static_cast<size_t>(count)) {
  for (Worker& worker : workers_) Start(worker);
}

Workers::~Workers() {
  for (Worker& worker : workers_) Stop(worker);
}

void Workers::Start(Worker& worker) {
  auto box = std::make_unique<sim::BlackBox>();
  int jobs[2];
  int results[2];
  PCHECK(pipe2(jobs, O_CLOEXEC) == 0 && pipe2(results, O_CLOEXEC) == 0);
  std::fflush(nullptr);
  const pid_t pid = fork();
  PCHECK(pid >= 0) << "fork";
  if (pid == 0) {
    // It ends with its parent. Ctrl-C goes to all: the parent decides.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_IGN);
    for (const Worker& other : workers_) {
      if (other.jobs >= 0) close(other.jobs);
      if (other.results >= 0) close(other.results);
    }
    close(jobs[1]);
    close(results[0]);
    results_fd = results[1];
    Work(jobs[0], options_, *box);
  }
  close(jobs[0]);
  close(results[1]);
  worker = Worker{};
  worker.pid = pid;
  worker.jobs = jobs[1];
  worker.results = results[0];
  worker.box = std::move(box);
}

void Workers::Stop(Worker& worker) {
  close(std::exchange(worker.jobs, -1));
  close(std::exchange(worker.results, -1));
  while (waitpid(worker.pid, nullptr, 0) < 0 && errno == EINTR) continue;
}

void Workers::Give(Worker& worker, const Job& job) {
  worker.job = job;
  worker.since = std::chrono::steady_clock::now();
  WriteAll(worker.jobs, absl::StrCat(job.scenario, " ", job.seed, "\n"));
}

void Workers::Run(const Next& next, const Done& done,
                  const std::function<void()>& tick) {
  signal(SIGPIPE, SIG_IGN);
  bool more = true;
  while (true) {
    for (Worker& worker : workers_) {
      if (worker.job || !more) continue;
      const std::optional<Job> job = next();
      more = job.has_value();
      if (job) Give(worker, *job);
    }
    const bool busy = std::any_of(
        workers_.begin(), workers_.end(),
        [](const Worker& worker) { return worker.job.has_value(); });
    if (!busy) return;
    Wait();
    for (Worker& worker : workers_) Read(worker, done);
    EndSlow();
    tick();
  }
}

// Until one of them has said something, or a moment has passed.
void Workers::Wait() {
  constexpr int kMomentMs = 100;
  std::vector<pollfd> waiting;
  for (const Worker& worker : workers_) {
    waiting.push_back({worker.results, POLLIN, 0});
  }
  poll(waiting.data(), waiting.size(), kMomentMs);
}

void Workers::Read(Worker& worker, const Done& done) {
  pollfd ready{worker.results, POLLIN, 0};
  while (poll(&ready, 1, 0) > 0) {
    char bytes[1 << 16];
    const ssize_t size = read(worker.results, bytes, sizeof bytes);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return OnDeath(worker, done);
    worker.unread.append(bytes, static_cast<size_t>(size));
    size_t end = 0;
    while ((end = worker.unread.find('\n')) != std::string::npos) {
      const std::string line = worker.unread.substr(0, end);
      worker.unread.erase(0, end + 1);
      OnLine(worker, line, done);
    }
  }
}

void Workers::OnLine(Worker& worker, const std::string& line,
                     const Done& done) {
  absl::StatusOr<Result> result = FromLine(line);
  CHECK(result.ok()) << result.status();
  // What a dying worker says counts when it is dead: until then nothing can be
  // given to it.
  if (result->ending == Ending::kCrash) {
    worker.last_words = *std::move(result);
    return;
  }
  worker.job.reset();
  done(*result);
}

void Workers::OnDeath(Worker& worker, const Done& done) {
  int status = 0;
  while (waitpid(worker.pid, &status, 0) < 0 && errno == EINTR) continue;
  close(worker.jobs);
  close(worker.results);
  const Worker dead = std::exchange(worker, Worker{});
  Start(worker);
  if (!dead.job) return;
  const std::vector<std::string> last = dead.box->LastNotes();
  if (dead.too_slow) {
    done(Failed(*dead.job, options_, Ending::kStuck,
                absl::StrCat("it ran for longer than ",
                             flags::ValueToText(options_.run_timeout),
                             " of real time (--run_timeout)"),
                last));
  } else {
    done(dead.last_words.value_or(
        Failed(*dead.job, options_, Ending::kCrash, HowItDied(status), last)));
  }
}

void Workers::EndSlow() {
  const auto now = std::chrono::steady_clock::now();
  for (Worker& worker : workers_) {
    if (!worker.job || worker.too_slow) continue;
    if (now - worker.since < options_.run_timeout) continue;
    worker.too_slow = true;
    kill(worker.pid, SIGKILL);
  }
}

}  // namespace quorate::scenarios
