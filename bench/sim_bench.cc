// How fast a cluster is simulated: simulated seconds in a second, events in a
// second and memory, beside a bare event loop that runs as many events. One
// thread; each line in a process of its own. Seconds are those of the
// processor, so that what else runs on the machine matters little.
//
//   ./dev bench sim_bench [--seconds=60] [--rounds=3] [--agents=100,1000,10000]
//                         [--load=idle,light,storm] [--refuse=5]
//
// The loads: "idle" has no tasks; "light" launches 10 tasks in a second;
// "storm" is the same under faults of every kind of the swarm. The framework
// refuses what it does not use for as long as frameworks that say nothing.

#include <glog/logging.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bench/floor/measure.h"
#include "sim/cluster.h"
#include "sim/swarm/weather.h"

namespace quorate::bench {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

constexpr int kMasters = 5;
constexpr uint64_t kSeed = 1;

struct Result {
  double simulated_s = 0;
  double processor_s = 0;
  double events = 0;
  double megabytes = 0;
  double floor_s = 0;  // of a bare loop with as many events
};

double ProcessorSeconds() {
  timespec time;
  CHECK_EQ(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time), 0);
  return static_cast<double>(time.tv_sec) +
         static_cast<double>(time.tv_nsec) * 1e-9;
}

// -----------------------------------------------------------------------------

// What any simulator has to do: a heap of callbacks, of which each plans the
// next one.
double BareLoop(int nodes, uint64_t events) {
  struct Event {
    uint64_t when;
    uint64_t id;
    std::function<void()> run;
    bool operator>(const Event& other) const {
      return when != other.when ? when > other.when : id > other.id;
    }
  };
  std::priority_queue<Event, std::vector<Event>, std::greater<>> queue;
  uint64_t now = 0;
  uint64_t id = 0;
  std::function<void(int)> tick = [&](int node) {
    const uint64_t delay = 1 + (id * 7919 + static_cast<uint64_t>(node)) % 1000;
    queue.push({now + delay, ++id, [&tick, node] { tick(node); }});
  };
  for (int node = 0; node < nodes; ++node) tick(node);
  const double begin = ProcessorSeconds();
  for (uint64_t i = 0; i < events; ++i) {
    Event event = queue.top();
    queue.pop();
    now = event.when;
    event.run();
  }
  return ProcessorSeconds() - begin;
}

sim::Plan StormPlan() {
  io::SeededRandom random(kSeed);
  sim::Plan plan;
  sim::Weather::Draw(random, plan);
  for (const sim::Plan::Knob& knob : plan.knobs()) {
    if (knob.kind != sim::Plan::Kind::kFault) continue;
    if (!plan.Set(knob.name, 20).ok()) Die(knob.name);
  }
  return plan;
}

void AddVictims(sim::Cluster& cluster, sim::Weather& weather) {
  const auto add = [&](sim::Node& node) {
    weather.Add({.host = &node,
                 .process = [&node] { return node.process(); },
                 .start = [&node] { node.Restart(); }});
  };
  for (sim::MasterNode* master : cluster.masters()) add(*master);
  for (sim::AgentNode* agent : cluster.agents()) add(*agent);
  add(cluster.framework());
}

void LaunchForEver(sim::World& world, sim::Cluster& cluster, int next) {
  cluster.framework().Launch(absl::StrCat("t", next), "sleep 3");
  world.After(100ms, "bench launches", [&world, &cluster, next] {
    LaunchForEver(world, cluster, next + 1);
  });
}

struct Setting {
  std::chrono::seconds seconds;
  uint64_t rounds;
  double refuse_seconds;
};

