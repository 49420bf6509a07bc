// What a replica's storage costs on a real disk, beside the least it could: the
// same bytes into a preallocated file, with fdatasync.
//
//   bazel run -c opt //bench:log_storage_bench -- --directory=/var/tmp/bench

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/log/storage.h"
#include "prod/disk.h"

namespace quorate::log {
namespace {

std::string directory = "/var/tmp/log_storage_bench";  // NOLINT

const MemberId kMe(16, 'm');

void Require(const absl::Status& status) {
  if (status.ok()) return;
  fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  exit(1);
}

Entry EntryOf(size_t bytes) {
  auto entry = std::make_shared<EntryProto>();
  entry->set_type(APPEND);
  entry->add_payload(std::string(bytes, 'x'));
  return entry;
}

Storage::Options OptionsOf() {
  Storage::Options options;
  options.directory = directory + "/replica";
  options.fresh_id = kMe;
  options.reserve_bytes = 1 << 20;
  // So that both files of the journal are soon written once.
  options.segment_bytes = 8 << 20;
  return options;
}

// A replica in an empty directory.
std::unique_ptr<Storage> Fresh(prod::PosixDisk& disk) {
  Require(disk.MakeDirectories(directory));
  (void)disk.RemoveTree(OptionsOf().directory);
  auto storage = Storage::Open(disk, OptionsOf());
  Require(storage.status());
  SuperblockProto identity = (*storage)->identity();
  identity.set_status(ACTIVE);
  identity.set_cluster_id(std::string(16, 'c'));
  Require((*storage)->SetIdentity(identity));
  DurableWrite write;
  write.promised = Ballot{1, kMe};
  Require((*storage)->Apply(write));
  return *std::move(storage);
}

// Votes for range(0) positions of range(1) bytes each, at once.
void BM_Apply(benchmark::State& state) {
  prod::PosixDisk disk;
  std::unique_ptr<Storage> storage = Fresh(disk);
  const Entry entry = EntryOf(state.range(1));
  const Slot vote{Slot::State::kAccepted, {1, kMe}, entry, EntryHash(*entry)};
  uint64_t next = 0;
  const auto apply = [&] {
    DurableWrite write;
    for (int64_t i = 0; i < state.range(0); ++i) write.accepted[next++] = vote;
    Require(storage->Apply(write));
    if (!storage->room().wants_checkpoint) return true;
    Require(storage->Recycle(next, {}));
    return false;
  };
  // Both files of the journal have their space before it counts.
  for (int laps = 0; laps < 2;) laps += apply() ? 0 : 1;
  for (auto _ : state) {
    state.PauseTiming();
    DurableWrite write;
    for (int64_t i = 0; i < state.range(0); ++i) write.accepted[next++] = vote;
    state.ResumeTiming();
    Require(storage->Apply(write));
    state.PauseTiming();
    if (storage->room().wants_checkpoint) Require(storage->Recycle(next, {}));
    state.ResumeTiming();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0) * state.range(1));
}

// The same bytes, written over what is there.
void BM_Floor(benchmark::State& state) {
  prod::PosixDisk disk;
  Require(disk.MakeDirectories(directory));
  auto file = disk.Open(directory + "/floor", io::Disk::Mode::kCreate);
  Require(file.status());
  const std::string bytes(state.range(0) * state.range(1), 'x');
  constexpr uint64_t kFileBytes = 32 << 20;
  Require((*file)->WriteAt(0, std::string(kFileBytes, '\0')));
  Require((*file)->Sync());
  uint64_t at = 0;
  for (auto _ : state) {
    Require((*file)->WriteAt(at, bytes));
    Require((*file)->Sync());
    at += (bytes.size() + 4095) / 4096 * 4096;
    if (at + bytes.size() > kFileBytes) at = 0;
  }
  state.SetBytesProcessed(state.iterations() * bytes.size());
}

void Votes(benchmark::internal::Benchmark* benchmark) {
  benchmark->Args({1, 128})->Args({64, 128})->Args({64, 1 << 10});
  benchmark->Args({64, 16 << 10})->UseRealTime();
}
BENCHMARK(BM_Floor)->Apply(Votes);
BENCHMARK(BM_Apply)->Apply(Votes);

// 64 entries at once; with everything that LevelDB does for it.
void BM_Absorb(benchmark::State& state) {
  prod::PosixDisk disk;
  std::unique_ptr<Storage> storage = Fresh(disk);
  std::vector<LearnedEntry> entries(64);
  uint64_t next = 0;
  for (auto _ : state) {
    for (LearnedEntry& learned : entries) {
      learned = {next++, {1, kMe}, EntryOf(state.range(0))};
    }
    Require(storage->Absorb(entries));
  }
  state.SetBytesProcessed(state.iterations() * 64 * state.range(0));
}
BENCHMARK(BM_Absorb)->Arg(128)->Arg(1 << 10)->Arg(16 << 10)->UseRealTime();

// A start with that many MiB of entries of 1 KiB.
void BM_Open(benchmark::State& state) {
  prod::PosixDisk disk;
  std::unique_ptr<Storage> storage = Fresh(disk);
  const uint64_t count = state.range(0) << 10;
  for (uint64_t next = 0; next < count;) {
    std::vector<LearnedEntry> entries(256);
    for (LearnedEntry& learned : entries) {
      learned = {next++, {1, kMe}, EntryOf(1 << 10)};
    }
    Require(storage->Absorb(entries));
  }
  Require(storage->Checkpoint({}));
  Require(storage->Recycle(count, {}));
  for (auto _ : state) {
    state.PauseTiming();
    storage.reset();
    state.ResumeTiming();
    auto opened = Storage::Open(disk, OptionsOf());
    Require(opened.status());
    storage = *std::move(opened);
  }
  state.SetBytesProcessed(state.iterations() * count << 10);
}
BENCHMARK(BM_Open)->Arg(16)->Arg(512)->UseRealTime()->Unit(
    benchmark::kMillisecond);

}  // namespace
}  // namespace quorate::log

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    constexpr char kFlag[] = "--directory=";
    if (strncmp(argv[i], kFlag, sizeof(kFlag) - 1) == 0) {
      quorate::log::directory = argv[i] + sizeof(kFlag) - 1;
    }
  }
  benchmark::RunSpecifiedBenchmarks();
  quorate::prod::PosixDisk disk;
  (void)disk.RemoveTree(quorate::log::directory);
  return 0;
}
