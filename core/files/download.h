// A whole file as the answer to one request. For files.cc only.

#ifndef QUORATE_CORE_FILES_DOWNLOAD_H_
#define QUORATE_CORE_FILES_DOWNLOAD_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/http/server.h"
#include "io/environment.h"

namespace quorate::files {

// Sent with a length; what is larger leaves as chunks, read piece by piece.
inline constexpr uint64_t kMaxWholeDownloadBytes = 1 << 20;

// What is attached, and the rest of a requested path: "" or "/stdout".
struct Attached {
  std::string root;
  std::string rest;
};

// A path without symlinks, inside what was attached.
struct Location {
  std::string path;
};

// On a lane. NotFound also for what lies outside.
absl::StatusOr<Location> Resolve(io::Disk& disk, const Attached& attached);

// On a lane. InvalidArgument for anything but a regular file.
absl::StatusOr<std::unique_ptr<io::File>> OpenFile(io::Disk& disk,
                                                   const Location& location);

struct Download {
  std::string name;
  std::unique_ptr<io::File> file;
  uint64_t size = 0;
  std::string beginning;  // Up to kMaxWholeDownloadBytes.
};

// On a lane.
absl::StatusOr<std::unique_ptr<Download>> PrepareDownload(
    io::Disk& disk, const Location& location);

// Sends files at the pace of the peers.
class Transfers {
 public:
  static constexpr size_t kMaxTransfers = 100;

  explicit Transfers(io::Environment& environment);
  // Cuts what is not complete.
  ~Transfers();

  // Answers 503 when a transfer would be needed and there are too many.
  void Add(std::unique_ptr<Download> download, http::Responder responder);

 private:
  class Transfer;

  io::Environment& environment_;
  uint64_t last_id_ = 0;
  std::map<uint64_t, std::unique_ptr<Transfer>> running_;
};

}  // namespace quorate::files

#endif  // QUORATE_CORE_FILES_DOWNLOAD_H_
