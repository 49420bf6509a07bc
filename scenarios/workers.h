// Processes that run jobs, one at a time each. A process that dies fails its
// job only; another takes its place.
//
//   Workers workers(4, options);
//   workers.Run(next, done, tick);

#ifndef QUORATE_SCENARIOS_WORKERS_H_
#define QUORATE_SCENARIOS_WORKERS_H_

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "scenarios/job.h"
#include "scenarios/options.h"
#include "sim/report/black_box.h"

namespace quorate::scenarios {

class Workers {
 public:
  using Next = std::function<std::optional<Job>()>;
  using Done = std::function<void(const Result&)>;

  // `options` outlives the workers. Without threads in this process, as they
  // are forks of it. OnCrash is theirs.
  Workers(int count, const Options& options);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Until `next` has no job and all are done. `tick` is called now and then,
  // several times a second.
  void Run(const Next& next, const Done& done,
           const std::function<void()>& tick);

 private:
  using RealTime = std::chrono::steady_clock::time_point;
  struct Worker {
    pid_t pid = 0;
    int jobs = -1;     // we write
    int results = -1;  // we read
    std::string unread;
    std::optional<Job> job;
    RealTime since;
    bool too_slow = false;
    std::optional<Result> last_words;  // of one that is dying
    std::unique_ptr<sim::BlackBox> box;
  };

  void Start(Worker& worker);
  void Stop(Worker& worker);
  void Give(Worker& worker, const Job& job);
  void Wait();
  void Read(Worker& worker, const Done& done);
  void OnLine(Worker& worker, const std::string& line, const Done& done);
  void OnDeath(Worker& worker, const Done& done);
  void EndSlow();

  const Options& options_;
  std::vector<Worker> workers_;
};

}  // namespace quorate::scenarios

#endif  // QUORATE_SCENARIOS_WORKERS_H_
