#include "sim/host_clock.h"

#include <glog/logging.h>

#include <cstdlib>
#include <utility>

namespace quorate::sim {
namespace {

constexpr int64_t kMillion = 1'000'000;

// Of a time without overflow: time * ppm / 10^6.
io::Duration Share(io::Duration time, int64_t ppm) {
  const int64_t ns = time.count();
  return io::Duration(ns / kMillion * ppm + ns % kMillion * ppm / kMillion);
}

// The least time that, together with its share, is at least `drifted`.
io::Duration WithoutShare(io::Duration drifted, int64_t ppm) {
  const int64_t rate = kMillion + ppm;
  const int64_t ns = drifted.count();
  return io::Duration(ns / rate * kMillion + ns % rate * kMillion / rate + 1);
}

}  // namespace

HostClock::HostClock(World& world, std::string host)
    : world_(world), host_(std::move(host)) {}

io::Instant HostClock::Running() const {
  const io::Duration passed = world_.now() - since_;
  return base_ + passed + Share(passed, ppm_);
}

io::WallTime HostClock::WallNow() const {
  if (wall_frozen_) return frozen_at_;
  const io::Duration error =
      plain_ ? wall_offset_ : wall_offset_ + (Running() - world_.now());
  return world_.wall_now() + error;
}

io::Instant HostClock::WhenItIs(io::Instant local) const {
  if (plain_) return local;
  const io::Duration sleeps = asleep_ ? Running() - fell_asleep_ : slept_;
  const io::Duration wanted = local + sleeps - base_;
  if (ppm_ == 0 || wanted <= io::Duration::zero()) return since_ + wanted;
  return since_ + WithoutShare(wanted, ppm_);
}

void HostClock::SetWallOffset(io::Duration offset) {
  wall_offset_ = plain_ ? offset : offset - (Running() - world_.now());
  wall_frozen_ = false;
  jump_unseen_ = freeze_unseen_ = false;
  wall_error_unseen_ = offset_unseen_ = offset != io::Duration::zero();
}

void HostClock::JumpWall(io::Duration by) {
  wall_offset_ += by;
  frozen_at_ += by;
  jump_unseen_ = true;
  wall_error_unseen_ = true;
}

void HostClock::FreezeWall(bool frozen) {
  if (frozen && !wall_frozen_) frozen_at_ = WallNow();
  freeze_unseen_ = frozen && (freeze_unseen_ || !wall_frozen_);
  wall_frozen_ = frozen;
  wall_error_unseen_ = freeze_unseen_ || jump_unseen_ || offset_unseen_;
}

void HostClock::Rebase() {
  if (plain_) {
    since_ = base_ = world_.now();
  } else {
    base_ = Running();
    since_ = world_.now();
  }
  plain_ = false;
}

void HostClock::SetDrift(int ppm) {
  CHECK_LE(std::abs(ppm), kMaxDriftPpm);
  if (ppm == ppm_) return;
  Rebase();
  ppm_ = ppm;
  drift_unseen_ = ppm != 0;
}

void HostClock::Correct() {
  SetDrift(0);
  SetWallOffset(io::Duration::zero());
}

void HostClock::Sleep() {
  if (asleep_) return;
  Rebase();
  fell_asleep_ = Running() - slept_;
  asleep_ = true;
}

void HostClock::Wake() {
  if (!asleep_) return;
  slept_ = Running() - fell_asleep_;
  asleep_ = false;
}

// Who reads a clock that stands still does not see how far it is off.
void HostClock::CountWallErrors() {
  if (std::exchange(freeze_unseen_, false)) {
    world_.Took(Fault::kClockFrozen, host_);
  }
  if (std::exchange(jump_unseen_, false)) {
    world_.Took(Fault::kClockJump, host_);
  }
  if (!wall_frozen_ && std::exchange(offset_unseen_, false)) {
    world_.Took(Fault::kClockOffset, host_);
  }
  wall_error_unseen_ = false;
}

void HostClock::CountDrift() {
  drift_unseen_ = false;
  world_.Took(Fault::kClockDrift, host_);
}

}  // namespace quorate::sim
