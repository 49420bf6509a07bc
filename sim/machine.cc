#include "sim/machine.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "sim/containers.h"
#include "sim/coordination.h"
#include "sim/network.h"
#include "sim/process_disk.h"

namespace quorate::sim {
namespace {

// A process that was stopped for that long acts on what is no longer true.
constexpr io::Duration kZombieAfter = std::chrono::seconds(10);

const Process* running_process = nullptr;

}  // namespace

const Process* RunningProcess() { return running_process; }

Host::Host(World& world, Network& network, std::string name, std::string ip)
    : world_(world),
      network_(network),
      name_(std::move(name)),
      ip_(std::move(ip)),
      random_(world.NewRandom(absl::StrCat("host ", name_))),
      files_(world, name_),
      clock_(world, name_),
      containers_(std::make_unique<HostContainers>(*this)) {
  network_.Register(this);
}

Host::~Host() { TurnOff(); }

void Host::TurnOff() {
  up_ = false;
  if (asleep_) world_.Span(name_, "asleep", false);
  asleep_ = false;
  clock_.Wake();
  // Its processes are among those here.
  containers_->LosePower();
  // By index: an end that is told may start another process elsewhere.
  for (size_t i = 0; i < processes_.size(); ++i) processes_[i]->Vanish();
}

Process& Host::Start(const std::string& name, ProgramFactory factory) {
  CHECK(up_) << name_ << " has no power";
  processes_.push_back(std::make_unique<Process>(*this, name, ++started_));
  Process& process = *processes_.back();
  process.Begin(std::move(factory));
  return process;
}

void Host::LosePower() {
  world_.Note(name_, "loses power", uint64_t{0});
  world_.Took(Fault::kPowerLoss, name_);
  if (up_) world_.Span(name_, "no power", true);
  TurnOff();
  files_.LosePower(*random_);
}

void Host::Boot() {
  if (!up_) world_.Span(name_, "no power", false);
  up_ = true;
  Wake();
}

void Host::Suspend() {
  if (!up()) return;
  world_.Note(name_, "falls asleep", uint64_t{0});
  for (const auto& process : processes_) {
    if (!process->paused()) process->Stop();
  }
  asleep_ = true;
  world_.Span(name_, "asleep", true);
  clock_.Sleep();
}

void Host::Wake() {
  if (!asleep_) return;
  world_.Took(Fault::kSuspend, name_);
  asleep_ = false;
  world_.Span(name_, "asleep", false);
  clock_.Wake();
  // By index: what runs may start further processes.
  for (size_t i = 0; i < processes_.size(); ++i) {
    if (!processes_[i]->paused()) processes_[i]->Continue();
  }
}

// Timers are kept here, so that cancelling works while the process is paused
// and its timers wait to run.
class Process::VirtualClock final : public io::Clock {
 public:
  explicit VirtualClock(Process& process) : process_(process) {}

  io::Instant Now() const override { return host_clock().Now(); }
  io::WallTime WallNow() const override {
    if (process_.running_) host_clock().OnWallRead();
    return host_clock().WallNow();
  }
  void Clear() { timers_.clear(); }

 protected:
  uint64_t Schedule(io::Duration delay,
                    std::function<void()> callback) override {
    const uint64_t id = next_id_++;
    const io::Instant due = Now() + std::max(delay, io::Duration::zero());
    timers_[id] = {std::move(callback), due, 0};
    Arm(id);
    return id;
  }

  void Cancel(uint64_t id) override {
    auto timer = timers_.find(id);
    if (timer == timers_.end()) return;
    // What it holds may cancel further timers when it is destroyed.
    Pending dropped = std::move(timer->second);
    timers_.erase(timer);
    process_.world().Cancel(dropped.event);
  }

 private:
  struct Pending {
    std::function<void()> callback;
    io::Instant due;  // by this clock
    uint64_t event = 0;
  };

  HostClock& host_clock() const { return process_.host().clock(); }

  void Arm(uint64_t id) {
    Pending& timer = timers_.at(id);
    World& world = process_.world();
    timer.event = process_.Later(host_clock().WhenItIs(timer.due) - world.now(),
                                 "timer", [this, id] { Fire(id); });
  }

  void Fire(uint64_t id) {
    auto timer = timers_.find(id);
    if (timer == timers_.end()) return;
    // The clock has been slowed down or has stood still.
    if (Now() < timer->second.due) return Arm(id);
    host_clock().OnTimer();
    std::function<void()> due = std::move(timer->second.callback);
    timers_.erase(timer);
    due();
  }

