// A replica's superblock and journal, changed by the input: whatever is there,
// opening it ends well, and what it serves is what was written.

#include <glog/logging.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/log/storage.h"
#include "sim/file_system.h"
#include "sim/process_disk.h"

namespace quorate::fuzz {
namespace {

using sim::FileSystem;

constexpr char kDirectory[] = "/log";
const log::MemberId kMe(16, 'm');

log::Storage::Options Options() {
  log::Storage::Options options;
  options.directory = kDirectory;
  options.fresh_id = kMe;
  options.segment_bytes = 64 << 10;
  options.reserve_bytes = 4096;
  return options;
}

sim::ProcessDisk DiskOf(FileSystem& files) {
  return sim::ProcessDisk(
      files, [](io::Duration) { return absl::OkStatus(); },
      [] { return io::WallTime(); });
}

log::Slot Vote(uint64_t round, const std::string& text) {
  auto entry = std::make_shared<log::EntryProto>();
  entry->set_type(log::APPEND);
  entry->add_payload(text);
  std::string hash = log::EntryHash(*entry);
  return {log::Slot::State::kAccepted,
          {round, kMe},
          std::move(entry),
          std::move(hash)};
}

// A replica that has voted for three entries, a large one among them.
FileSystem::NodePtr Image() {
  FileSystem files;
  sim::ProcessDisk disk = DiskOf(files);
  auto storage = log::Storage::Open(disk, Options());
  CHECK(storage.ok()) << storage.status();
  log::DurableWrite write;
  write.promised = log::Ballot{1, kMe};
  CHECK((*storage)->Apply(write).ok());
  for (uint64_t p = 1; p < 4; ++p) {
    log::DurableWrite vote;
    vote.accepted[p] = Vote(1, std::string(p == 2 ? 20000 : 100, 'x'));
    CHECK((*storage)->Apply(vote).ok());
  }
  return FileSystem::Copy(*files.root());
}

FileSystem::NodePtr FileOf(FileSystem& files, uint8_t which) {
  const char* const names[] = {"superblock", "journal.0", "journal.1"};
  auto found =
      files.Find(std::string(kDirectory) + "/" + names[which % 3], true);
  return found.ok() ? *found : nullptr;
}

// Edits of five bytes: the file, where, how many bytes, and which.
void Edit(FileSystem& files, const uint8_t* data, size_t size) {
  for (size_t at = 0; at + 5 <= size; at += 5) {
    const FileSystem::NodePtr file = FileOf(files, data[at]);
    if (file == nullptr || file->content.empty()) continue;
    const size_t where =
        ((size_t{data[at + 1]} << 8) | data[at + 2]) % file->content.size();
    for (size_t i = 0; i < data[at + 3] % 64 + size_t{1}; ++i) {
      if (where + i >= file->content.size()) break;
      file->content[where + i] = static_cast<char>(data[at + 4] + i);
    }
  }
}

void Open(const uint8_t* data, size_t size) {
  static const FileSystem::NodePtr& image = *new FileSystem::NodePtr(Image());
  FileSystem files;
  files.Replace(FileSystem::Copy(*image));
  Edit(files, data, size);
  sim::ProcessDisk disk = DiskOf(files);
  auto storage = log::Storage::Open(disk, Options());
  if (!storage.ok()) return;
  const log::ReplicaState state = (*storage)->TakeState();
  for (const auto& [position, slot] : state.slots) {
    if (slot.entry == nullptr) continue;
    CHECK_LT(position, 4u);
    CHECK_EQ(slot.entry->payload(0).size(), position == 2 ? 20000u : 100u);
    CHECK_EQ(log::EntryHash(*slot.entry), slot.hash);
  }
}

}  // namespace
}  // namespace quorate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quorate::fuzz::Open(data, size);
  return 0;
}
