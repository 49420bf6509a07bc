// Sandboxes and logs over HTTP: /files/browse, read, download and debug.
//
//   files::Files files(environment);
//   files.Attach("/master/log", "/var/log/mesos/mesos-master.INFO");
//   files.AddRoutes(router);
//
// A request names a virtual path. It is answered when some attached name is
// that path or a parent of it, and when what it leads to, with every symlink
// resolved, lies inside what was attached: neither ".." nor a symlink that a
// task has planted in its sandbox leads out.

#ifndef QUORATE_CORE_FILES_FILES_H_
#define QUORATE_CORE_FILES_FILES_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/http/router.h"
#include "io/environment.h"

namespace quorate::files {

// What one read returns at most.
inline constexpr uint64_t kMaxReadBytes = 16 * 4096;

// Requests that may wait for the disk; more are answered 503.
inline constexpr size_t kMaxPendingRequests = 1000;

struct Entry {
  std::string path;  // Virtual.
  io::FileInfo info;
};

struct Content {
  uint64_t file_size = 0;
  uint64_t offset = 0;
  std::string data;
};

// What a request says in its query.
struct Range {
  // None: the answer holds no data, and the size of the file as its offset.
  std::optional<uint64_t> offset;
  uint64_t length = kMaxReadBytes;
};

class Files {
 public:
  using OnEntries = std::function<void(absl::StatusOr<std::vector<Entry>>)>;
  using OnContent = std::function<void(absl::StatusOr<Content>)>;

  // `environment` outlives this.
  explicit Files(io::Environment& environment);
  // Requests under way are not answered, no callback runs any more.
  ~Files();

  // Makes the file or directory `path` known as `name`, in place of what the
  // name stood for. Both are absolute.
  void Attach(absl::string_view name, absl::string_view path);
  void Detach(absl::string_view name);

  // Nothing may be routed any more once this is gone.
  void AddRoutes(http::Router& router);

  // Errors of both: NotFound, InvalidArgument (a directory that should be a
  // file), ResourceExhausted, and what the disk says.
  // The entries of a directory, sorted; none for a file.
  void Browse(const std::string& path, OnEntries done);
  void Read(const std::string& path, const Range& range, OnContent done);

 private:
  class Core;
  std::unique_ptr<Core> core_;
};

// InvalidArgument with the text of a 400 answer. Missing parameters and -1
// mean what Range says.
absl::StatusOr<Range> ParseRange(
    const std::map<std::string, std::string>& query);

// "-rw-r--r--".
std::string ModeText(const io::FileInfo& info);

}  // namespace quorate::files

#endif  // QUORATE_CORE_FILES_FILES_H_
