#include "core/files/files.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/files/download.h"
#include "core/json/writer.h"

namespace quorate::files {
namespace {

using http::Request;
using http::Responder;
using http::Response;

// `path` without slashes at its end.
std::string Trimmed(absl::string_view path) {
  while (absl::ConsumeSuffix(&path, "/")) {
  }
  return std::string(path);
}

Response ErrorResponse(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
      return Response::Text(404, "");
    case absl::StatusCode::kInvalidArgument:
      return Response::Text(400, status.message());
    case absl::StatusCode::kResourceExhausted:
      return Response::Text(503, status.message());
    default:
      return Response::Text(500, status.message());
  }
}

std::string EntriesJson(const std::vector<Entry>& entries) {
  std::string text;
  json::JsonWriter writer(&text);
  writer.StartArray();
  for (const Entry& entry : entries) {
    const auto modified = std::chrono::duration_cast<std::chrono::seconds>(
        entry.info.modified.time_since_epoch());
    writer.StartObject();
    writer.Key("gid").String(entry.info.group);
    writer.Key("mode").String(ModeText(entry.info));
    writer.Key("mtime").Double(static_cast<double>(modified.count()));
    writer.Key("nlink").Uint(entry.info.links);
    writer.Key("path").String(entry.path);
    writer.Key("size").Uint(entry.info.size);
    writer.Key("uid").String(entry.info.user);
    writer.EndObject();
  }
  writer.EndArray();
  return text;
}

std::string ContentJson(const Content& content) {
  std::string text;
  json::JsonWriter writer(&text);
  writer.StartObject();
  writer.Key("data").String(content.data);
  writer.Key("offset").Uint(content.offset);
  writer.EndObject();
  return text;
}

absl::StatusOr<std::vector<Entry>> ListDirectory(io::Disk& disk,
                                                 const Location& location,
                                                 const std::string& name) {
  auto info = disk.Stat(location.path);
  if (!info.ok()) return info.status();
  std::vector<Entry> entries;
  if (info->type != io::FileInfo::Type::kDirectory) return entries;
  auto names = disk.List(location.path);
  if (!names.ok()) return names.status();
  for (const std::string& child : *names) {
    auto child_info = disk.Stat(absl::StrCat(location.path, "/", child));
    // Gone since it was listed.
    if (!child_info.ok()) continue;
    entries.push_back(
        {absl::StrCat(Trimmed(name), "/", child), *std::move(child_info)});
  }
  return entries;
}

absl::StatusOr<Content> ReadRange(io::Disk& disk, const Location& location,
                                  const Range& range) {
  auto file = OpenFile(disk, location);
  if (!file.ok()) return file.status();
  auto size = (*file)->Size();
  if (!size.ok()) return size.status();
  Content content;
  content.file_size = *size;
  content.offset = std::min(range.offset.value_or(*size), *size);
  const uint64_t length = std::min(
      {range.length, kMaxReadBytes, content.file_size - content.offset});
  if (length == 0) return content;
  const absl::Status read =
      (*file)->ReadAt(content.offset, length, &content.data);
  if (!read.ok()) return read;
  return content;
}

// Inside `root` or `root` itself.
bool IsWithin(absl::string_view path, absl::string_view root) {
  return path == root || root == "/" ||
         (absl::StartsWith(path, root) && path[root.size()] == '/');
}

}  // namespace

absl::StatusOr<Location> Resolve(io::Disk& disk, const Attached& attached) {
  auto root = disk.RealPath(attached.root);
  if (!root.ok()) return root.status();
  auto path = disk.RealPath(absl::StrCat(*root, attached.rest));
  if (absl::IsFailedPrecondition(path.status())) {
    // Below a file, or through symlinks in a circle: nothing is there either.
    return absl::NotFoundError("not a directory");
  }
  if (!path.ok()) return path.status();
  // The same answer as for what is not there: nothing outside shows.
  if (!IsWithin(*path, *root)) return absl::NotFoundError("outside");
  return Location{*std::move(path)};
}

