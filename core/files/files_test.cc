#include "core/files/files.h"

#include <gtest/gtest.h>

#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace quorate::files {
namespace {

using Type = io::FileInfo::Type;

// A read-only tree with symlinks.
class TreeDisk final : public io::Disk {
 public:
  struct Node {
    Type type = Type::kDirectory;
    std::string content;  // Or the target of a symlink.
  };

  void AddFile(const std::string& path, std::string content) {
    Add(path, {Type::kFile, std::move(content)});
  }
  void AddLink(const std::string& path, std::string target) {
    Add(path, {Type::kSymlink, std::move(target)});
  }

  absl::StatusOr<std::unique_ptr<io::File>> Open(const std::string& path,
                                                 Mode) override {
    return std::make_unique<TextFile>(nodes_.at(path).content);
  }
  absl::StatusOr<io::FileInfo> Stat(const std::string& path) override {
    auto it = nodes_.find(path);
    if (it == nodes_.end()) return absl::NotFoundError(path);
    io::FileInfo info;
    info.type = it->second.type;
    info.size = it->second.content.size();
    info.mode = 0644;
    info.user = "root";
    info.group = "wheel";
    info.modified = io::WallTime(std::chrono::milliseconds(1795232267900));
    return info;
  }
  absl::StatusOr<std::string> RealPath(const std::string& path) override {
    std::string real;
    for (absl::string_view part : absl::StrSplit(path, '/')) {
      if (part.empty() || part == ".") continue;
      if (part == "..") {
        real.resize(real.empty() ? 0 : real.rfind('/'));
        continue;
      }
      const auto parent = nodes_.find(real);
      if (parent != nodes_.end() && parent->second.type == Type::kFile) {
        return absl::FailedPreconditionError(real);
      }
      absl::StrAppend(&real, "/", part);
      auto it = nodes_.find(real);
      if (it == nodes_.end()) return absl::NotFoundError(real);
      if (it->second.type == Type::kSymlink) real = it->second.content;
    }
    if (real.empty()) return std::string("/");
    if (nodes_.count(real) == 0) return absl::NotFoundError(real);
    return real;
  }
  absl::StatusOr<std::vector<std::string>> List(
      const std::string& path) override {
    std::vector<std::string> names;
    for (const auto& [other, node] : nodes_) {
      if (!absl::StartsWith(other, path + "/")) continue;
      std::string rest = other.substr(path.size() + 1);
      if (!absl::StrContains(rest, '/')) names.push_back(std::move(rest));
    }
    return names;
  }

  absl::Status SyncDirectory(const std::string&) override { return Refused(); }
  absl::Status Rename(const std::string&, const std::string&) override {
    return Refused();
  }
  absl::Status Remove(const std::string&) override { return Refused(); }
  absl::Status RemoveTree(const std::string&) override { return Refused(); }
  absl::Status MakeDirectories(const std::string&) override {
    return Refused();
  }
  absl::Status Symlink(const std::string&, const std::string&) override {
    return Refused();
  }
  absl::StatusOr<std::string> ReadLink(const std::string&) override {
    return Refused();
  }
  absl::StatusOr<std::unique_ptr<io::FileLock>> Lock(
      const std::string&) override {
    return Refused();
  }
  absl::StatusOr<uint64_t> FreeBytes(const std::string&) override {
    return Refused();
  }
  absl::StatusOr<uint64_t> TotalBytes(const std::string&) override {
    return Refused();
  }

 private:
  class TextFile final : public io::File {
   public:
    explicit TextFile(std::string content) : content_(std::move(content)) {}
    absl::Status ReadAt(uint64_t offset, size_t size,
                        std::string* out) const override {
      *out = offset < content_.size() ? content_.substr(offset, size) : "";
      return absl::OkStatus();
    }
    absl::StatusOr<uint64_t> Size() const override { return content_.size(); }
    absl::Status WriteAt(uint64_t, absl::string_view) override {
      return Refused();
    }
    absl::Status Append(absl::string_view) override { return Refused(); }
    absl::Status Sync() override { return Refused(); }
    absl::Status Truncate(uint64_t) override { return Refused(); }

   private:
    const std::string content_;
  };

  static absl::Status Refused() { return absl::PermissionDeniedError("r/o"); }

  void Add(const std::string& path, Node node) {
    for (size_t slash = path.find('/', 1); slash != path.npos;
         slash = path.find('/', slash + 1)) {
      nodes_.try_emplace(path.substr(0, slash));
    }
    nodes_[path] = std::move(node);
  }

