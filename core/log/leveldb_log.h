// LevelDB's write-ahead log, read without LevelDB: its own repair takes the
// records of a log unchecked.
//
// The format is documented: blocks of 32 KiB hold fragments, each with a
// checksum; a batch is one fragment or several, and holds insertions.

#ifndef QUORATE_CORE_LOG_LEVELDB_LOG_H_
#define QUORATE_CORE_LOG_LEVELDB_LOG_H_

#include <functional>

#include "absl/strings/string_view.h"

namespace quorate::log {

using OnPut =
    std::function<void(absl::string_view key, absl::string_view value)>;

// Tells of each insertion in the whole batches of `log`, in their order. What
// is damaged is left out, up to the end of its block.
void ForEachPut(absl::string_view log, const OnPut& on_put);

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_LEVELDB_LOG_H_