Result Simulate(const std::string& load, int agents, const Setting& setting) {
  sim::World world(kSeed);
  world.max_events = UINT64_MAX;
  const sim::Plan plan = StormPlan();
  sim::Cluster cluster(
      world, {.masters = kMasters,
              .quorum = 3,
              .agents = agents,
              .framework = {.refuse_seconds = setting.refuse_seconds}});
  sim::Weather weather(world, cluster.network(), plan);
  cluster.AwaitRegistered(600s);
  if (world.failure()) Die(*world.failure());
  if (load == "storm") {
    AddVictims(cluster, weather);
    cluster.network().SetOptions(sim::Weather::NetworkOf(plan));
    weather.Begin();
  }
  if (load != "idle") LaunchForEver(world, cluster, 0);
  const uint64_t events = world.events();
  const double begin = ProcessorSeconds();
  world.RunFor(setting.seconds);
  Result result;
  result.processor_s = ProcessorSeconds() - begin;
  result.simulated_s = static_cast<double>(setting.seconds.count());
  result.events = static_cast<double>(world.events() - events);
  if (world.failure()) Die(*world.failure());
  return result;
}

// In a process of its own, for its memory.
Result Measure(const std::string& load, int agents, const Setting& setting) {
  int ends[2];
  if (pipe(ends) != 0) Die("pipe failed");
  const pid_t child = fork();
  if (child < 0) Die("fork failed");
  if (child == 0) {
    Result result = Simulate(load, agents, setting);
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    result.megabytes = static_cast<double>(usage.ru_maxrss) / 1024;
    result.floor_s =
        BareLoop(agents + kMasters, static_cast<uint64_t>(result.events));
    if (write(ends[1], &result, sizeof(result)) != sizeof(result)) _exit(1);
    _exit(0);
  }
  close(ends[1]);
  Result result;
  const ssize_t got = read(ends[0], &result, sizeof(result));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (got != sizeof(result) || status != 0) Die("a measurement failed");
  return result;
}

double Median(std::vector<Result>& results,
              const std::function<double(const Result&)>& figure) {
  std::vector<double> values;
  for (const Result& result : results) values.push_back(figure(result));
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void Line(const std::string& load, int agents, const Setting& setting) {
  std::vector<Result> results;
  for (uint64_t round = 0; round < setting.rounds; ++round) {
    results.push_back(Measure(load, agents, setting));
  }
  const double speed = Median(
      results, [](const Result& r) { return r.simulated_s / r.processor_s; });
  const double events =
      Median(results, [](const Result& r) { return r.events / r.processor_s; });
  const double floor =
      Median(results, [](const Result& r) { return r.events / r.floor_s; });
  const double memory =
      Median(results, [](const Result& r) { return r.megabytes; });
  std::printf("%-6s %7d %14.0f %12.0f %14.0f %8.2f %9.0f\n", load.c_str(),
              agents, speed, events, floor, events / floor, memory);
  std::fflush(stdout);
}

void Main(const Arguments& arguments) {
  const Setting setting = {
      .seconds = std::chrono::seconds(arguments.Number("seconds", 60)),
      .rounds = std::max<uint64_t>(1, arguments.Number("rounds", 3)),
      .refuse_seconds = static_cast<double>(arguments.Number("refuse", 5))};
  std::vector<int> sizes;
  const std::string agents =
      arguments.Has("agents") ? arguments.Text("agents") : "100,1000,10000";
  for (absl::string_view size : absl::StrSplit(agents, ',')) {
    sizes.push_back(0);
    if (!absl::SimpleAtoi(size, &sizes.back()) || sizes.back() < 1) {
      Die("--agents is a list of numbers, as in 100,1000");
    }
  }
  std::printf("%-6s %7s %14s %12s %14s %8s %9s\n", "load", "agents",
              "simulated s/s", "events/s", "bare events/s", "ratio", "MiB");
  const std::string loads =
      arguments.Has("load") ? arguments.Text("load") : "idle,light,storm";
  for (absl::string_view load : absl::StrSplit(loads, ',')) {
    Line(std::string(load), sizes.front(), setting);
  }
  for (size_t i = 1; i < sizes.size(); ++i) Line("light", sizes[i], setting);
}

}  // namespace
}  // namespace quorate::bench

int main(int argc, char** argv) {
  FLAGS_minloglevel = google::FATAL;
  // Each line that is not logged asks for the time zone all the same.
  setenv("TZ", "UTC0", 1);
  quorate::bench::Main(quorate::bench::Arguments(argc, argv));
  return 0;
}