  Process& process_;

  uint64_t next_id_ = 1;
  std::map<uint64_t, Pending> timers_;
};

// The blocking disk; each call has a cost in virtual time.
class Process::VirtualDisk final : public ProcessDisk {
 public:
  explicit VirtualDisk(Process& process)
      : ProcessDisk(
            process.host().files(),
            [&process](io::Duration cost) { return process.OnDiskCall(cost); },
            [&process] { return process.clock().WallNow(); }),
        process_(process) {}

  absl::StatusOr<std::unique_ptr<io::FileLock>> Lock(
      const std::string& path) override {
    auto held = ProcessDisk::Lock(path);
    if (absl::IsFailedPrecondition(held.status())) {
      process_.world().Took(Fault::kSecondProcess, process_.name());
    }
    return held;
  }

 private:
  Process& process_;
};

// Work runs inline at one instant; its result is told when its disk calls
// would have been over.
class Process::VirtualLane final : public io::Lane {
 public:
  explicit VirtualLane(Process& process) : process_(process) {}
  ~VirtualLane() override { *life_ = false; }

  void Run(std::function<void()> work, std::function<void()> done) override {
    queue_.push_back({std::move(work), std::move(done)});
    if (!busy_) Next();
  }

 private:
  struct Item {
    std::function<void()> work;
    std::function<void()> done;
  };

  void Next() {
    busy_ = true;
    process_.Later(std::chrono::microseconds(process_.fate().Below(20)),
                   "lane begins", [this, life = life_] {
                     if (*life) Work();
                   });
  }

  void Work() {
    Item item = std::move(queue_.front());
    queue_.pop_front();
    process_.disk_cost_ = io::Duration::zero();
    item.work();
    process_.Later(process_.disk_cost_, "lane ends",
                   [this, life = life_, done = std::move(item.done)] {
                     if (!*life) return;
                     busy_ = false;
                     if (!queue_.empty()) Next();
                     done();
                   });
  }

