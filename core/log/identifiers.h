// What this replica has accepted, kept a second time and apart from LevelDB:
// a ring of small identifiers, one for each of the latest positions.
//
// LevelDB drops what it cannot read in its write-ahead log, without a word. A
// record that was accepted, answered, and is not there any more is noticed
// because its identifier is: a damaged record is never taken for "nothing was
// accepted here".
//
// Each identifier is written to two blocks; one that is lost leaves the other.

#ifndef QUORATE_CORE_LOG_IDENTIFIERS_H_
#define QUORATE_CORE_LOG_IDENTIFIERS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/log/types.h"
#include "io/disk.h"

namespace quorate::log {

struct Identifier {
  uint64_t position = 0;
  Ballot ballot;
  std::string entry_hash;  // EntryHash of what was accepted

  friend bool operator==(const Identifier& a, const Identifier& b) {
    return a.position == b.position && a.ballot == b.ballot &&
           a.entry_hash == b.entry_hash;
  }
};

// 16 bytes.
std::string EntryHash(const EntryProto& entry);

class IdentifierRing {
 public:
  // Position p is kept in slot p % kSlots, until p + kSlots takes its place.
  static constexpr uint64_t kSlots = 65536;
  static constexpr size_t kIdentifierBytes = 128;

  struct Contents {
    std::map<uint64_t, Identifier> identifiers;  // by position
    // Slots that hold neither an identifier nor nothing.
    std::set<uint64_t> damaged_slots;
  };

  // Creates the file when it is missing and `create` is set; the caller syncs
  // its directory. NotFound otherwise.
  static absl::StatusOr<std::unique_ptr<IdentifierRing>> Open(
      io::Disk& disk, const std::string& path, bool create);

  absl::StatusOr<Contents> Read() const;

  // Durable when OK.
  absl::Status Write(const std::vector<Identifier>& identifiers);

 private:
  explicit IdentifierRing(std::unique_ptr<io::File> file)
      : file_(std::move(file)) {}

  std::unique_ptr<io::File> file_;
};

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_IDENTIFIERS_H_
