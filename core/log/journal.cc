#include "core/log/journal.h"

#include <glog/logging.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "core/base/crc32c.h"
#include "core/base/planted.h"
#include "core/log/fixed_bytes.h"
#include "core/log/messages.h"

namespace quorate::log {
namespace {

constexpr size_t kTrailerBytes = 16;  // checksum, index, number
constexpr size_t kPayloadBytes = Journal::kSectorBytes - kTrailerBytes;
// Space is allocated in steps, ahead of what is written.
constexpr uint64_t kAllocationBytes = 4 << 20;
// The number of a frame: the life of the process, and a counter.
constexpr int kCounterBits = 40;
// magic, size of the header, size of the records, number of the frame.
constexpr uint32_t kMagic = 0x314e524a;  // "JRN1"
constexpr size_t kPreambleBytes = 4 + 4 + 4 + 8;
// position, ballot, hash.
constexpr size_t kIdentifierBytes = 8 + 8 + kMemberIdBytes + kHashBytes;
constexpr size_t kSeenBytes = kMemberIdBytes + 8 + 8 + 8 + kMemberIdBytes + 8;
// What a frame needs beside the entries, at most, for an estimate.
constexpr uint64_t kOverheadBytes = 16 << 10;

uint64_t RoundUp(uint64_t value, uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

uint64_t FrameBytes(uint64_t payload) {
  const uint64_t sectors = (payload + kPayloadBytes - 1) / kPayloadBytes;
  return RoundUp(sectors * Journal::kSectorBytes, Journal::kBlockBytes);
}

// Ids have one length, or are empty.
void PutId(const std::string& id, std::string* out) {
  CHECK(id.empty() || id.size() == kMemberIdBytes);
  out->append(id.empty() ? std::string(kMemberIdBytes, '\0') : id);
}

std::string GetId(absl::string_view in, size_t at) {
  std::string id(in.substr(at, kMemberIdBytes));
  return id == std::string(kMemberIdBytes, '\0') ? std::string() : id;
}

uint32_t SectorChecksum(absl::string_view sector, uint64_t place) {
  std::string salt;
  PutFixed(place, 8, &salt);
  // Index and number count, the checksum itself does not.
  return Crc32c(salt, Crc32c(sector.substr(kPayloadBytes + 4),
                             Crc32c(sector.substr(0, kPayloadBytes))));
}

// Cuts a payload into sectors, for one place on disk.
std::string ToSectors(const std::string& payload, uint64_t number,
                      uint64_t offset, int file) {
  std::string out;
  out.reserve(FrameBytes(payload.size()));
  uint32_t index = 0;
  for (size_t at = 0; at < payload.size(); at += kPayloadBytes, ++index) {
    const size_t begin = out.size();
    out.append(payload, at, kPayloadBytes);
    out.resize(begin + kPayloadBytes, '\0');
    std::string trailer;
    PutFixed(index, 4, &trailer);
    PutFixed(number, 8, &trailer);
    out.append(4, '\0');
    out += trailer;
    const uint64_t place =
        ((offset + begin) / Journal::kSectorBytes) * 2 + file;
    std::string checksum;
    PutFixed(SectorChecksum(absl::string_view(out).substr(begin), place), 4,
             &checksum);
    memcpy(&out[begin + kPayloadBytes], checksum.data(), 4);
  }
  out.resize(RoundUp(out.size(), Journal::kBlockBytes), '\0');
  return out;
}

enum class SectorState { kWritten, kDamaged, kNotWritten };

struct Sector {
  SectorState state = SectorState::kNotWritten;
  uint32_t index = 0;
  uint64_t number = 0;
};

Sector LookAt(absl::string_view file, uint64_t offset, int which) {
  Sector sector;
  if (offset + Journal::kSectorBytes > file.size()) return sector;
  const absl::string_view bytes = file.substr(offset, Journal::kSectorBytes);
  sector.index = static_cast<uint32_t>(GetFixed(bytes, kPayloadBytes + 4, 4));
  sector.number = GetFixed(bytes, kPayloadBytes + 8, 8);
  if (sector.number == 0) return sector;
  const uint64_t place = (offset / Journal::kSectorBytes) * 2 + which;
  sector.state = GetFixed(bytes, kPayloadBytes, 4) ==
                         SectorChecksum(bytes, place)
                     ? SectorState::kWritten
                     : SectorState::kDamaged;
  return sector;
}

void Keep(std::map<uint64_t, Slot>* slots, uint64_t position, Slot slot) {
  auto [kept, is_new] = slots->emplace(position, slot);
  if (is_new || kept->second.ballot < slot.ballot ||
      (kept->second.ballot == slot.ballot &&
       kept->second.state == Slot::State::kFaulty)) {
    kept->second = std::move(slot);
  }
}

}  // namespace

namespace {

// The header: the last durable frame, whether the identifiers are that frame's,
// counts of identifiers and of notes on others; those; a checksum. A record:
// position, round, member, size, entry.
constexpr size_t kHeaderFixedBytes = 8 + 4 + 4 + 4;

bool ParseHeader(absl::string_view header, uint64_t* synced, bool* repeats,
                 std::map<uint64_t, Slot>* identifiers,
                 std::map<MemberId, Seen>* seen) {
  if (header.size() < kHeaderFixedBytes + 4) return false;
  const absl::string_view content = header.substr(0, header.size() - 4);
  if (Crc32c(content) != GetFixed(header, content.size(), 4)) return false;
  *synced = GetFixed(content, 0, 8);
  *repeats = GetFixed(content, 8, 4) != 0;
  const uint64_t ids = GetFixed(content, 12, 4);
  const uint64_t notes = GetFixed(content, 16, 4);
  if (content.size() !=
      kHeaderFixedBytes + ids * kIdentifierBytes + notes * kSeenBytes) {
    return false;
  }
  size_t at = kHeaderFixedBytes;
  for (uint64_t i = 0; i < ids; ++i, at += kIdentifierBytes) {
    Slot slot;
    slot.state = Slot::State::kFaulty;
    slot.ballot = {GetFixed(content, at + 8, 8), GetId(content, at + 16)};
    slot.hash = std::string(content.substr(at + 32, kHashBytes));
    Keep(identifiers, GetFixed(content, at, 8), std::move(slot));
  }
  for (uint64_t i = 0; i < notes; ++i, at += kSeenBytes) {
    Seen& note = (*seen)[std::string(content.substr(at, kMemberIdBytes))];
    note.incarnation = GetFixed(content, at + 16, 8);
    note.boot_nonce = GetFixed(content, at + 24, 8);
    note.promised = {GetFixed(content, at + 32, 8), GetId(content, at + 40)};
    note.end = GetFixed(content, at + 56, 8);
  }
  return true;
}

bool ParseRecords(absl::string_view bytes, std::map<uint64_t, Slot>* records) {
  constexpr size_t kFixed = 8 + 8 + kMemberIdBytes + 4;
  while (!bytes.empty()) {
    if (bytes.size() < kFixed) return false;
    const uint64_t size = GetFixed(bytes, 16 + kMemberIdBytes, 4);
    if (bytes.size() - kFixed < size) return false;
    auto entry = std::make_shared<EntryProto>();
    if (!entry->ParseFromArray(bytes.data() + kFixed, static_cast<int>(size))) {
      return false;
    }
    Slot slot;
    slot.ballot = {GetFixed(bytes, 8, 8), GetId(bytes, 16)};
    slot.hash = EntryHash(*entry);
    slot.entry = std::move(entry);
    Keep(records, GetFixed(bytes, 0, 8), std::move(slot));
    bytes.remove_prefix(kFixed + size);
  }
  return true;
}

std::string EncodeHeader(uint64_t synced, bool repeats,
                         const std::map<uint64_t, Slot>& identifiers,
                         const std::map<MemberId, Seen>& seen) {
  std::string header;
  PutFixed(synced, 8, &header);
  PutFixed(repeats ? 1 : 0, 4, &header);
  PutFixed(identifiers.size(), 4, &header);
  PutFixed(seen.size(), 4, &header);
  for (const auto& [position, slot] : identifiers) {
    PutFixed(position, 8, &header);
    PutFixed(slot.ballot.round, 8, &header);
    PutId(slot.ballot.member, &header);
    CHECK_EQ(slot.hash.size(), kHashBytes);
    header += slot.hash;
  }
  for (const auto& [id, note] : seen) {
    PutId(id, &header);
    PutFixed(note.incarnation, 8, &header);
    PutFixed(note.boot_nonce, 8, &header);
    PutFixed(note.promised.round, 8, &header);
    PutId(note.promised.member, &header);
    PutFixed(note.end, 8, &header);
  }
  PutFixed(Crc32c(header), 4, &header);
  return header;
}

void AppendRecord(uint64_t position, const Slot& slot, std::string* out) {
  PutFixed(position, 8, out);
  PutFixed(slot.ballot.round, 8, out);
  PutId(slot.ballot.member, out);
  const size_t size = slot.entry->ByteSizeLong();
  PutFixed(size, 4, out);
  const size_t at = out->size();
  out->resize(at + size);
  slot.entry->SerializeWithCachedSizesToArray(
      reinterpret_cast<uint8_t*>(&(*out)[at]));
}

}  // namespace

Journal::Journal(io::Disk& disk, const Options& options)
    : disk_(disk),
      segment_bytes_(RoundUp(options.segment_bytes, kBlockBytes)),
      next_((options.incarnation << kCounterBits) + 1) {}

absl::StatusOr<std::unique_ptr<Journal>> Journal::Open(io::Disk& disk,
                                                       const Options& options,
                                                       Contents* contents) {
  std::unique_ptr<Journal> journal(new Journal(disk, options));
  if (absl::Status loaded = journal->Load(options, contents); !loaded.ok()) {
    return loaded;
  }
  return journal;
}

namespace {

// A frame as far as it can be read from one place.
struct Frame {
  uint64_t number = 0;
  uint64_t synced = 0;   // the last frame that was durable before it
  bool repeats = false;  // Its identifiers are those of that one.
  bool header = false;   // Identifiers and notes are readable.
  bool whole = false;    // And the records.
  bool damaged = false;  // A sector was written, and is unreadable now.
  uint64_t bytes = 0;    // on disk
  std::map<uint64_t, Slot> identifiers;
  std::map<uint64_t, Slot> records;
  std::map<MemberId, Seen> seen;
};

// The bytes of the frame's sectors, as far as they are there.
std::string ReadSectors(absl::string_view file, uint64_t offset, int which,
                        uint64_t number, bool* damaged) {
  std::string bytes;
  uint64_t wanted = kPreambleBytes;
  for (uint32_t index = 0; bytes.size() < wanted; ++index) {
    const uint64_t at = offset + index * Journal::kSectorBytes;
    const Sector sector = LookAt(file, at, which);
    if (sector.number == number && sector.state == SectorState::kDamaged) {
      *damaged = true;
    }
    if (sector.state != SectorState::kWritten || sector.number != number ||
        sector.index != index) {
      break;
    }
    const absl::string_view payload = file.substr(at, kPayloadBytes);
    bytes.append(payload.data(), payload.size());
    if (index > 0) continue;
    wanted += GetFixed(payload, 4, 4) + GetFixed(payload, 8, 4);
  }
  return bytes;
}

void ParseFrame(absl::string_view payload, Frame* frame) {
  if (payload.size() < kPreambleBytes || GetFixed(payload, 0, 4) != kMagic ||
      GetFixed(payload, 12, 8) != frame->number) {
    return;
  }
  const uint64_t header = GetFixed(payload, 4, 4);
  const uint64_t records = GetFixed(payload, 8, 4);
  frame->header = payload.size() >= kPreambleBytes + header &&
                  ParseHeader(payload.substr(kPreambleBytes, header),
                              &frame->synced, &frame->repeats,
                              &frame->identifiers, &frame->seen);
  frame->whole =
      frame->header && payload.size() >= kPreambleBytes + header + records &&
      ParseRecords(payload.substr(kPreambleBytes + header, records),
                   &frame->records);
  for (const auto& [position, record] : frame->records) {
    auto id = frame->identifiers.find(position);
    frame->whole &= id != frame->identifiers.end() &&
                    id->second.ballot == record.ballot &&
                    id->second.hash == record.hash;
  }
  if (frame->whole) {
    frame->bytes = FrameBytes(kPreambleBytes + header + records);
  }
}

// What begins at a block: a frame, its remains, or none.
std::optional<Frame> FrameAt(absl::string_view file, uint64_t offset,
                             int which) {
  const Sector first = LookAt(file, offset, which);
  if (first.number == 0) return std::nullopt;
  Frame frame;
  frame.number = first.number;
  frame.bytes = Journal::kBlockBytes;
  frame.damaged = first.state == SectorState::kDamaged;
  if (first.state == SectorState::kWritten && first.index == 0) {
    ParseFrame(
        ReadSectors(file, offset, which, frame.number, &frame.damaged),
        &frame);
  }
  return frame;
}

using Place = std::pair<int, uint64_t>;  // file, offset

uint64_t CounterOf(uint64_t number) {
  return number & ((uint64_t{1} << kCounterBits) - 1);
}

}  // namespace

// Everything that is found in both files.
struct Journal::Found {
  struct Copies {
    Frame best;
    Place begin;
    Place end;
  };

