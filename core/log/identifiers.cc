#include "core/log/identifiers.h"

#include <glog/logging.h>
#include <openssl/sha.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "core/base/crc32c.h"
#include "core/log/fixed_bytes.h"
#include "core/log/messages.h"

namespace quorate::log {
namespace {

constexpr size_t kBlockBytes = 4096;
constexpr uint64_t kSlotsPerBlock =
    kBlockBytes / IdentifierRing::kIdentifierBytes;
constexpr int kCopies = 2;
constexpr size_t kHashBytes = 16;

// magic, position, round, member, hash; the checksum of it all, with the
// padding, is in the last four bytes.
constexpr uint32_t kMagic = 0x31444951;  // "QID1"
constexpr size_t kPositionAt = 4;
constexpr size_t kRoundAt = 12;
constexpr size_t kMemberAt = 20;
constexpr size_t kHashAt = kMemberAt + kMemberIdBytes;
constexpr size_t kChecksumAt = IdentifierRing::kIdentifierBytes - 4;

// The two copies of a block are neighbours, so that the file grows with the
// log.
uint64_t OffsetOf(uint64_t slot, int copy) {
  const uint64_t block = slot / kSlotsPerBlock * kCopies + copy;
  return block * kBlockBytes +
         slot % kSlotsPerBlock * IdentifierRing::kIdentifierBytes;
}

std::string Encode(const Identifier& identifier) {
  CHECK_EQ(identifier.ballot.member.size(), kMemberIdBytes);
  CHECK_EQ(identifier.entry_hash.size(), kHashBytes);
  std::string bytes;
  PutFixed(kMagic, 4, &bytes);
  PutFixed(identifier.position, 8, &bytes);
  PutFixed(identifier.ballot.round, 8, &bytes);
  bytes += identifier.ballot.member;
  bytes += identifier.entry_hash;
  bytes.resize(kChecksumAt, '\0');
  PutFixed(Crc32c(bytes), 4, &bytes);
  return bytes;
}

std::optional<Identifier> Decode(absl::string_view bytes, uint64_t slot) {
  if (GetFixed(bytes, 0, 4) != kMagic ||
      GetFixed(bytes, kChecksumAt, 4) != Crc32c(bytes.substr(0, kChecksumAt)) ||
      GetFixed(bytes, kPositionAt, 8) % IdentifierRing::kSlots != slot) {
    return std::nullopt;
  }
  return Identifier{GetFixed(bytes, kPositionAt, 8),
                    {GetFixed(bytes, kRoundAt, 8),
                     std::string(bytes.substr(kMemberAt, kMemberIdBytes))},
                    std::string(bytes.substr(kHashAt, kHashBytes))};
}

bool IsBlank(absl::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(),
                     [](char c) { return c == '\0'; });
}

struct Found {
  std::optional<Identifier> identifier;
  bool blank = false;  // Nothing was ever written in one of the places.
};

Found Look(absl::string_view file, uint64_t slot) {
  Found found;
  for (int copy = 0; copy < kCopies; ++copy) {
    const absl::string_view bytes =
        file.substr(OffsetOf(slot, copy), IdentifierRing::kIdentifierBytes);
    std::optional<Identifier> here = Decode(bytes, slot);
    found.blank |= IsBlank(bytes);
    // A crash may have left an older one in either place.
    if (here &&
        (!found.identifier ||
         std::tie(found.identifier->position, found.identifier->ballot) <
             std::tie(here->position, here->ballot))) {
      found.identifier = std::move(here);
    }
  }
  return found;
}

}  // namespace

std::string EntryHash(const EntryProto& entry) {
  const std::string bytes = entry.SerializeAsString();
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
         digest);
  return std::string(reinterpret_cast<char*>(digest), kHashBytes);
}

absl::StatusOr<std::unique_ptr<IdentifierRing>> IdentifierRing::Open(
    io::Disk& disk, const std::string& path, bool create) {
  auto file = disk.Open(
      path, create ? io::Disk::Mode::kCreate : io::Disk::Mode::kReadWrite);
  if (!file.ok()) return file.status();
  return std::unique_ptr<IdentifierRing>(new IdentifierRing(*std::move(file)));
}

absl::StatusOr<IdentifierRing::Contents> IdentifierRing::Read() const {
  constexpr uint64_t kBothBlocks = kCopies * kBlockBytes;
  constexpr uint64_t kFileBytes = kSlots / kSlotsPerBlock * kBothBlocks;
  std::string bytes;
  absl::Status read = file_->ReadAt(0, kFileBytes, &bytes);
  if (!read.ok()) return read;
  // What the file does not reach yet is blank.
  bytes.resize((bytes.size() + kBothBlocks - 1) / kBothBlocks * kBothBlocks,
               '\0');
  Contents contents;
  const uint64_t slots = bytes.size() / kBothBlocks * kSlotsPerBlock;
  for (uint64_t slot = 0; slot < slots; ++slot) {
    const Found found = Look(bytes, slot);
    if (found.identifier) {
      contents.identifiers[found.identifier->position] = *found.identifier;
    } else if (!found.blank) {
      contents.damaged_slots.insert(slot);
    }
  }
  return contents;
}

absl::Status IdentifierRing::Write(const std::vector<Identifier>& identifiers) {
  for (const Identifier& identifier : identifiers) {
    const std::string bytes = Encode(identifier);
    for (int copy = 0; copy < kCopies; ++copy) {
      absl::Status written =
          file_->WriteAt(OffsetOf(identifier.position % kSlots, copy), bytes);
      if (!written.ok()) return written;
    }
  }
  return file_->Sync();
}

}  // namespace quorate::log
