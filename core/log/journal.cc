#include "core/log/journal.h"

#include <glog/logging.h>

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "core/base/crc32c.h"
#include "core/base/planted.h"

namespace quorate::log {
namespace {

// Space is allocated in steps; on a disk that was full, this much ahead of what
// is written.
constexpr uint64_t kAllocationBytes = 4 << 20;
constexpr uint64_t kAheadBytes = 3 << 20;
// Votes with more than that are split.
constexpr uint64_t kMaxFrameBytes = 4 << 20;
constexpr size_t kMaxFrameVotes = 4096;
// At the end of a file, for truncations, and for what Recycle carries over.
constexpr uint64_t kTruncationBytes = 128 << 10;
constexpr uint64_t kCarryBytes = 2 << 20;
// The number of a frame: the life of the process, and a counter.
constexpr int kCounterBits = 40;
constexpr uint64_t kTolerantReadBytes = 4096;

uint64_t RoundDown(uint64_t value, uint64_t unit) {
  return value / unit * unit;
}

// The vote with the highest ballot, and of those one that is whole.
void Keep(uint64_t position, Slot slot, std::map<uint64_t, Slot>* slots) {
  auto [kept, is_new] = slots->emplace(position, slot);
  if (!is_new && (kept->second.ballot < slot.ballot ||
                  (kept->second.ballot == slot.ballot &&
                   kept->second.state == Slot::State::kFaulty))) {
    kept->second = std::move(slot);
  }
}

bool IsTruncation(const std::map<uint64_t, Slot>& votes) {
  return votes.empty() ||
         (votes.size() == 1 && votes.begin()->second.entry->type() == TRUNCATE);
}

}  // namespace

// The sectors of a frame that are whole.
struct Journal::Group {
  struct Found {
    uint64_t offset;
    Sector sector;
  };
  int file = 0;
  std::vector<Found> sectors;
};

struct Journal::Scan {
  std::string bytes[2];
  std::map<uint64_t, Group> groups;  // by number
};

struct Journal::Frame {
  uint64_t number = 0;
  int file = 0;
  uint64_t begin = 0;  // on disk
  uint64_t end = 0;
  bool complete = false;  // Each sector is there, in one of the copies.
  bool perfect = false;   // In all of them.
  // A sector was written, and is not readable any more.
  bool damaged = false;
  PartialPayload payload;
  ParsedFrame parsed;
};

Journal::Journal(io::Disk& disk, const Options& options)
    : disk_(disk),
      salt_(Crc32c(options.member)),
      segment_bytes_(RoundDown(options.segment_bytes, kBlockBytes)),
      small_bytes_(std::min(kSmallBytes, segment_bytes_ / 16)),
      next_((options.incarnation << kCounterBits) + 1) {}

absl::StatusOr<std::unique_ptr<Journal>> Journal::Open(io::Disk& disk,
                                                       const Options& options,
                                                       Contents* contents) {
  std::unique_ptr<Journal> journal(new Journal(disk, options));
  absl::Status loaded = journal->Load(options, contents);
  if (!loaded.ok()) return loaded;
  return journal;
}

absl::Status Journal::Load(const Options& options, Contents* contents) {
  Scan scan;
  for (int file = 0; file < 2; ++file) {
    auto opened = disk_.Open(absl::StrCat(options.directory, "/journal.", file),
                             io::Disk::Mode::kCreate);
    if (!opened.ok()) return opened.status();
    files_[file] = *std::move(opened);
    absl::Status read = ReadSectors(file, options, &scan);
    if (!read.ok()) return read;
  }
  std::vector<Frame> chain = FollowChain(scan, options, &contents->blind);
  const uint64_t top = chain.empty() ? 0 : chain.front().number;
  if (top < options.upto && options.upto > options.blind_through) {
    contents->blind = true;
  }
  if (Planted(Bug::kDamagedIsNone)) contents->blind = false;
  TakeOver(std::move(chain), options, contents);
  last_ = std::max({top, options.upto, options.blind_through});
  if (last_ != top) unnoted_.clear();
  next_ = std::max(next_, last_ + 1);
  if (!scan.groups.empty()) {
    next_ = std::max(next_, scan.groups.rbegin()->first + 1);
  }
  return absl::OkStatus();
}

// Finds the sectors of all frames that may matter.
absl::Status Journal::ReadSectors(int file, const Options& options,
                                  Scan* scan) {
  std::string& bytes = scan->bytes[file];
  auto size = files_[file]->Size();
  if (!size.ok()) return size.status();
  absl::Status read = files_[file]->ReadAt(0, *size, &bytes);
  if (!read.ok() && !options.tolerant) return read;
  if (!read.ok()) {
    bytes.assign(*size, '\0');
    std::string part;
    for (uint64_t at = 0; at < *size; at += kTolerantReadBytes) {
      if (!files_[file]->ReadAt(at, kTolerantReadBytes, &part).ok()) continue;
      bytes.replace(at, part.size(), part);
    }
  }
  allocated_[file] = RoundDown(bytes.size(), kBlockBytes);
  for (uint64_t at = 0; at + kSectorBytes <= bytes.size(); at += kSectorBytes) {
    const absl::string_view raw(bytes.data() + at, kSectorBytes);
    const uint64_t number = RawNumber(raw);
    if (number == 0 || number < options.from) continue;
    std::optional<Sector> sector = ReadSector(raw, {salt_, file, at});
    if (!sector || at < uint64_t{sector->index} * kSectorBytes) continue;
    Group& group = scan->groups[number];
    group.file = file;
    group.sectors.push_back({at, *sector});
  }
  return absl::OkStatus();
}

// Each sector from whichever copy has it.
Journal::Frame Journal::Assemble(const Scan& scan, uint64_t number,
                                 uint64_t settled) const {
  const Group& group = scan.groups.at(number);
  const absl::string_view bytes = scan.bytes[group.file];
  Frame frame;
  frame.number = number;
  frame.file = group.file;
  std::optional<uint64_t> starts[2];
  uint64_t payload_bytes = 0;
  int copies = 2;
  for (const auto& [offset, sector] : group.sectors) {
    starts[sector.copy] = offset - uint64_t{sector.index} * kSectorBytes;
    if (sector.index > 0 || payload_bytes > 0) continue;
    payload_bytes =
        PayloadBytesOf(bytes.substr(offset, kSectorPayloadBytes), &copies);
    if (payload_bytes > segment_bytes_) payload_bytes = 0;
  }
  const uint64_t size = FrameBytes(payload_bytes);
  if (payload_bytes > 0) {
    if (!starts[0] && *starts[1] >= size) starts[0] = *starts[1] - size;
    if (!starts[1] && copies == 2) starts[1] = *starts[0] + size;
  }
  frame.begin = starts[0].value_or(group.sectors.front().offset);
  frame.end =
      payload_bytes > 0
          ? frame.begin + size * copies
          : (group.sectors.back().offset / kBlockBytes + 1) * kBlockBytes;
  const uint64_t sectors = std::max<uint64_t>(size / kSectorBytes, 1);
  frame.payload.bytes.assign(sectors * kSectorPayloadBytes, '\0');
  frame.payload.whole.assign(sectors, false);
  for (const auto& [offset, sector] : group.sectors) {
    if (sector.index >= sectors) continue;
    frame.payload.whole[sector.index] = true;
    frame.payload.bytes.replace(sector.index * kSectorPayloadBytes,
                                kSectorPayloadBytes, bytes.data() + offset,
                                kSectorPayloadBytes);
  }
  frame.complete = payload_bytes > 0;
  for (uint64_t index = 0; index < sectors; ++index) {
    if (frame.payload.whole[index]) continue;
    frame.complete = false;
    for (const std::optional<uint64_t>& start : starts) {
      if (!start) continue;
      const uint64_t at = *start + index * kSectorBytes;
      frame.damaged |= at + kSectorBytes <= bytes.size() &&
                       RawNumber(bytes.substr(at)) == number;
    }
  }
  frame.perfect = frame.complete && group.sectors.size() == sectors * copies;
  if (payload_bytes > 0) frame.parsed = ParsePayload(frame.payload, settled);
  return frame;
}

// From the last frame that may have been answered back to the first that
// matters.
std::vector<Journal::Frame> Journal::FollowChain(const Scan& scan,
                                                 const Options& options,
                                                 bool* blind) {
  std::vector<Frame> chain;
  const auto& groups = scan.groups;
  if (groups.empty()) return chain;
  uint64_t number = groups.rbegin()->first;
  FrameHeader above;    // of the frame after this one
  bool proven = false;  // Something that came after it was written.
  while (number > 0 && number >= options.from) {
    proven |= number <= options.upto;
    std::optional<Frame> frame;
    if (groups.count(number) != 0) {
      frame = Assemble(scan, number, options.settled);
    }
    const bool torn = frame && !frame->complete && !frame->damaged && !proven;
    const bool noted = above.noted == number;
    if (torn) {
      torn_.push_back({frame->file, frame->begin, frame->end});
    } else if (!(frame && frame->parsed.identified) && !noted &&
               number > options.blind_through) {
      LOG(ERROR) << "the journal in " << options.directory
                 << " has lost a write of votes, number " << number;
      *blind = true;
    }
    proven = true;
    auto lower = groups.lower_bound(number);
    uint64_t next = lower == groups.begin() ? 0 : std::prev(lower)->first;
    if (frame && frame->parsed.readable) {
      next = frame->parsed.header.previous;
      above = frame->parsed.header;
    } else {
      if (noted) next = above.before_noted;
      above = {};
    }
    if (frame && !torn) chain.push_back(*std::move(frame));
    number = next;
  }
  return chain;
}

void Journal::TakeOver(std::vector<Frame> chain, const Options& options,
                       Contents* contents) {
  if (chain.empty()) return;
  const Frame& top = chain.front();
  active_ = top.file;
  offset_ = std::min(top.end, RoundDown(segment_bytes_, kBlockBytes));
  if (top.parsed.readable && top.parsed.header.copies == 1) {
    unnoted_ = top.parsed.slots;
  }
  before_last_ = top.parsed.header.previous;
  for (auto frame = chain.rbegin(); frame != chain.rend(); ++frame) {
    if (first_[frame->file] == 0) first_[frame->file] = frame->number;
    for (auto& [position, slot] : frame->parsed.slots) {
      if (position < options.settled) continue;
      votes_[frame->file].emplace_back(position, slot.ballot);
      Keep(position, std::move(slot), &contents->slots);
    }
    for (const auto& [id, seen] : frame->parsed.seen) {
      contents->seen[id] = seen;
    }
    // The last one may not be durable, whatever an earlier sync has said.
    if (!frame->complete || (frame->perfect && frame->number != top.number)) {
      continue;
    }
    std::string bytes;
    const absl::string_view payload = frame->payload.bytes;
    for (int copy = 0; copy < frame->parsed.header.copies; ++copy) {
      AppendSectors(payload.substr(0, frame->parsed.payload_bytes),
                    frame->number, copy,
                    {salt_, frame->file, frame->begin + bytes.size()}, &bytes);
    }
    repairs_.push_back({frame->file, frame->begin, std::move(bytes)});
  }
  full_ = first_[1 - active_] != 0;
}

absl::Status Journal::Begin(const std::map<uint64_t, Slot>& faulty) {
  for (const Extent& torn : torn_) {
    absl::Status wiped = files_[torn.file]->WriteAt(
        torn.begin, std::string(torn.end - torn.begin, '\0'));
    if (!wiped.ok()) return wiped;
  }
  for (const Repair& repair : repairs_) {
    absl::Status written =
        files_[repair.file]->WriteAt(repair.offset, repair.bytes);
    if (!written.ok()) return written;
  }
  for (int file = 0; file < 2; ++file) {
    absl::Status synced = Sync(file);
    if (!synced.ok()) return synced;
  }
  torn_.clear();
  repairs_.clear();
  // Now, and not while somebody waits for a vote.
  for (int file : {active_, 1 - active_}) {
    absl::Status extended = Extend(file, segment_bytes_);
    if (!extended.ok() && !absl::IsResourceExhausted(extended)) return extended;
  }
  std::map<uint64_t, Slot> identifiers = std::move(unnoted_);
  const bool large = !identifiers.empty();
  for (const auto& [position, slot] : faulty) identifiers[position] = slot;
  const uint64_t bytes = FrameBytes(PayloadBytes(identifiers, false, 0)) * 2;
  Head head{active_, offset_, full_};
  if (!Place(bytes, Use::kVotes, &head) || head.active != active_) {
    return absl::OkStatus();
  }
  FrameHeader header;
  header.previous = last_;
  if (large) {
    header.noted = last_;
    header.before_noted = before_last_;
  }
  return WriteFrame(header, identifiers, false, {});
}

// Room.

uint64_t Journal::EndOf(int file) const {
  return disk_full_ ? std::min(allocated_[file], segment_bytes_)
                    : segment_bytes_;
}

// Finds room; false if there is none.
bool Journal::Place(uint64_t bytes, Use use, Head* head) const {
  uint64_t kept = 0;
  if (use != Use::kCarriedOver)
    kept += std::min(kCarryBytes, segment_bytes_ / 8);
  if (use == Use::kVotes)
    kept += std::min(kTruncationBytes, segment_bytes_ / 8);
  if (head->offset + bytes + kept <= EndOf(head->active)) {
    head->offset += bytes;
    return true;
  }
  if (head->full || bytes + kept > EndOf(1 - head->active)) return false;
  *head = {1 - head->active, bytes, true};
  return true;
}

// An estimate of what fits into one Append.
uint64_t Journal::Room(Use use) const {
  uint64_t kept = std::min(kCarryBytes, segment_bytes_ / 8);
  if (use == Use::kVotes)
    kept += std::min(kTruncationBytes, segment_bytes_ / 8);
  const auto left = [&](uint64_t end, uint64_t offset) {
    return end > offset + kept ? end - offset - kept : 0;
  };
  uint64_t room = left(EndOf(active_), offset_);
  if (!full_) room = std::max(room, left(EndOf(1 - active_), 0));
  // A small frame twice; or sectors with their trailers, identifiers (of small
  // entries they are more than these), and what frames leave unused.
  const uint64_t overhead =
      std::max(3 * small_bytes_, std::min(kCarryBytes, segment_bytes_ / 8));
  return room > overhead ? (room - overhead) / 16 * 15 : 0;
}

uint64_t Journal::free_bytes() const { return Room(Use::kVotes); }
uint64_t Journal::truncation_bytes() const { return Room(Use::kTruncation); }

absl::Status Journal::Extend(int file, uint64_t end) {
  uint64_t& allocated = allocated_[file];
  if (end <= allocated) return absl::OkStatus();
  std::string zeros;
  while (allocated < std::min(end, segment_bytes_)) {
    zeros.resize(std::min(segment_bytes_ - allocated, kAllocationBytes), '\0');
    absl::Status status = files_[file]->WriteAt(allocated, zeros);
    if (status.ok()) status = Sync(file);
    disk_full_ = absl::IsResourceExhausted(status);
    if (disk_full_) {
      // A part of it may have been written, and others need the space.
      absl::Status back = files_[file]->Truncate(allocated);
      if (!back.ok()) return back;
    }
    if (!status.ok()) return status;
    allocated += zeros.size();
  }
  return absl::OkStatus();
}

// What Begin found no space for. That there is none is told by the room.
absl::Status Journal::ExtendAhead() {
  absl::Status status = Extend(active_, offset_ + kAheadBytes);
  if (status.ok() && !full_ && offset_ + kAheadBytes > segment_bytes_) {
    status = Extend(1 - active_, kAheadBytes);
  }
  return absl::IsResourceExhausted(status) ? absl::OkStatus() : status;
}

// Writing.

absl::Status Journal::Sync(int file) {
  absl::Status status = files_[file]->Sync();
  if (absl::IsUnavailable(status) && Planted(Bug::kSyncRetried)) {
    return files_[file]->Sync();
  }
  return status;
}

absl::Status Journal::Append(const std::map<uint64_t, Slot>& accepted,
                             const std::map<MemberId, Seen>& seen) {
  // As many frames as it takes.
  std::vector<std::map<uint64_t, Slot>> frames(1);
  uint64_t bytes = 0;
  for (const auto& [position, slot] : accepted) {
    const uint64_t size = slot.entry->ByteSizeLong();
    if (!frames.back().empty() && (bytes + size > kMaxFrameBytes ||
                                   frames.back().size() >= kMaxFrameVotes)) {
      frames.emplace_back();
      bytes = 0;
    }
    bytes += size;
    frames.back()[position] = slot;
  }
  const Use use = IsTruncation(accepted) ? Use::kTruncation : Use::kVotes;
  Head head{active_, offset_, full_};
  for (const auto& votes : frames) {
    const size_t notes = &votes == &frames.front() ? seen.size() : 0;
    const uint64_t payload = PayloadBytes(votes, true, notes);
    const uint64_t room =
        payload <= small_bytes_
            ? 2 * FrameBytes(payload)
            : FrameBytes(payload) +
                  2 * FrameBytes(PayloadBytes(votes, false, 0));
    if (!Place(room, use, &head)) {
      return absl::ResourceExhaustedError("the journal has no room");
    }
    absl::Status extended = Extend(head.active, head.offset);
    if (!extended.ok()) return extended;
  }
  for (const auto& votes : frames) {
    const bool first = &votes == &frames.front();
    absl::Status status =
        WriteVotes(votes, first ? seen : std::map<MemberId, Seen>(), use);
    if (!status.ok()) return status;
  }
  return ExtendAhead();
}

absl::Status Journal::WriteVotes(const std::map<uint64_t, Slot>& votes,
                                 const std::map<MemberId, Seen>& seen,
                                 Use use) {
  const uint64_t payload = PayloadBytes(votes, true, seen.size());
  const bool small = payload <= small_bytes_;
  uint64_t bytes = FrameBytes(payload);
  bytes += small ? bytes : 2 * FrameBytes(PayloadBytes(votes, false, 0));
  Head head{active_, offset_, full_};
  CHECK(Place(bytes, use, &head));
  if (head.active != active_) {
    active_ = head.active;
    offset_ = 0;
    full_ = true;
    first_[active_] = next_;
    votes_[active_].clear();
  }
  for (const auto& [position, slot] : votes) {
    votes_[active_].emplace_back(position, slot.ballot);
  }
  FrameHeader header;
  header.previous = last_;
  header.copies = small ? 2 : 1;
  absl::Status status = WriteFrame(header, votes, true, seen);
  if (!status.ok() || small || Planted(Bug::kAckBeforeIdentifier)) {
    return status;
  }
  FrameHeader note;
  note.previous = last_;
  note.noted = last_;
  note.before_noted = before_last_;
  return WriteFrame(note, votes, false, {});
}

absl::Status Journal::WriteFrame(const FrameHeader& header,
                                 const std::map<uint64_t, Slot>& slots,
                                 bool with_entries,
                                 const std::map<MemberId, Seen>& seen) {
  const std::string payload = EncodePayload(header, slots, with_entries, seen);
  const uint64_t number = next_++;
  if (first_[active_] == 0) first_[active_] = number;
  std::string bytes;
  bytes.reserve(FrameBytes(payload.size()) * header.copies);
  for (int copy = 0; copy < header.copies; ++copy) {
    AppendSectors(payload, number, copy,
                  {salt_, active_, offset_ + bytes.size()}, &bytes);
  }
  absl::Status status = files_[active_]->WriteAt(offset_, bytes);
  offset_ += bytes.size();
  if (status.ok()) status = Sync(active_);
  if (!status.ok()) return status;
  before_last_ = last_;
  last_ = number;
  return absl::OkStatus();
}

// Taking turns.

absl::Status Journal::Prepare(uint64_t settled,
                              const std::map<uint64_t, Slot>& unsettled) {
  if (absl::Status extended = ExtendAhead(); !extended.ok()) return extended;
  if (!full_) return absl::OkStatus();
  for (const auto& [position, ballot] : votes_[1 - active_]) {
    if (position < settled) continue;
    auto kept = unsettled.find(position);
    if (kept == unsettled.end()) return absl::OkStatus();
    if (kept->second.ballot < ballot &&
        kept->second.state != Slot::State::kLearned) {
      return absl::OkStatus();
    }
  }
  const uint64_t bytes = FrameBytes(PayloadBytes(unsettled, false, 0)) * 2;
  Head head{active_, offset_, full_};
  // The reserve for it holds more than an acceptor keeps.
  if (!Place(bytes, Use::kCarriedOver, &head)) return absl::OkStatus();
  for (const auto& [position, slot] : unsettled) {
    votes_[active_].emplace_back(position, slot.ballot);
  }
  FrameHeader header;
  header.previous = last_;
  absl::Status written = WriteFrame(header, unsettled, false, {});
  prepared_ = written.ok();
  return written;
}

void Journal::Recycle() {
  if (!prepared_) return;
  prepared_ = false;
  full_ = false;
  first_[1 - active_] = 0;
  votes_[1 - active_].clear();
}

}  // namespace quorate::log
