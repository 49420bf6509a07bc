// The faults of disk_faults.h.

#include <glog/logging.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "sim/file_system.h"

namespace quorate::sim {
namespace {

using Node = FileSystem::Node;

constexpr size_t kSector = FileSystem::kSectorBytes;

uint64_t SectorsOf(const std::string& content) {
  return (content.size() + kSector - 1) / kSector;
}

// What of `bytes` lies within the content.
void Overwrite(std::string& content, uint64_t offset, absl::string_view bytes) {
  if (offset >= content.size()) return;
  const absl::string_view fits = bytes.substr(0, content.size() - offset);
  content.replace(offset, fits.size(), fits.data(), fits.size());
}

// Those sectors, filled up with zeros.
std::string SectorsAt(const std::string& content, uint64_t offset,
                      uint64_t size) {
  std::string sectors =
      offset < content.size() ? content.substr(offset, size) : std::string();
  sectors.resize(size, '\0');
  return sectors;
}

bool Dirty(const Node& file, uint64_t offset, uint64_t size) {
  return std::any_of(file.unsynced.begin(), file.unsynced.end(),
                     [&](const Node::Change& change) {
                       return change.truncate ||
                              (change.offset < offset + size &&
                               change.offset + change.bytes.size() > offset);
                     });
}

}  // namespace

void FileSystem::Took(Fault fault) {
  if (world_ != nullptr) world_->Took(fault, owner_);
}

bool FileSystem::Draw(double chance) {
  return chance > 0 && random_->Fraction() < chance;
}

void FileSystem::Expose(const std::string& path, Node& node) const {
  const std::string& under = faults_.under;
  node.exposed = under.empty() || path == under ||
                 absl::StartsWith(path, absl::StrCat(under, "/"));
}

void FileSystem::SetFaults(DiskFaults faults) {
  CHECK(world_ != nullptr) << "a disk that is nobody's has no faults";
  faults_ = std::move(faults);
  ExposeAll();
}

void FileSystem::ExposeAll() {
  const std::function<void(const std::string&, Node&)> walk =
      [&](const std::string& path, Node& node) {
        Expose(path, node);
        for (auto& [name, child] : node.children) {
          walk(absl::StrCat(path, "/", name), *child);
        }
      };
  walk("", *root_);
}

void FileSystem::EndFaults() {
  SetFaults({});
  failing_reads = failing_writes = failing_syncs = 0;
  full = false;
  capacity = 0;
}

// Each doubling of the time is as likely as the others.
io::Duration FileSystem::DrawStall() {
  if (!Draw(faults_.stall)) return io::Duration::zero();
  Took(Fault::kDiskStall);
  uint64_t doublings = 0;
  while (faults_.min_stall * (int64_t{2} << doublings) <= faults_.max_stall) {
    ++doublings;
  }
  const io::Duration low =
      faults_.min_stall * (int64_t{1} << random_->Below(doublings + 1));
  return random_->Between(low, std::min(low * 2, faults_.max_stall));
}

// Whether a call fails: by chance, or as one of the next ones.
bool FileSystem::Fails(bool exposed, double chance, int* next, Fault kind) {
  if (*next > 0) {
    if (*next != kEver) --*next;
  } else if (!exposed || !Draw(chance)) {
    return false;
  } else if (kind != Fault::kReadFailed && Draw(faults_.lasting)) {
    failing_writes = failing_syncs = kEver;
  }
  Took(kind);
  return true;
}

absl::Status FileSystem::BeginChange(const Node& directory) {
  const bool fails = Fails(directory.exposed, faults_.write_fails,
                           &failing_writes, Fault::kWriteFailed);
  return fails ? absl::UnavailableError("input/output error")
               : absl::OkStatus();
}

absl::Status FileSystem::Read(Node& file, uint64_t offset, uint64_t size,
                              std::string* out) {
  absl::Status readable = CheckReadable(file, offset, size);
  if (!readable.ok()) {
    Took(Fault::kReadFailed);
    return readable;
  }
  if (Fails(file.exposed, faults_.read_fails, &failing_reads,
            Fault::kReadFailed)) {
    if (size > 0 && Draw(faults_.lasting)) {
      file.unreadable.insert(offset / kSector);
    }
    return absl::UnavailableError("input/output error");
  }
  *out = offset < file.content.size() ? file.content.substr(offset, size)
                                      : std::string();
  return absl::OkStatus();
}

// ---- The medium ----

// A disk writes whole sectors: what else is in them goes the same way.
std::vector<FileSystem::Astray> FileSystem::DrawAstray(const Node& file) {
  std::vector<Astray> list;
  if (!file.exposed || !faults_.media()) return list;
  for (const Node::Change& change : file.unsynced) {
    if (change.truncate) continue;
    const bool lost = Draw(faults_.write_lost);
    const bool elsewhere = !lost && Draw(faults_.write_misdirected);
    if (!lost && !elsewhere) continue;
    const uint64_t begin = change.offset / kSector * kSector;
    const uint64_t end = change.offset + change.bytes.size();
    const uint64_t size = (end - begin + kSector - 1) / kSector * kSector;
    list.push_back({begin, SectorsAt(file.durable, begin, size), elsewhere});
  }
  return list;
}

void FileSystem::GoAstray(Node& file, const Astray& astray) {
  if (astray.offset >= file.durable.size()) return;
  const std::string bytes =
      file.durable.substr(astray.offset, astray.before.size());
  const bool at_once = random_->Below(2) == 0;
  if (absl::StartsWith(astray.before, bytes) && !astray.elsewhere) return;
  Took(astray.elsewhere ? Fault::kWriteMisdirected : Fault::kWriteLost);
  Put(file, astray.offset, astray.before, at_once);
  if (!astray.elsewhere) return;
  const std::vector<NodePtr> files = ExposedFiles();
  Node* target = &file;
  if (random_->Below(2) == 0 && !files.empty()) {
    target = files[random_->Below(files.size())].get();
  }
  uint64_t sectors = SectorsOf(target->durable);
  if (target == &file) --sectors;  // Not its own place.
  if (sectors == 0) return;
  uint64_t place = random_->Below(sectors);
  if (target == &file && place >= astray.offset / kSector) ++place;
  Put(*target, place * kSector, bytes, at_once);
}

// Puts into the medium what does not belong there, and into the page cache
// unless that is to hide it.
void FileSystem::Put(Node& file, uint64_t offset, absl::string_view bytes,
                     bool at_once) {
  ++changes_;
  Overwrite(file.durable, offset, bytes);
  if (at_once && !Dirty(file, offset, bytes.size())) {
    Overwrite(file.content, offset, bytes);
  }
}

std::vector<FileSystem::NodePtr> FileSystem::ExposedFiles() const {
  std::vector<NodePtr> files;
  const std::function<void(const NodePtr&)> walk = [&](const NodePtr& node) {
    if (node->type == io::FileInfo::Type::kFile && node->exposed &&
        !node->durable.empty()) {
      files.push_back(node);
    }
    for (const auto& [name, child] : node->children) walk(child);
  };
  walk(root_);
  return files;
}

bool FileSystem::Damage(Fault kind) {
  const std::vector<NodePtr> files = ExposedFiles();
  uint64_t sectors = 0;
  for (const NodePtr& file : files) sectors += SectorsOf(file->durable);
  if (sectors == 0) return false;
  // Any sector is as likely as any other.
  uint64_t sector = random_->Below(sectors);
  auto found = files.begin();
  while (sector >= SectorsOf((*found)->durable)) {
    sector -= SectorsOf((*found++)->durable);
  }
  Node& file = **found;
  const uint64_t offset = sector * kSector;
  if (Dirty(file, offset, kSector)) return false;
  if (kind == Fault::kReadFailed) return file.unreadable.insert(sector).second;
  std::string bytes = file.durable.substr(offset, kSector);
  const std::string before = bytes;
  if (kind == Fault::kBitFlipped) {
    const uint64_t bit = random_->Below(bytes.size() * 8);
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
  } else if (kind == Fault::kSectorZeroed) {
    bytes.assign(bytes.size(), '\0');
  } else {
    CHECK(kind == Fault::kSectorStale) << NameOf(kind) << " damages no sector";
    auto stale = file.stale.find(sector);
    if (stale == file.stale.end()) return false;
    bytes = stale->second.substr(0, bytes.size());
  }
  if (bytes == before) return false;
  Took(kind);
  Put(file, offset, bytes, true);
  return true;
}

}  // namespace quorate::sim
