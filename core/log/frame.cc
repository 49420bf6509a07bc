#include "core/log/frame.h"

#include <glog/logging.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/base/crc32c.h"
#include "core/log/fixed_bytes.h"
#include "core/log/messages.h"

namespace quorate::log {
namespace {

constexpr uint32_t kMagic = 0x4d52464a;  // "JFRM"
// magic, copies, bytes of the payload, previous, noted, before_noted, counts of
// identifiers and of notes on others.
constexpr size_t kHeaderBytes = 4 + 4 + 8 + 8 + 8 + 8 + 4 + 4;
// position, round, member, hash, place and size of the record.
constexpr size_t kIdentifierBytes = 8 + 8 + kMemberIdBytes + kHashBytes + 4 + 4;
constexpr size_t kSeenBytes = kMemberIdBytes + 8 + 8 + 8 + kMemberIdBytes + 8;
// A sector's trailer.
constexpr size_t kIndexAt = kSectorPayloadBytes;
constexpr size_t kChecksumAt = kIndexAt + 4;
constexpr size_t kNumberAt = kChecksumAt + 4;
static_assert(kNumberAt + 8 == kSectorBytes);
constexpr uint32_t kCopyBit = uint32_t{1} << 31;
static_assert(kHeaderBytes < kSectorPayloadBytes);

// Ids have one length, or are empty.
void PutId(const std::string& id, std::string* out) {
  CHECK(id.empty() || id.size() == kMemberIdBytes);
  out->append(id);
  out->append(kMemberIdBytes - id.size(), '\0');
}

std::string GetId(absl::string_view in, size_t at) {
  const absl::string_view id = in.substr(at, kMemberIdBytes);
  const bool none =
      std::all_of(id.begin(), id.end(), [](char c) { return c == '\0'; });
  return none ? std::string() : std::string(id);
}

// type, number of payloads; size of each; their bytes.
uint64_t EntryBytes(const EntryProto& entry) {
  uint64_t bytes = 1 + 4;
  for (const std::string& payload : entry.payload()) {
    bytes += 4 + payload.size();
  }
  return bytes;
}

void PutEntry(const EntryProto& entry, std::string* out) {
  out->push_back(static_cast<char>(entry.type()));
  PutFixed(static_cast<uint64_t>(entry.payload_size()), 4, out);
  for (const std::string& payload : entry.payload()) {
    PutFixed(payload.size(), 4, out);
  }
  for (const std::string& payload : entry.payload()) out->append(payload);
}

Entry GetEntry(absl::string_view bytes) {
  if (bytes.size() < 5 || !EntryType_IsValid(bytes[0])) return nullptr;
  auto entry = std::make_shared<EntryProto>();
  entry->set_type(static_cast<EntryType>(bytes[0]));
  const uint64_t payloads = GetFixed(bytes, 1, 4);
  if ((bytes.size() - 5) / 4 < payloads) return nullptr;
  absl::string_view rest = bytes.substr(5 + payloads * 4);
  for (uint64_t i = 0; i < payloads; ++i) {
    const uint64_t size = GetFixed(bytes, 5 + i * 4, 4);
    if (rest.size() < size) return nullptr;
    entry->add_payload(rest.data(), size);
    rest.remove_prefix(size);
  }
  return rest.empty() ? entry : nullptr;
}

// Place and number as the checksum's beginning: bits of each reach all of it.
uint32_t SeedOf(uint64_t number, const SectorPlace& place) {
  uint64_t mixed = number * 0x9e3779b97f4a7c15u;
  mixed ^= mixed >> 29;
  mixed += place.offset / kSectorBytes * 2 + static_cast<uint64_t>(place.file);
  mixed *= 0xbf58476d1ce4e5b9u;
  mixed ^= mixed >> 32;
  mixed += place.journal;
  mixed *= 0x94d049bb133111ebu;
  return static_cast<uint32_t>(mixed >> 32);
}

// Of a sector up to the checksum.
uint32_t ChecksumOf(absl::string_view sector, uint64_t number,
                    const SectorPlace& place) {
  return Crc32c(sector.substr(0, kChecksumAt), SeedOf(number, place));
}

}  // namespace

uint64_t FrameBytes(uint64_t payload_bytes) {
  const uint64_t sectors =
      (payload_bytes + kSectorPayloadBytes - 1) / kSectorPayloadBytes;
  return (sectors * kSectorBytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
}

uint64_t PayloadBytes(const std::map<uint64_t, Slot>& slots, bool with_entries,
                      size_t seen) {
  uint64_t bytes =
      kHeaderBytes + slots.size() * kIdentifierBytes + seen * kSeenBytes;
  if (!with_entries) return bytes;
  for (const auto& [position, slot] : slots) bytes += EntryBytes(*slot.entry);
  return bytes;
}

std::string EncodePayload(const FrameHeader& header,
                          const std::map<uint64_t, Slot>& slots,
                          bool with_entries,
                          const std::map<MemberId, Seen>& seen) {
  const uint64_t bytes = PayloadBytes(slots, with_entries, seen.size());
  std::string payload;
  payload.reserve(bytes);
  PutFixed(kMagic, 4, &payload);
  PutFixed(static_cast<uint64_t>(header.copies), 4, &payload);
  PutFixed(bytes, 8, &payload);
  PutFixed(header.previous, 8, &payload);
  PutFixed(header.noted, 8, &payload);
  PutFixed(header.before_noted, 8, &payload);
  PutFixed(slots.size(), 4, &payload);
  PutFixed(seen.size(), 4, &payload);
  uint64_t at = PayloadBytes(slots, false, seen.size());
  for (const auto& [position, slot] : slots) {
    const uint64_t size = with_entries ? EntryBytes(*slot.entry) : 0;
    PutFixed(position, 8, &payload);
    PutFixed(slot.ballot.round, 8, &payload);
    PutId(slot.ballot.member, &payload);
    const std::string hash =
        slot.hash.empty() ? EntryHash(*slot.entry) : slot.hash;
    CHECK_EQ(hash.size(), kHashBytes);
    payload += hash;
    PutFixed(at, 4, &payload);
    PutFixed(size, 4, &payload);
    at += size;
  }
  for (const auto& [id, note] : seen) {
    PutId(id, &payload);
    PutFixed(note.incarnation, 8, &payload);
    PutFixed(note.boot_nonce, 8, &payload);
    PutFixed(note.promised.round, 8, &payload);
    PutId(note.promised.member, &payload);
    PutFixed(note.end, 8, &payload);
  }
  if (with_entries) {
    for (const auto& [position, slot] : slots) PutEntry(*slot.entry, &payload);
  }
  CHECK_EQ(payload.size(), bytes);
  return payload;
}

void AppendSectors(absl::string_view payload, uint64_t number, int copy,
                   SectorPlace place, std::string* out) {
  const size_t begin = out->size();
  out->resize(begin + FrameBytes(payload.size()), '\0');
  uint32_t index = copy != 0 ? kCopyBit : 0;
  for (size_t at = begin; at < out->size(); at += kSectorBytes, ++index) {
    char* const sector = &(*out)[at];
    const size_t size = std::min(payload.size(), kSectorPayloadBytes);
    memcpy(sector, payload.data(), size);
    payload.remove_prefix(size);
    StoreFixed(index, 4, sector + kIndexAt);
    StoreFixed(ChecksumOf({sector, kSectorBytes}, number, place), 4,
               sector + kChecksumAt);
    StoreFixed(number, 8, sector + kNumberAt);
    place.offset += kSectorBytes;
  }
}

uint64_t RawNumber(absl::string_view bytes) {
  return GetFixed(bytes, kNumberAt, 8);
}

std::optional<Sector> ReadSector(absl::string_view bytes,
                                 const SectorPlace& place) {
  Sector sector;
  sector.number = RawNumber(bytes);
  if (sector.number == 0 || GetFixed(bytes, kChecksumAt, 4) !=
                                ChecksumOf(bytes, sector.number, place)) {
    return std::nullopt;
  }
  const uint64_t index = GetFixed(bytes, kIndexAt, 4);
  sector.index = static_cast<uint32_t>(index & ~uint64_t{kCopyBit});
  sector.copy = (index & kCopyBit) != 0 ? 1 : 0;
  return sector;
}

bool PartialPayload::Has(uint64_t begin, uint64_t end) const {
  if (begin > end || end > bytes.size()) return false;
  for (uint64_t sector = begin / kSectorPayloadBytes;
       sector * kSectorPayloadBytes < end; ++sector) {
    if (!whole[sector]) return false;
  }
  return true;
}

uint64_t PayloadBytesOf(absl::string_view first, int* copies) {
  if (GetFixed(first, 0, 4) != kMagic) return 0;
  *copies = GetFixed(first, 4, 4) == 1 ? 1 : 2;
  const uint64_t bytes = GetFixed(first, 8, 8);
  return bytes >= kHeaderBytes ? bytes : 0;
}

namespace {

Slot ParseIdentifier(const PartialPayload& payload, uint64_t at, bool settled) {
  const absl::string_view bytes = payload.bytes;
  Slot slot;
  slot.state = Slot::State::kFaulty;
  slot.ballot = {GetFixed(bytes, at + 8, 8), GetId(bytes, at + 16)};
  slot.hash = std::string(bytes.substr(at + 32, kHashBytes));
  const uint64_t begin = GetFixed(bytes, at + 48, 4);
  const uint64_t size = GetFixed(bytes, at + 52, 4);
  if (settled || size == 0 || !payload.Has(begin, begin + size)) return slot;
  Entry entry = GetEntry(bytes.substr(begin, size));
  if (entry == nullptr || EntryHash(*entry) != slot.hash) return slot;
  slot.state = Slot::State::kAccepted;
  slot.entry = std::move(entry);
  return slot;
}

Seen ParseSeen(absl::string_view bytes, uint64_t at) {
  Seen note;
  note.incarnation = GetFixed(bytes, at + 16, 8);
  note.boot_nonce = GetFixed(bytes, at + 24, 8);
  note.promised = {GetFixed(bytes, at + 32, 8), GetId(bytes, at + 40)};
  note.end = GetFixed(bytes, at + 56, 8);
  return note;
}

}  // namespace

ParsedFrame ParsePayload(const PartialPayload& payload, uint64_t settled) {
  ParsedFrame frame;
  if (!payload.Has(0, kHeaderBytes)) return frame;
  const absl::string_view bytes = payload.bytes;
  frame.payload_bytes = PayloadBytesOf(bytes, &frame.header.copies);
  if (frame.payload_bytes == 0 || frame.payload_bytes > bytes.size()) {
    return frame;
  }
  frame.readable = true;
  frame.header.previous = GetFixed(bytes, 16, 8);
  frame.header.noted = GetFixed(bytes, 24, 8);
  frame.header.before_noted = GetFixed(bytes, 32, 8);
  const uint64_t identifiers = GetFixed(bytes, 40, 4);
  const uint64_t notes = GetFixed(bytes, 44, 4);
  frame.identified = true;
  uint64_t at = kHeaderBytes;
  for (uint64_t i = 0; i < identifiers; ++i, at += kIdentifierBytes) {
    if (!payload.Has(at, at + kIdentifierBytes)) {
      frame.identified = false;
      if (at >= bytes.size()) return frame;
      continue;
    }
    const uint64_t position = GetFixed(bytes, at, 8);
    frame.slots[position] = ParseIdentifier(payload, at, position < settled);
  }
  for (uint64_t i = 0; i < notes; ++i, at += kSeenBytes) {
    if (!payload.Has(at, at + kSeenBytes)) {
      frame.identified = false;
      if (at >= bytes.size()) return frame;
      continue;
    }
    frame.seen[std::string(bytes.substr(at, kMemberIdBytes))] =
        ParseSeen(bytes, at);
  }
  return frame;
}

}  // namespace quorate::log