  void Add(Frame frame, int which, uint64_t offset) {
    const Place begin(which, offset);
    const Place end(which, offset + frame.bytes);
    auto [copies, is_new] =
        frames.emplace(frame.number, Copies{frame, begin, end});
    if (is_new) return;
    Frame& best = copies->second.best;
    const bool damaged = best.damaged || frame.damaged;
    if ((frame.whole && !best.whole) || (frame.header && !best.header)) {
      best = std::move(frame);
    }
    best.damaged = damaged;
    copies->second.begin = std::min(copies->second.begin, begin);
    copies->second.end = std::max(copies->second.end, end);
  }

  // The latest frame that may have been answered: whole, or damaged since.
  void FindHighest() {
    for (const auto& [number, copies] : frames) {
      const Frame& frame = copies.best;
      if (frame.header) proven = std::max(proven, frame.synced);
      if (frame.whole || (frame.header && frame.damaged)) highest = number;
    }
    highest = std::max(highest, proven);
  }

  const Frame* Readable(uint64_t number) const {
    auto found = frames.find(number);
    return found != frames.end() && found->second.best.header
               ? &found->second.best
               : nullptr;
  }

  // Follows each frame to the one that was durable before it. What is not on
  // the way was torn by a crash, and passed over ever since.
  void FollowChain(uint64_t from) {
    bool repeated = false;
    for (uint64_t number = highest; number >= from && number > 0;) {
      chain.insert(number);
      const Frame* frame = Readable(number);
      if (frame == nullptr && !repeated) broken = true;
      if (frame == nullptr && CounterOf(number) <= 1) return;
      repeated = frame != nullptr && frame->repeats;
      number = frame == nullptr ? number - 1 : frame->synced;
    }
  }