  std::map<std::string, Node> nodes_;
};

class InlineLane final : public io::Lane {
 public:
  void Run(std::function<void()> work, std::function<void()> done) override {
    work();
    done();
  }
};

// Time stands still until a test lets due timers run.
class ManualClock final : public io::Clock {
 public:
  io::Instant Now() const override { return {}; }
  io::WallTime WallNow() const override { return {}; }
  void RunPending() {
    while (!timers_.empty()) {
      auto callback = std::move(timers_.begin()->second);
      timers_.erase(timers_.begin());
      callback();
    }
  }

 protected:
  uint64_t Schedule(io::Duration, std::function<void()> callback) override {
    timers_[++last_] = std::move(callback);
    return last_;
  }
  void Cancel(uint64_t id) override { timers_.erase(id); }

 private:
  uint64_t last_ = 0;
  std::map<uint64_t, std::function<void()>> timers_;
};

// Only what Files uses.
class TestEnvironment final : public io::Environment {
 public:
  ManualClock& clock() override { return clock_; }
  TreeDisk& disk() override { return disk_; }
  std::unique_ptr<io::Lane> NewLane(absl::string_view) override {
    return std::make_unique<InlineLane>();
  }
  io::Network& network() override { std::abort(); }
  io::Random& random() override { std::abort(); }
  io::Coordination& coordination() override { std::abort(); }
  io::Containers& containers() override { std::abort(); }
  void Exit(int, absl::string_view) override { std::abort(); }

 private:
  ManualClock clock_;
  TreeDisk disk_;
};

// Keeps the answer: a whole one, or the pieces of a stream.
struct Answer {
  std::optional<http::Response> response;
  int pieces = 0;
  bool closed = false;
};

class AnswerStream final : public http::Stream {
 public:
  explicit AnswerStream(Answer* answer) : answer_(*answer) {}
  bool Write(absl::string_view bytes) override {
    ++answer_.pieces;
    absl::StrAppend(&answer_.response->body, bytes);
    return true;
  }
  size_t queued_bytes() const override { return 0; }
  void Close() override { answer_.closed = true; }
  void OnClosed(std::function<void()>) override {}
  void OnWritable(std::function<void()>) override {}

 private:
  Answer& answer_;
};

class AnswerSink final : public http::Responder::Sink {
 public:
  explicit AnswerSink(Answer* answer) : answer_(*answer) {}
  void Send(http::Response response) override {
    answer_.response = std::move(response);
  }
  std::unique_ptr<http::Stream> StartStream(int status, http::Headers headers,
                                            std::optional<uint64_t>) override {
    answer_.response = {.status = status, .headers = std::move(headers)};
    return std::make_unique<AnswerStream>(&answer_);
  }

 private:
  Answer& answer_;
};

class FilesTest : public testing::Test {
 protected:
  FilesTest() {
    TreeDisk& disk = environment_.disk();
    disk.AddFile("/work/run1/stdout", "hello\n");
    disk.AddFile("/work/run1/dir/nested", "deep");
    disk.AddLink("/work/run1/inside", "/work/run1/stdout");
    disk.AddLink("/work/run1/escape", "/etc/shadow");
    disk.AddLink("/work/run1/up", "/work");
    disk.AddFile("/work/run10/stdout", "another's");
    disk.AddFile("/etc/shadow", "secret");
    files_.Attach("/sandbox", "/work/run1");
    files_.AddRoutes(router_);
  }

  http::Response Get(const std::string& target) {
    Answer answer = GetAnswer(target);
    return *answer.response;
  }

  Answer GetAnswer(const std::string& target) {
    Answer answer;
    http::Request request;
    absl::StatusOr<http::Target> parsed = http::ParseTarget(target);
    request.path = parsed->path;
    request.query = parsed->query;
    router_.Route(std::move(request),
                  http::Responder(std::make_unique<AnswerSink>(&answer)));
    environment_.clock().RunPending();
    return answer;
  }

  TestEnvironment environment_;
  http::Router router_{"slave(1)"};
  Files files_{environment_};
};

TEST_F(FilesTest, BrowseListsADirectory) {
  http::Response response = Get("/files/browse?path=/sandbox/dir");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body,
            R"([{"gid":"wheel","mode":"-rw-r--r--","mtime":1795232267.0,)"
            R"("nlink":1,"path":"/sandbox/dir/nested","size":4,)"
            R"("uid":"root"}])");
}

TEST_F(FilesTest, BrowseOfAFileIsEmpty) {
  EXPECT_EQ(Get("/slave(1)/files/browse?path=/sandbox/stdout").body, "[]");
}

