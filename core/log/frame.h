// The bytes of the journal.
//
// A frame is one write of votes. On disk it is a row of 512-byte sectors, each
// with a trailer: the place in the frame, a checksum (over where the sector is
// as well), and, last, the frame's number. Whatever a crash leaves of a frame,
// each of its sectors is the new one or an older one, and says which; anything
// else is damage.
//
// The payload begins with a header and an identifier (position, ballot, hash,
// and where the record is) for each vote; then come the records.

#ifndef QUORATE_CORE_LOG_FRAME_H_
#define QUORATE_CORE_LOG_FRAME_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/log/types.h"

namespace quorate::log {

inline constexpr size_t kSectorBytes = 512;
inline constexpr size_t kTrailerBytes = 16;
inline constexpr size_t kSectorPayloadBytes = kSectorBytes - kTrailerBytes;
// Frames begin, and end, at multiples of it.
inline constexpr size_t kBlockBytes = 4096;

// How many bytes a copy of a frame takes on disk.
uint64_t FrameBytes(uint64_t payload_bytes);

// What a frame says beside its votes.
struct FrameHeader {
  // The number of the frame that was durable before: what has a number in
  // between was torn by a crash and counts for nothing.
  uint64_t previous = 0;
  // A large frame whose identifiers this one repeats, and what was durable
  // before that one.
  uint64_t noted = 0;
  uint64_t before_noted = 0;
  int copies = 2;
};

// Without the entries: identifiers only.
std::string EncodePayload(const FrameHeader& header,
                          const std::map<uint64_t, Slot>& slots,
                          bool with_entries,
                          const std::map<MemberId, Seen>& seen);
// Of an encoded payload with these slots.
uint64_t PayloadBytes(const std::map<uint64_t, Slot>& slots, bool with_entries,
                      size_t seen);

// A place for a sector: nowhere else it is valid.
struct SectorPlace {
  uint32_t journal = 0;  // anything that tells journals apart
  int file = 0;
  uint64_t offset = 0;
};

// Appends the sectors of one copy, FrameBytes in all.
void AppendSectors(absl::string_view payload, uint64_t number, int copy,
                   SectorPlace place, std::string* out);

struct Sector {
  uint64_t number = 0;
  uint32_t index = 0;
  int copy = 0;
};
// nullopt unless it was written for this place and is whole. `bytes` are a
// sector's.
std::optional<Sector> ReadSector(absl::string_view bytes,
                                 const SectorPlace& place);
// What the trailer says, believable or not.
uint64_t RawNumber(absl::string_view bytes);

// A payload some sectors of which may be missing.
struct PartialPayload {
  std::string bytes;  // zeros where one is missing
  std::vector<bool> whole;

  bool Has(uint64_t begin, uint64_t end) const;
};

struct ParsedFrame {
  bool readable = false;    // The header is.
  bool identified = false;  // And all identifiers and notes on others.
  uint64_t payload_bytes = 0;
  FrameHeader header;
  // Faulty where the record is not readable, or was never there.
  std::map<uint64_t, Slot> slots;
  std::map<MemberId, Seen> seen;
};
// The size and copies of a frame, from its first sector's payload; 0 if that
// is no header.
uint64_t PayloadBytesOf(absl::string_view first, int* copies);
// Records of positions below `settled` are not looked at.
ParsedFrame ParsePayload(const PartialPayload& payload, uint64_t settled);

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_FRAME_H_