  std::map<uint64_t, Copies> frames;
  uint64_t highest = 0;
  uint64_t proven = 0;  // durable, by the word of a later one
  std::set<uint64_t> chain;
  bool broken = false;  // A frame of the chain has no readable header.
};

absl::Status Journal::Scan(int which, uint64_t from, Found* found) {
  std::string bytes;
  auto size = files_[which]->Size();
  if (!size.ok()) return size.status();
  absl::Status read = files_[which]->ReadAt(0, *size, &bytes);
  if (!read.ok()) return read;
  allocated_[which] = bytes.size() / kBlockBytes * kBlockBytes;
  for (uint64_t at = 0; at + kSectorBytes <= bytes.size();) {
    std::optional<Frame> frame = FrameAt(bytes, at, which);
    const uint64_t step = frame ? frame->bytes : kBlockBytes;
    if (frame && frame->number >= from) {
      found->Add(*std::move(frame), which, at);
    }
    at += step;
  }
  return absl::OkStatus();
}

// A frame that would have come next, damaged beyond its identifiers.
bool Journal::TailIsDamaged(const Found& found) const {
  const Place next[] = {{active_, offset_}, {1 - active_, 0}};
  return std::any_of(
      found.frames.begin(), found.frames.end(), [&](const auto& entry) {
        const Found::Copies& copies = entry.second;
        // Other numbers are what damage has made of older ones.
        const bool is_next = entry.first == found.highest + 1 ||
                             (CounterOf(entry.first) == 1 &&
                              entry.first > found.highest && entry.first < next_);
        return is_next && copies.best.damaged && !copies.best.header &&
               (copies.begin == next[0] || copies.begin == next[1]);
      });
}

void Journal::Collect(const Found& found, Contents* contents) const {
  for (const auto& [number, copies] : found.frames) {
    const Frame& frame = copies.best;
    if (!frame.header ||
        (found.chain.count(number) == 0 && !(found.broken && frame.whole))) {
      continue;
    }
    for (const auto& [position, slot] : frame.identifiers) {
      Keep(&contents->slots, position, slot);
    }
    for (const auto& [position, slot] : frame.records) {
      if (frame.whole) Keep(&contents->slots, position, slot);
    }
    for (const auto& [id, note] : frame.seen) contents->seen[id] = note;
  }
}

absl::Status Journal::Load(const Options& options, Contents* contents) {
  Found found;
  for (int which = 0; which < 2; ++which) {
    auto file = disk_.Open(absl::StrCat(options.directory, "/journal.", which),
                           io::Disk::Mode::kCreate);
    if (!file.ok()) return file.status();
    files_[which] = *std::move(file);
    absl::Status scanned = Scan(which, options.from, &found);
    if (!scanned.ok()) return scanned;
  }
  found.FindHighest();
  found.FollowChain(options.from);
  for (uint64_t number : found.chain) {
    auto copies = found.frames.find(number);
    if (copies == found.frames.end()) continue;
    uint64_t& first = first_[copies->second.begin.first];
    if (first == 0) first = number;
  }
  if (auto latest = found.frames.find(found.highest);
      latest != found.frames.end()) {
    std::tie(active_, offset_) = latest->second.end;
    full_ = first_[1 - active_] != 0;
  }
  synced_ = found.highest;
  Collect(found, contents);
  contents->blind = !Planted(Bug::kDamagedIsNone) &&
                    (found.broken || TailIsDamaged(found) ||
                     (options.head > 0 && found.highest < options.head));
  return absl::OkStatus();
}

uint64_t Journal::Left() const { return segment_bytes_ - offset_; }

uint64_t Journal::free_bytes() const {
  const uint64_t best = full_ ? Left() : segment_bytes_;
  // Two copies if it is small, sectors with their trailers, and what follows.
  const uint64_t usable = best * kPayloadBytes / kSectorBytes;
  const uint64_t needed = 2 * kSmallBytes + 2 * kOverheadBytes;
  return usable > needed ? usable - needed : 0;
}

// So that no sync on the way of a vote has to wait for the file system.
absl::Status Journal::Extend(uint64_t end) {
  uint64_t& allocated = allocated_[active_];
  if (end <= allocated) return absl::OkStatus();
  const uint64_t wanted = std::min(
      segment_bytes_, RoundUp(end, std::min(kAllocationBytes, segment_bytes_)));
  const std::string zeros(kAllocationBytes, '\0');
  while (allocated < wanted) {
    const uint64_t size = std::min(wanted - allocated, kAllocationBytes);
    absl::Status written = files_[active_]->WriteAt(
        allocated, absl::string_view(zeros).substr(0, size));
    if (!written.ok()) return written;
    allocated += size;
  }
  return absl::OkStatus();
}

// Makes sure that so many bytes fit into the active file.
absl::Status Journal::Reserve(uint64_t bytes) {
  if (bytes > Left()) {
    if (full_ || bytes > segment_bytes_) {
      return absl::ResourceExhaustedError("the journal has no room");
    }
    full_ = true;
    active_ = 1 - active_;
    offset_ = 0;
    first_[active_] = next_;
  }
  if (first_[active_] == 0) first_[active_] = next_;
  return Extend(offset_ + bytes);
}

absl::Status Journal::WriteFrame(const std::map<uint64_t, Slot>& identifiers,
                                 const std::map<uint64_t, Slot>& records,
                                 const std::map<MemberId, Seen>& seen,
                                 bool repeats) {
  const std::string header = EncodeHeader(synced_, repeats, identifiers, seen);
  std::string payload;
  uint64_t record_bytes = 0;
  for (const auto& [position, slot] : records) {
    record_bytes += 8 + 8 + kMemberIdBytes + 4 + slot.entry->ByteSizeLong();
  }
  payload.reserve(kPreambleBytes + header.size() + record_bytes);
  PutFixed(kMagic, 4, &payload);
  PutFixed(header.size(), 4, &payload);
  PutFixed(record_bytes, 4, &payload);
  PutFixed(next_, 8, &payload);
  payload += header;
  for (const auto& [position, slot] : records) {
    AppendRecord(position, slot, &payload);
  }
  const int copies = payload.size() <= kSmallBytes ? 2 : 1;
  const uint64_t bytes = FrameBytes(payload.size());
  // A large frame is followed by its identifiers.
  const uint64_t after =
      copies == 1 ? 2 * FrameBytes(kPreambleBytes + header.size()) : 0;
  absl::Status status = Reserve(copies * bytes + after);
  const uint64_t number = next_;
  for (int copy = 0; copy < copies && status.ok(); ++copy) {
    status = files_[active_]->WriteAt(
        offset_, ToSectors(payload, number, offset_, active_));
    offset_ += bytes;
  }
  if (status.ok()) status = files_[active_]->Sync();
  if (!status.ok()) {
    if (!Planted(Bug::kSyncRetried) || !absl::IsUnavailable(status)) {
      return status;
    }
    status = files_[active_]->Sync();
    if (!status.ok()) return status;
  }
  synced_ = number;
  ++next_;
  if (copies == 2 || Planted(Bug::kAckBeforeIdentifier)) {
    return absl::OkStatus();
  }
  return WriteFrame(identifiers, {}, {}, true);
}

absl::Status Journal::Append(const std::map<uint64_t, Slot>& accepted,
                             const std::map<MemberId, Seen>& seen) {
  return WriteFrame(accepted, accepted, seen, false);
}

absl::Status Journal::CarryOver(const std::map<uint64_t, Slot>& unsettled) {
  return WriteFrame(unsettled, {}, {}, false);
}

}  // namespace quorate::log