absl::StatusOr<std::unique_ptr<io::File>> OpenFile(io::Disk& disk,
                                                   const Location& location) {
  auto info = disk.Stat(location.path);
  if (!info.ok()) return info.status();
  switch (info->type) {
    case io::FileInfo::Type::kFile:
      return disk.Open(location.path, io::Disk::Mode::kRead);
    case io::FileInfo::Type::kDirectory:
      return absl::InvalidArgumentError("Cannot read a directory.");
    default:
      // Opening a pipe or a device could block the lane for ever.
      return absl::InvalidArgumentError("Not a regular file.");
  }
}

class Files::Core {
 public:
  explicit Core(io::Environment& environment)
      : environment_(environment),
        transfers_(environment),
        lane_(environment.NewLane("files")) {}

  std::map<std::string, std::string>& attached() { return attached_; }

  // The longest attached name that is `path` or a parent of it.
  absl::StatusOr<Attached> Find(absl::string_view path) const {
    const std::string wanted = Trimmed(path);
    std::string name = wanted;
    while (true) {
      auto it = attached_.find(name);
      if (it != attached_.end()) {
        return Attached{it->second, wanted.substr(name.size())};
      }
      const size_t slash = name.rfind('/');
      if (slash == name.npos || name.empty()) {
        return absl::NotFoundError("not attached");
      }
      name.resize(slash);
    }
  }

  // Runs `work` on the lane with the place that `path` means, and hands on
  // what it returns.
  template <typename Result>
  void Run(
      const std::string& path,
      std::function<absl::StatusOr<Result>(io::Disk&, const Location&)> work,
      std::function<void(absl::StatusOr<Result>)> done) {
    absl::StatusOr<Attached> attached = Find(path);
    if (!attached.ok()) return done(attached.status());
    if (pending_ >= kMaxPendingRequests) {
      return done(absl::ResourceExhaustedError(
          "Too many requests wait for the disk; try again."));
    }
    ++pending_;
    auto result =
        std::make_shared<absl::StatusOr<Result>>(absl::UnknownError("not run"));
    lane_->Run(
        [&disk = environment_.disk(), attached = *std::move(attached),
         work = std::move(work), result] {
          absl::StatusOr<Location> location = Resolve(disk, attached);
          *result = location.ok() ? work(disk, *location)
                                  : absl::StatusOr<Result>(location.status());
        },
        [this, result, done = std::move(done)] {
          --pending_;
          done(std::move(*result));
        });
  }

  void Browse(const std::string& path, OnEntries done) {
    Run<std::vector<Entry>>(
        path,
        [path](io::Disk& disk, const Location& location) {
          return ListDirectory(disk, location, path);
        },
        std::move(done));
  }

  void Read(const std::string& path, const Range& range, OnContent done) {
    Run<Content>(
        path,
        [range](io::Disk& disk, const Location& location) {
          return ReadRange(disk, location, range);
        },
        std::move(done));
  }

  void HandleBrowse(const Request& request, Responder responder) {
    auto path = request.query.find("path");
    if (path == request.query.end() || path->second.empty()) {
      return NeedPath(std::move(responder));
    }
    Browse(path->second, [answer = Share(std::move(responder))](auto entries) {
      answer->Send(entries.ok() ? Response::Json(EntriesJson(*entries))
                                : ErrorResponse(entries.status()));
    });
  }

  void HandleRead(const Request& request, Responder responder) {
    auto path = request.query.find("path");
    if (path == request.query.end() || path->second.empty()) {
      return NeedPath(std::move(responder));
    }
    absl::StatusOr<Range> range = ParseRange(request.query);
    if (!range.ok()) return responder.Send(ErrorResponse(range.status()));
    Read(path->second, *range,
         [answer = Share(std::move(responder))](auto content) {
           answer->Send(content.ok() ? Response::Json(ContentJson(*content))
                                     : ErrorResponse(content.status()));
         });
  }