  Process& process_;
  bool busy_ = false;
  std::deque<Item> queue_;
  std::shared_ptr<bool> life_ = std::make_shared<bool>(true);
};

Process::Process(Host& host, std::string name, uint64_t number)
    : host_(host),
      name_(std::move(name)),
      random_(host.world().NewRandom(
          absl::StrCat("process ", host.name(), " ", number))),
      fate_(host.world().NewRandom(
          absl::StrCat("fate ", host.name(), " ", number))),
      clock_(std::make_unique<VirtualClock>(*this)),
      disk_(std::make_unique<VirtualDisk>(*this)),
      network_(host.network().For(this)),
      coordination_(NewProcessCoordination(*this)),
      containers_(host.containers().For(*this)) {}

Process::~Process() = default;

void Process::Begin(ProgramFactory factory) {
  world().Note(name_, "starts", uint64_t{0});
  world().Span(name_, "runs", true);
  RunNow([this, factory = std::move(factory)] { program_ = factory(*this); });
}

void Process::Run(std::function<void()> callback) {
  if (!alive_) return;
  if (slow_loop_ > io::Duration::zero()) return RunLate(std::move(callback));
  if (paused()) return Defer(std::move(callback));
  RunNow(std::move(callback));
}

void Process::Defer(std::function<void()> callback) {
  if (deferred_.empty()) world().Took(Fault::kPause, name_);
  deferred_.push_back(std::move(callback));
}

void Process::SetSlowLoop(io::Duration at_most) {
  slow_loop_ = at_most;
  slowness_counted_ = false;
  if (slow_random_ == nullptr && at_most > io::Duration::zero()) {
    slow_random_ = world().NewRandom(absl::StrCat("slow loop ", name_));
  }
  while (slow_loop_ == io::Duration::zero() && !late_.empty()) RunFirstLate();
}

void Process::RunFirstLate() {
  std::function<void()> callback = std::move(late_.front());
  late_.pop_front();
  if (paused()) return Defer(std::move(callback));
  RunNow(std::move(callback));
}

void Process::RunLate(std::function<void()> callback) {
  if (!std::exchange(slowness_counted_, true)) {
    world().Took(Fault::kSlowLoop, name_);
  }
  const io::Duration late =
      slow_random_->Between(io::Duration::zero(), slow_loop_);
  last_late_ = std::max(last_late_, world().now() + late);
  late_.push_back(std::move(callback));
  world().After(last_late_ - world().now(), "late", [this, life = life_] {
    // They may have run when the loop became fast again.
    if (*life && !late_.empty()) RunFirstLate();
  });
}

void Process::RunNow(std::function<void()> callback) {
  CHECK(!running_) << "a callback from inside another one of " << name_;
  running_ = true;
  ++turns_;
  if (host_.on_turn) host_.on_turn();
  running_process = this;
  callback();
  callback = nullptr;
  running_process = nullptr;
  running_ = false;
  if (!ending_) return;
  if (ending_host_) {
    host_.LosePower();
  } else {
    End(*std::exchange(ending_, std::nullopt), true);
  }
}

uint64_t Process::Later(io::Duration delay, const char* kind,
                        std::function<void()> callback) {
  return world().After(
      delay, kind,
      [this, life = life_, callback = std::move(callback)]() mutable {
        if (*life) Run(std::move(callback));
      });
}

void Process::Pause() {
  if (!alive_ || paused_) return;
  if (!host_.asleep()) Stop();
  paused_ = true;
  world().Span(name_, "paused", true);
}

void Process::Resume() {
  if (!paused_) return;
  paused_ = false;
  world().Span(name_, "paused", false);
  if (!host_.asleep()) Continue();
}

void Process::Continue() {
  if (!alive_) return;
  if (world().now() - stopped_at_ >= kZombieAfter) {
    world().Took(Fault::kZombie, name_);
  }
  while (alive_ && !paused() && !deferred_.empty()) {
    std::function<void()> callback = std::move(deferred_.front());
    deferred_.pop_front();
    RunNow(std::move(callback));
  }
}

void Process::Kill() {
  if (alive_) world().Took(Fault::kKill, name_);
  Terminate();
}

void Process::Terminate() {
  Ended killed{9, "killed", true};
  if (running_) {
    if (!ending_) ending_ = killed;
  } else {
    End(killed, true);
  }
}

void Process::Vanish() {
  if (alive_) End({9, "power lost", true}, false);
}

void Process::Exit(int code, absl::string_view message) {
  if (!alive_ || ending_) return;
  VLOG(1) << name_ << " exits with " << code << ": " << message;
  ending_ = Ended{code, std::string(message), false};
}

void Process::End(Ended ended, bool loudly) {
  if (!alive_) return;
  world().Note(name_, ended.killed ? "is killed" : "exits",
               static_cast<uint64_t>(ended.code));
  if (paused_) world().Span(name_, "paused", false);
  world().Span(name_, "runs", false);
  ended_ = ended;
  alive_ = false;
  paused_ = false;
  // The kernel closes what the process had open.
  dying_loudly_ = loudly;
  *life_ = false;
  program_.reset();
  deferred_.clear();
  late_.clear();
  clock_->Clear();
  dying_loudly_ = false;
  if (on_ended) {
    auto told = std::move(on_ended);
    told(*ended_);
  }
}

void Process::DieAtDiskCall(uint64_t n, bool power) {
  dies_at_disk_call_ = n;
  dies_with_host_ = power;
}

absl::Status Process::OnDiskCall(io::Duration cost) {
  if (!alive_) return absl::UnavailableError("the process has ended");
  if (host_.disk_stall > io::Duration::zero() &&
      world().elapsed() + disk_cost_ < host_.disk_stall_until) {
    world().Took(Fault::kDiskStall, host_.name());
    disk_cost_ += host_.disk_stall;
  }
  disk_cost_ += cost;
  if (dies_at_disk_call_ == 0) return absl::OkStatus();
  if (dies_at_disk_call_ > 1) {
    --dies_at_disk_call_;
    return absl::OkStatus();
  }
  // It stays at 1: every later call fails as well.
  if (!ending_) {
    world().Took(Fault::kDiesAtDiskCall, name_);
    ending_ = Ended{9, "killed at a disk call", true};
    ending_host_ = dies_with_host_;
  }
  return absl::UnavailableError("the process is dying");
}

io::Clock& Process::clock() { return *clock_; }
io::Network& Process::network() { return *network_; }
io::Disk& Process::disk() { return *disk_; }
io::Coordination& Process::coordination() { return *coordination_; }
io::Containers& Process::containers() { return *containers_; }
std::unique_ptr<io::Lane> Process::NewLane(absl::string_view) {
  return std::make_unique<VirtualLane>(*this);
}

}  // namespace quorate::sim
