#include "core/log/superblock.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/crc32c.h"
#include "core/base/planted.h"
#include "core/log/fixed_bytes.h"

namespace quorate::log {
namespace {

constexpr absl::string_view kMagic = "QRTSUPER";
constexpr uint32_t kVersion = 1;
// magic, version, copy, sequence, size; then the content; the checksum of all
// of it is in the last four bytes of the copy.
constexpr size_t kHeaderBytes = 8 + 4 + 4 + 8 + 4;
constexpr size_t kChecksumAt = Superblock::kCopyBytes - 4;
constexpr int kHalf = Superblock::kCopies / 2;

std::string EncodeCopy(uint32_t copy, uint64_t sequence,
                       const std::string& content) {
  std::string bytes(kMagic);
  PutFixed(kVersion, 4, &bytes);
  PutFixed(copy, 4, &bytes);
  PutFixed(sequence, 8, &bytes);
  PutFixed(content.size(), 4, &bytes);
  bytes += content;
  bytes.resize(kChecksumAt, '\0');
  PutFixed(Crc32c(bytes), 4, &bytes);
  return bytes;
}

struct Decoded {
  uint64_t sequence;
  SuperblockProto content;
};

std::optional<Decoded> DecodeCopy(absl::string_view bytes, uint32_t copy) {
  if (bytes.size() != Superblock::kCopyBytes ||
      bytes.substr(0, kMagic.size()) != kMagic ||
      GetFixed(bytes, kChecksumAt, 4) != Crc32c(bytes.substr(0, kChecksumAt)) ||
      GetFixed(bytes, 8, 4) != kVersion || GetFixed(bytes, 12, 4) != copy) {
    return std::nullopt;
  }
  const uint64_t size = GetFixed(bytes, 24, 4);
  if (size > kChecksumAt - kHeaderBytes) return std::nullopt;
  Decoded decoded{GetFixed(bytes, 16, 8), {}};
  if (!decoded.content.ParseFromArray(bytes.data() + kHeaderBytes,
                                      static_cast<int>(size))) {
    return std::nullopt;
  }
  return decoded;
}

}  // namespace

Superblock::Superblock(std::unique_ptr<io::File> file, uint64_t sequence,
                       SuperblockProto content)
    : file_(std::move(file)),
      sequence_(sequence),
      content_(std::move(content)) {}

absl::StatusOr<std::unique_ptr<Superblock>> Superblock::Create(
    io::Disk& disk, const std::string& path, const SuperblockProto& content) {
  const absl::Status there = disk.Stat(path).status();
  if (there.ok())
    return absl::AlreadyExistsError(absl::StrCat(path, " exists"));
  if (!absl::IsNotFound(there)) return there;
  // Written under another name first: a superblock that exists is whole.
  const std::string temporary = absl::StrCat(path, ".new");
  auto file = disk.Open(temporary, io::Disk::Mode::kCreateEmpty);
  if (!file.ok()) return file.status();
  std::unique_ptr<Superblock> superblock(
      new Superblock(*std::move(file), 0, content));
  if (absl::Status written = superblock->Update(content); !written.ok()) {
    return written;
  }
  if (absl::Status renamed = disk.Rename(temporary, path); !renamed.ok()) {
    return renamed;
  }
  const size_t slash = path.rfind('/');
  absl::Status synced =
      disk.SyncDirectory(slash == 0 ? "/" : path.substr(0, slash));
  if (!synced.ok()) return synced;
  return superblock;
}

absl::StatusOr<std::unique_ptr<Superblock>> Superblock::Open(
    io::Disk& disk, const std::string& path) {
  auto file = disk.Open(path, io::Disk::Mode::kReadWrite);
  if (!file.ok()) return file.status();
  std::optional<Decoded> newest;
  int newest_copy = 0;
  bool all_equal = true;
  absl::Status failed;
  for (int copy = 0; copy < kCopies; ++copy) {
    std::string bytes;
    absl::Status read = (*file)->ReadAt(copy * kCopyBytes, kCopyBytes, &bytes);
    // The others may do: what was answered is in all of them.
    if (!read.ok()) failed = read;
    if (!read.ok()) bytes.clear();
    std::optional<Decoded> decoded =
        DecodeCopy(bytes, static_cast<uint32_t>(copy));
    all_equal &= decoded.has_value() &&
                 (!newest.has_value() || newest->sequence == decoded->sequence);
    if (decoded.has_value() &&
        (!newest.has_value() || newest->sequence < decoded->sequence)) {
      newest = std::move(decoded);
      newest_copy = copy;
    }
  }
  if (!newest.has_value() && !failed.ok()) return failed;
  if (!newest.has_value()) {
    return absl::DataLossError(absl::StrCat(
        "no copy of ", path,
        " is whole: this replica has lost its identity. "
        "Move its directory away and start it empty: it joins as a new one"));
  }
  std::unique_ptr<Superblock> superblock(new Superblock(
      *std::move(file), newest->sequence, std::move(newest->content)));
  if (all_equal) return superblock;
  // The half with the newest copy, which may be the only one, comes last.
  ++superblock->sequence_;
  absl::Status repaired = superblock->WriteHalf(newest_copy < kHalf ? 1 : 0);
  if (repaired.ok()) {
    repaired = superblock->WriteHalf(newest_copy < kHalf ? 0 : 1);
  }
  if (!repaired.ok()) return repaired;
  return superblock;
}

absl::Status Superblock::Update(const SuperblockProto& content) {
  if (content.ByteSizeLong() > kChecksumAt - kHeaderBytes) {
    return absl::InternalError("the superblock's content is too large");
  }
  content_ = content;
  ++sequence_;
  absl::Status status = WriteHalf(0);
  if (status.ok()) status = WriteHalf(1);
  return status;
}

absl::Status Superblock::WriteHalf(int half) {
  const std::string content = content_.SerializeAsString();
  for (int copy = half * kHalf; copy < (half + 1) * kHalf; ++copy) {
    if (copy > 0 && Planted(Bug::kSingleSuperblock)) break;
    absl::Status written = file_->WriteAt(
        copy * kCopyBytes,
        EncodeCopy(static_cast<uint32_t>(copy), sequence_, content));
    if (!written.ok()) return written;
  }
  absl::Status synced = file_->Sync();
  if (absl::IsUnavailable(synced) && Planted(Bug::kSyncRetried)) {
    return file_->Sync();
  }
  return synced;
}

}  // namespace quorate::log