  void HandleDownload(const Request& request, Responder responder) {
    auto path = request.query.find("path");
    if (path == request.query.end() || path->second.empty()) {
      return NeedPath(std::move(responder));
    }
    Run<std::unique_ptr<Download>>(
        path->second, PrepareDownload,
        [this, answer = Share(std::move(responder))](auto download) {
          if (!download.ok()) {
            return answer->Send(ErrorResponse(download.status()));
          }
          transfers_.Add(*std::move(download), std::move(*answer));
        });
  }

  void HandleDebug(const Request&, Responder responder) {
    std::string text;
    json::JsonWriter writer(&text);
    writer.StartObject();
    for (const auto& [name, path] : attached_) writer.Key(name).String(path);
    writer.EndObject();
    responder.Send(Response::Json(std::move(text)));
  }

 private:
  static std::shared_ptr<Responder> Share(Responder responder) {
    return std::make_shared<Responder>(std::move(responder));
  }

  static void NeedPath(Responder responder) {
    responder.Send(Response::Text(400, "Expecting 'path=value' in query."));
  }

  io::Environment& environment_;
  std::map<std::string, std::string> attached_;
  size_t pending_ = 0;
  Transfers transfers_;
  // The last member: it runs nothing any more while the others go.
  std::unique_ptr<io::Lane> lane_;
};

Files::Files(io::Environment& environment)
    : core_(std::make_unique<Core>(environment)) {}
Files::~Files() = default;

void Files::Attach(absl::string_view name, absl::string_view path) {
  core_->attached()[Trimmed(name)] = std::string(path);
}

void Files::Detach(absl::string_view name) {
  core_->attached().erase(Trimmed(name));
}

void Files::AddRoutes(http::Router& router) {
  const auto add = [&](absl::string_view path,
                       void (Core::*handle)(const Request&, Responder)) {
    router.Add("*", path,
               [core = core_.get(), handle](Request request, Responder r) {
                 (core->*handle)(request, std::move(r));
               });
  };
  add("/files/browse", &Core::HandleBrowse);
  add("/files/read", &Core::HandleRead);
  add("/files/download", &Core::HandleDownload);
  add("/files/debug", &Core::HandleDebug);
}

void Files::Browse(const std::string& path, OnEntries done) {
  core_->Browse(path, std::move(done));
}

void Files::Read(const std::string& path, const Range& range, OnContent done) {
  core_->Read(path, range, std::move(done));
}

absl::StatusOr<Range> ParseRange(
    const std::map<std::string, std::string>& query) {
  const auto number = [&](const std::string& key) -> absl::StatusOr<int64_t> {
    auto it = query.find(key);
    int64_t value = -1;
    if (it == query.end()) return value;
    if (!absl::SimpleAtoi(it->second, &value) || value < -1) {
      return absl::InvalidArgumentError(absl::StrCat(
          "Expecting '", key, "' to be a number of bytes, or -1: '", it->second,
          "'."));
    }
    return value;
  };
  auto offset = number("offset");
  if (!offset.ok()) return offset.status();
  auto length = number("length");
  if (!length.ok()) return length.status();
  Range range;
  if (*offset >= 0) range.offset = *offset;
  if (*length >= 0) range.length = *length;
  return range;
}

std::string ModeText(const io::FileInfo& info) {
  static constexpr char kLetters[] = "rwxrwxrwx";
  std::string text = "-";
  if (info.type == io::FileInfo::Type::kDirectory) text = "d";
  if (info.type == io::FileInfo::Type::kSymlink) text = "l";
  for (int i = 0; i < 9; ++i) {
    text.push_back((info.mode >> (8 - i)) & 1 ? kLetters[i] : '-');
  }
  return text;
}

}  // namespace quorate::files
