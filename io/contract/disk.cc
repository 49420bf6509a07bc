#include "io/disk.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "io/contract/suites.h"

namespace quorate::io::contract {
namespace {

using Mode = Disk::Mode;
using absl::StatusCode;
using Names = std::vector<std::string>;

StatusCode CodeOf(const absl::Status& status) { return status.code(); }
template <typename T>
StatusCode CodeOf(const absl::StatusOr<T>& result) {
  return result.status().code();
}

// "!NOT_FOUND" and the like in place of the content.
std::string Content(Disk& disk, const std::string& path) {
  auto content = disk.ReadFile(path);
  if (content.ok()) return *content;
  return "!" + absl::StatusCodeToString(content.status().code());
}

void Put(Disk& disk, const std::string& path, absl::string_view content) {
  auto file = disk.Open(path, Mode::kCreateEmpty);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE((*file)->Append(content).ok());
}

std::string ReadAt(const File& file, uint64_t offset, size_t size) {
  std::string out = "what was there before";
  const absl::Status status = file.ReadAt(offset, size, &out);
  return status.ok() ? out : "!" + status.ToString();
}

TEST_P(DiskContract, ModesOfOpen) {
  OnLane([&](Disk& disk) {
    const std::string path = Path("file");
    EXPECT_EQ(CodeOf(disk.Open(path, Mode::kRead)), StatusCode::kNotFound);
    EXPECT_EQ(CodeOf(disk.Open(path, Mode::kReadWrite)), StatusCode::kNotFound);
    EXPECT_TRUE(disk.Open(path, Mode::kCreate).ok());
    EXPECT_EQ(Content(disk, path), "");
    ASSERT_TRUE((*disk.Open(path, Mode::kReadWrite))->Append("kept").ok());
    EXPECT_TRUE(disk.Open(path, Mode::kCreate).ok());
    EXPECT_EQ(Content(disk, path), "kept");
    EXPECT_FALSE((*disk.Open(path, Mode::kRead))->Append("more").ok());
    EXPECT_EQ(Content(disk, path), "kept");
    EXPECT_TRUE(disk.Open(path, Mode::kCreateEmpty).ok());
    EXPECT_EQ(Content(disk, path), "");
  });
}

TEST_P(DiskContract, PathsThatCannotBeOpened) {
  OnLane([&](Disk& disk) {
    Put(disk, Path("file"), "");
    EXPECT_EQ(CodeOf(disk.Open(Path("missing/file"), Mode::kCreate)),
              StatusCode::kNotFound);
    EXPECT_EQ(CodeOf(disk.Open(Path("file/file"), Mode::kCreate)),
              StatusCode::kFailedPrecondition);
    for (Mode mode : {Mode::kRead, Mode::kReadWrite, Mode::kCreate}) {
      EXPECT_EQ(CodeOf(disk.Open(world().directory(0), mode)),
                StatusCode::kFailedPrecondition);
    }
  });
}

TEST_P(DiskContract, ReadsAreShortOnlyAtTheEnd) {
  OnLane([&](Disk& disk) {
    auto file = *disk.Open(Path("file"), Mode::kCreate);
    ASSERT_TRUE(file->WriteAt(0, "0123456789").ok());
    EXPECT_EQ(ReadAt(*file, 0, 4), "0123");
    EXPECT_EQ(ReadAt(*file, 7, 4), "789");
    EXPECT_EQ(ReadAt(*file, 10, 4), "");
    EXPECT_EQ(ReadAt(*file, 1000, 4), "");
    EXPECT_EQ(ReadAt(*file, 3, 0), "");
  });
}

TEST_P(DiskContract, HolesAreZeros) {
  OnLane([&](Disk& disk) {
    auto file = *disk.Open(Path("file"), Mode::kCreate);
    ASSERT_TRUE(file->WriteAt(3, "ab").ok());
    ASSERT_TRUE(file->Truncate(7).ok());
    EXPECT_EQ(*file->Size(), 7);
    EXPECT_EQ(ReadAt(*file, 0, 10), std::string("\0\0\0ab\0\0", 7));
    // What was cut off does not come back.
    ASSERT_TRUE(file->Truncate(4).ok());
    ASSERT_TRUE(file->Truncate(5).ok());
    EXPECT_EQ(ReadAt(*file, 0, 10), std::string("\0\0\0a\0", 5));
  });
}

TEST_P(DiskContract, AppendFollowsTheEnd) {
  OnLane([&](Disk& disk) {
    auto file = *disk.Open(Path("file"), Mode::kCreate);
    ASSERT_TRUE(file->Append("abc").ok());
    ASSERT_TRUE(file->WriteAt(0, "A").ok());
    ASSERT_TRUE(file->Append("def").ok());
    ASSERT_TRUE(file->Truncate(4).ok());
    ASSERT_TRUE(file->Append("!").ok());
    auto other = *disk.Open(Path("file"), Mode::kReadWrite);
    ASSERT_TRUE(other->Append("?").ok());
    ASSERT_TRUE(file->Append(".").ok());
    EXPECT_TRUE(file->Sync().ok());
    EXPECT_EQ(Content(disk, Path("file")), "Abcd!?.");
  });
}

TEST_P(DiskContract, KeepsEveryByte) {
  OnLane([&](Disk& disk) {
    std::string bytes(3'000'001, '\0');
    uint32_t value = 1;
    for (char& c : bytes) {
      c = static_cast<char>(value >> 24);
      value = value * 1664525 + 1013904223;
    }
    auto file = *disk.Open(Path("file"), Mode::kCreate);
    ASSERT_TRUE(file->Append(bytes).ok());
    ASSERT_TRUE(file->Sync().ok());
    EXPECT_TRUE(Content(disk, Path("file")) == bytes);
    EXPECT_TRUE(ReadAt(*file, 1'234'567, 654'321) ==
                bytes.substr(1'234'567, 654'321));
  });
}

TEST_P(DiskContract, AnOpenFileOutlivesItsName) {
  OnLane([&](Disk& disk) {
    auto file = *disk.Open(Path("a"), Mode::kCreate);
    ASSERT_TRUE(file->Append("one").ok());
    ASSERT_TRUE(disk.Rename(Path("a"), Path("b")).ok());
    ASSERT_TRUE(file->Append(" two").ok());
    EXPECT_EQ(Content(disk, Path("b")), "one two");
    ASSERT_TRUE(disk.Remove(Path("b")).ok());
    Put(disk, Path("b"), "another");
    ASSERT_TRUE(file->Append(" three").ok());
    EXPECT_EQ(ReadAt(*file, 0, 100), "one two three");
    EXPECT_EQ(Content(disk, Path("b")), "another");
  });
}

TEST_P(DiskContract, Rename) {
  OnLane([&](Disk& disk) {
    Put(disk, Path("new"), "new");
    Put(disk, Path("old"), "old");
    EXPECT_EQ(CodeOf(disk.Rename(Path("missing"), Path("old"))),
              StatusCode::kNotFound);
    ASSERT_TRUE(disk.Rename(Path("new"), Path("old")).ok());
    EXPECT_EQ(Content(disk, Path("old")), "new");
    EXPECT_EQ(Content(disk, Path("new")), "!NOT_FOUND");
    ASSERT_TRUE(disk.MakeDirectories(Path("d/e")).ok());
    Put(disk, Path("d/e/f"), "deep");
    ASSERT_TRUE(disk.Rename(Path("d"), Path("moved")).ok());
    EXPECT_EQ(Content(disk, Path("moved/e/f")), "deep");
    EXPECT_EQ(CodeOf(disk.Rename(Path("old"), Path("moved"))),
              StatusCode::kFailedPrecondition);
    ASSERT_TRUE(disk.MakeDirectories(Path("d")).ok());
    EXPECT_EQ(CodeOf(disk.Rename(Path("d"), Path("moved"))),
              StatusCode::kFailedPrecondition);
    EXPECT_TRUE(disk.SyncDirectory(world().directory(0)).ok());
  });
}

TEST_P(DiskContract, Remove) {
  OnLane([&](Disk& disk) {
    Put(disk, Path("file"), "");
    ASSERT_TRUE(disk.MakeDirectories(Path("d")).ok());
    EXPECT_TRUE(disk.Remove(Path("file")).ok());
    EXPECT_EQ(CodeOf(disk.Remove(Path("file"))), StatusCode::kNotFound);
    EXPECT_EQ(CodeOf(disk.Remove(Path("d"))), StatusCode::kFailedPrecondition);
    EXPECT_EQ(*disk.List(world().directory(0)), Names{"d"});
  });
}

TEST_P(DiskContract, RemoveTree) {
  OnLane([&](Disk& disk) {
    ASSERT_TRUE(disk.MakeDirectories(Path("d/e")).ok());
    ASSERT_TRUE(disk.MakeDirectories(Path("kept")).ok());
    Put(disk, Path("kept/file"), "");
    Put(disk, Path("d/file"), "");
    Put(disk, Path("d/e/file"), "");
    ASSERT_TRUE(disk.Symlink(Path("kept"), Path("d/link")).ok());
    EXPECT_TRUE(disk.RemoveTree(Path("d")).ok());
    EXPECT_EQ(CodeOf(disk.RemoveTree(Path("d"))), StatusCode::kNotFound);
    EXPECT_EQ(*disk.List(world().directory(0)), Names{"kept"});
    EXPECT_TRUE(disk.RemoveTree(Path("kept/file")).ok());
    EXPECT_EQ(*disk.List(Path("kept")), Names());
  });
}

TEST_P(DiskContract, MakeDirectories) {
  OnLane([&](Disk& disk) {
    EXPECT_TRUE(disk.MakeDirectories(Path("a/b/c")).ok());
    EXPECT_TRUE(disk.MakeDirectories(Path("a/b")).ok());
    EXPECT_TRUE(disk.MakeDirectories("/").ok());
    Put(disk, Path("file"), "");
    EXPECT_EQ(CodeOf(disk.MakeDirectories(Path("file"))),
              StatusCode::kFailedPrecondition);
    EXPECT_EQ(CodeOf(disk.MakeDirectories(Path("file/d"))),
              StatusCode::kFailedPrecondition);
  });
}

TEST_P(DiskContract, List) {
  OnLane([&](Disk& disk) {
    for (const char* name : {"b", "a b", "B", ".hidden", "\xc3\xa9"}) {
      Put(disk, Path(name), "");
    }
    EXPECT_EQ(*disk.List(world().directory(0)),
              (Names{".hidden", "B", "a b", "b", "\xc3\xa9"}));
    EXPECT_EQ(CodeOf(disk.List(Path("missing"))), StatusCode::kNotFound);
    EXPECT_EQ(CodeOf(disk.List(Path("b"))), StatusCode::kFailedPrecondition);
  });
}

TEST_P(DiskContract, Symlinks) {
  OnLane([&](Disk& disk) {
    ASSERT_TRUE(disk.MakeDirectories(Path("d")).ok());
    Put(disk, Path("d/file"), "content");
    ASSERT_TRUE(disk.Symlink(Path("missing"), Path("link")).ok());
    EXPECT_EQ(Content(disk, Path("link")), "!NOT_FOUND");
    ASSERT_TRUE(disk.Symlink("d", Path("link")).ok());
    EXPECT_EQ(*disk.ReadLink(Path("link")), "d");
    EXPECT_EQ(Content(disk, Path("link/file")), "content");
    EXPECT_EQ(*disk.RealPath(Path("link/../link/./file")), Path("d/file"));
    EXPECT_EQ(CodeOf(disk.RealPath(Path("link/none"))), StatusCode::kNotFound);
    EXPECT_EQ(disk.Stat(Path("link"))->type, FileInfo::Type::kSymlink);
    EXPECT_EQ(CodeOf(disk.ReadLink(Path("d"))),
              StatusCode::kFailedPrecondition);
    EXPECT_EQ(CodeOf(disk.ReadLink(Path("none"))), StatusCode::kNotFound);
    EXPECT_EQ(CodeOf(disk.Symlink("d", Path("d/file"))),
              StatusCode::kAlreadyExists);
    EXPECT_EQ(Content(disk, Path("d/file")), "content");
    // The link goes, not what it points to.
    EXPECT_TRUE(disk.Remove(Path("link")).ok());
    EXPECT_EQ(*disk.List(world().directory(0)), Names{"d"});
  });
}

TEST_P(DiskContract, Stat) {
  OnLane([&](Disk& disk) {
    Put(disk, Path("file"), "12345");
    ASSERT_TRUE(disk.MakeDirectories(Path("d")).ok());
    const auto file = disk.Stat(Path("file"));
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ(file->type, FileInfo::Type::kFile);
    EXPECT_EQ(file->size, 5);
    EXPECT_EQ(file->links, 1);
    EXPECT_EQ(file->mode & 0600, 0600);
    EXPECT_EQ(file->mode & ~07777u, 0);
    EXPECT_FALSE(file->user.empty());
    EXPECT_FALSE(file->group.empty());
    EXPECT_EQ(disk.Stat(Path("d"))->type, FileInfo::Type::kDirectory);
    EXPECT_EQ(CodeOf(disk.Stat(Path("missing"))), StatusCode::kNotFound);
    EXPECT_EQ(CodeOf(disk.Stat(Path("file/x"))),
              StatusCode::kFailedPrecondition);
  });
}

TEST_P(DiskContract, ModificationTimeIsWallTime) {
  const WallTime before = environment().clock().WallNow();
  FileInfo info;
  OnLane([&](Disk& disk) {
    Put(disk, Path("file"), "12345");
    info = disk.Stat(Path("file")).value();
  });
  // File systems count in ticks of some milliseconds, and time may jump.
  EXPECT_GT(info.modified, before - std::chrono::hours(1));
  EXPECT_LT(info.modified, before + std::chrono::hours(1));
}

TEST_P(DiskContract, LocksExclude) {
  OnLane([&](Disk& disk) {
    auto lock = disk.Lock(Path("lock"));
    ASSERT_TRUE(lock.ok()) << lock.status();
    auto other = disk.Lock(Path("other"));
    EXPECT_TRUE(other.ok());
    EXPECT_EQ(CodeOf(disk.Lock(Path("lock"))), StatusCode::kFailedPrecondition);
    // Neither a refused attempt nor reading the file breaks it.
    EXPECT_EQ(Content(disk, Path("lock")), "");
    EXPECT_EQ(CodeOf(disk.Lock(Path("lock"))), StatusCode::kFailedPrecondition);
    lock->reset();
    EXPECT_TRUE(disk.Lock(Path("lock")).ok());
    EXPECT_EQ(CodeOf(disk.Lock(Path("missing/lock"))), StatusCode::kNotFound);
  });
}

TEST_P(DiskContract, WholeFiles) {
  OnLane([&](Disk& disk) {
    EXPECT_EQ(CodeOf(disk.ReadFile(Path("file"))), StatusCode::kNotFound);
    EXPECT_TRUE(disk.WriteFileDurably(Path("file"), "old and long").ok());
    EXPECT_TRUE(disk.WriteFileDurably(Path("file"), "new").ok());
    EXPECT_EQ(Content(disk, Path("file")), "new");
    EXPECT_EQ(*disk.List(world().directory(0)), Names{"file"});
  });
}

TEST_P(DiskContract, FilesOutliveTheProcess) {
  OnLane([&](Disk& disk) {
    EXPECT_TRUE(disk.WriteFileDurably(Path("synced"), "one").ok());
    Put(disk, Path("unsynced"), "two");
  });
  world().Restart(0);
  OnLane([&](Disk& disk) {
    EXPECT_EQ(Content(disk, Path("synced")), "one");
    EXPECT_EQ(Content(disk, Path("unsynced")), "two");
    EXPECT_TRUE(disk.Lock(Path("lock")).ok());
  });
}

TEST_P(DiskContract, Space) {
  OnLane([&](Disk& disk) {
    const auto free = disk.FreeBytes(world().directory(0));
    const auto total = disk.TotalBytes(world().directory(0));
    ASSERT_TRUE(free.ok() && total.ok());
    EXPECT_GT(*total, 0);
    EXPECT_LE(*free, *total);
    EXPECT_EQ(CodeOf(disk.FreeBytes(Path("missing"))), StatusCode::kNotFound);
  });
}

// ---------------------------------------------------------------------------

TEST_P(LaneContract, WorkIsDoneInOrder) {
  const std::unique_ptr<Lane> lane = environment().NewLane("a lane");
  std::vector<int> work;  // Read when the last piece is done.
  std::vector<int> done;
  for (int i = 0; i < 20; ++i) {
    lane->Run([&work, i] { work.push_back(i); },
              [&done, i] { done.push_back(i); });
  }
  EXPECT_TRUE(done.empty()) << "done was called inside Run";
  ASSERT_TRUE(Await([&] { return done.size() == 20; }));
  EXPECT_EQ(work, done);
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
}

TEST_P(LaneContract, DoneMayRunMoreWork) {
  const std::unique_ptr<Lane> lane = environment().NewLane("lane");
  int value = 0;
  bool done = false;
  lane->Run([&] { value = 1; },
            [&] {
              EXPECT_EQ(value, 1);
              lane->Run([&] { value = 2; }, [&] { done = true; });
              EXPECT_FALSE(done);
            });
  ASSERT_TRUE(Await([&] { return done; }));
  EXPECT_EQ(value, 2);
}

TEST_P(LaneContract, NothingIsDoneAfterDestruction) {
  std::unique_ptr<Lane> lane = environment().NewLane("lane");
  int work = 0;
  bool done = false;
  for (int i = 0; i < 100; ++i) {
    lane->Run([&] { ++work; }, [&] { done = true; });
  }
  lane.reset();
  const int begun = work;
  Settle();
  EXPECT_EQ(work, begun);
  EXPECT_FALSE(done);
}

TEST_P(LaneContract, MayBeDestroyedWhenDone) {
  std::unique_ptr<Lane> lane = environment().NewLane("lane");
  int done = 0;
  for (int i = 0; i < 10; ++i) {
    lane->Run([] {},
              [&] {
                ++done;
                lane.reset();
              });
  }
  ASSERT_TRUE(Await([&] { return done > 0; }));
  Settle();
  EXPECT_EQ(done, 1);
}

TEST_P(LaneContract, LanesAreIndependent) {
  std::map<int, int> done;
  std::vector<std::unique_ptr<Lane>> lanes;
  for (int i = 0; i < 4; ++i) {
    lanes.push_back(environment(i % 2).NewLane("lane"));
    for (int n = 0; n < 10; ++n)
      lanes[i]->Run([] {}, [&done, i] { ++done[i]; });
  }
  lanes[0].reset();
  ASSERT_TRUE(
      Await([&] { return done[1] == 10 && done[2] == 10 && done[3] == 10; }));
  EXPECT_EQ(done[0], 0);
}

}  // namespace
}  // namespace quorate::io::contract