TEST_F(FilesTest, PathIsRequired) {
  for (const char* call : {"browse", "read", "download"}) {
    http::Response response = Get(absl::StrCat("/files/", call));
    EXPECT_EQ(response.status, 400);
    EXPECT_EQ(response.body, "Expecting 'path=value' in query.");
  }
}

TEST_F(FilesTest, ReadReturnsARange) {
  EXPECT_EQ(Get("/files/read?path=/sandbox/stdout&offset=0").body,
            R"({"data":"hello\n","offset":0})");
  EXPECT_EQ(Get("/files/read?path=/sandbox/stdout&offset=1&length=3").body,
            R"({"data":"ell","offset":1})");
  EXPECT_EQ(Get("/files/read?path=/sandbox/inside&offset=4&length=-1").body,
            R"({"data":"o\n","offset":4})");
}

TEST_F(FilesTest, ReadWithoutOffsetTellsTheSize) {
  for (const char* offset : {"", "&offset=-1", "&offset=99"}) {
    EXPECT_EQ(
        Get(absl::StrCat("/files/read?path=/sandbox/stdout", offset)).body,
        R"({"data":"","offset":6})");
  }
}

TEST_F(FilesTest, ReadIsCappedAtSixteenPages) {
  environment_.disk().AddFile("/work/run1/big", std::string(100000, 'x'));
  std::optional<Content> content;
  files_.Read("/sandbox/big", {.offset = 1, .length = 99999},
              [&](absl::StatusOr<Content> read) { content = *read; });
  EXPECT_EQ(content->data.size(), 65536);
  EXPECT_EQ(content->file_size, 100000);
}

TEST_F(FilesTest, BadRangesAreRefused) {
  for (const char* bad : {"offset=x", "offset=-2", "length=-5", "offset=1e3"}) {
    EXPECT_EQ(
        Get(absl::StrCat("/files/read?path=/sandbox/stdout&", bad)).status, 400)
        << bad;
  }
  EXPECT_EQ(Get("/files/read?path=/sandbox/dir&offset=0").status, 400);
}

TEST_F(FilesTest, NothingOutsideShows) {
  for (const char* path :
       {"/missing", "/sandbox/missing", "/sandbox/stdout/below",
        "/sandbox/escape", "/sandbox/../run10", "/sandbox/../run10/stdout",
        "/sandbox/up/run10/stdout", "/sandbox/../../../etc/shadow", "/sandbox0",
        "/work/run1/stdout", "/", "sandbox/stdout"}) {
    for (const char* call : {"browse", "read", "download"}) {
      http::Response response =
          Get(absl::StrCat("/files/", call, "?path=", path));
      EXPECT_EQ(response.status, 404) << call << " " << path;
      EXPECT_EQ(response.body, "");
    }
  }
}

TEST_F(FilesTest, DetachedIsGone) {
  files_.Detach("/sandbox/");
  EXPECT_EQ(Get("/files/read?path=/sandbox/stdout").status, 404);
}

TEST_F(FilesTest, TheLongestAttachedNameCounts) {
  files_.Attach("/sandbox/dir", "/etc");
  EXPECT_EQ(Get("/files/read?path=/sandbox/dir/shadow&offset=0").body,
            R"({"data":"secret","offset":0})");
  EXPECT_EQ(Get("/files/debug").body,
            R"({"/sandbox":"/work/run1","/sandbox/dir":"/etc"})");
}

TEST_F(FilesTest, DownloadIsTheFileItself) {
  http::Response response = Get("/files/download?path=/sandbox/stdout");
  EXPECT_EQ(response.body, "hello\n");
  EXPECT_EQ(response.headers.Get("Content-Disposition"),
            "attachment; filename=stdout");
  EXPECT_EQ(response.headers.Get("Content-Type"), "application/octet-stream");
  EXPECT_EQ(Get("/files/download?path=/sandbox/dir").status, 400);
}

TEST_F(FilesTest, LargeDownloadsArePiecewise) {
  std::string content;
  for (int i = 0; content.size() < 3000000; ++i) absl::StrAppend(&content, i);
  environment_.disk().AddFile("/work/run1/big", content);
  Answer answer = GetAnswer("/files/download?path=/sandbox/big");
  EXPECT_EQ(answer.response->body, content);
  EXPECT_GT(answer.pieces, 2);
  EXPECT_TRUE(answer.closed);
}

TEST(ModeTextTest, LooksLikeLs) {
  EXPECT_EQ(ModeText({.type = Type::kDirectory, .mode = 0755}), "drwxr-xr-x");
  EXPECT_EQ(ModeText({.type = Type::kFile, .mode = 0600}), "-rw-------");
}

}  // namespace
}  // namespace quorate::files
