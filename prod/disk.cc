#include "prod/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "prod/posix.h"

namespace quorate::prod {
namespace {

absl::Status ToStatus(int result, absl::string_view action,
                      const std::string& path) {
  if (result >= 0) return absl::OkStatus();
  return ErrnoStatus(errno, absl::StrCat(action, " ", path));
}

class PosixFile final : public io::File {
 public:
  PosixFile(UniqueFd fd, std::string path)
      : fd_(std::move(fd)), path_(std::move(path)) {}

  absl::Status ReadAt(uint64_t offset, size_t size,
                      std::string* out) const override {
    out->resize(size);
    size_t done = 0;
    while (done < size) {
      const ssize_t n = Retry([&] {
        return pread(fd_.get(), out->data() + done, size - done,
                     static_cast<off_t>(offset + done));
      });
      if (n < 0) return ToStatus(-1, "read", path_);
      if (n == 0) break;
      done += n;
    }
    out->resize(done);
    return absl::OkStatus();
  }

  absl::Status WriteAt(uint64_t offset, absl::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = Retry([&] {
        return pwrite(fd_.get(), bytes.data(), bytes.size(),
                      static_cast<off_t>(offset));
      });
      if (n < 0) return ToStatus(-1, "write", path_);
      bytes.remove_prefix(n);
      offset += n;
    }
    return absl::OkStatus();
  }

  // Not O_APPEND, with which WriteAt would append as well.
  absl::Status Append(absl::string_view bytes) override {
    const auto size = Size();
    if (!size.ok()) return size.status();
    return WriteAt(*size, bytes);
  }

  absl::Status Sync() override {
    return ToStatus(Retry([&] { return fdatasync(fd_.get()); }), "sync", path_);
  }

  absl::Status Truncate(uint64_t size) override {
    return ToStatus(
        Retry([&] { return ftruncate(fd_.get(), static_cast<off_t>(size)); }),
        "truncate", path_);
  }

  absl::StatusOr<uint64_t> Size() const override {
    struct stat info;
    if (fstat(fd_.get(), &info) != 0) return ToStatus(-1, "stat", path_);
    return info.st_size;
  }

 private:
  const UniqueFd fd_;
  const std::string path_;
};

class PosixFileLock final : public io::FileLock {
 public:
  explicit PosixFileLock(UniqueFd fd) : fd_(std::move(fd)) {}

 private:
  const UniqueFd fd_;  // Closing it releases the lock.
};

constexpr size_t kNameBufferBytes = 16 << 10;

std::string UserName(uid_t id) {
  std::vector<char> buffer(kNameBufferBytes);
  passwd entry;
  passwd* found = nullptr;
  getpwuid_r(id, &entry, buffer.data(), buffer.size(), &found);
  return found != nullptr ? found->pw_name : absl::StrCat(id);
}

std::string GroupName(gid_t id) {
  std::vector<char> buffer(kNameBufferBytes);
  group entry;
  group* found = nullptr;
  getgrgid_r(id, &entry, buffer.data(), buffer.size(), &found);
  return found != nullptr ? found->gr_name : absl::StrCat(id);
}

io::FileInfo::Type TypeOf(mode_t mode) {
  if (S_ISREG(mode)) return io::FileInfo::Type::kFile;
  if (S_ISDIR(mode)) return io::FileInfo::Type::kDirectory;
  if (S_ISLNK(mode)) return io::FileInfo::Type::kSymlink;
  return io::FileInfo::Type::kOther;
}

// Names in the directory that is open as `fd`, unsorted.
absl::StatusOr<std::vector<std::string>> ListDirectory(
    UniqueFd fd, const std::string& path) {
  DIR* const directory = fdopendir(fd.get());
  if (directory == nullptr) return ToStatus(-1, "list", path);
  fd.release();  // closedir closes it.
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(directory)) {
    const absl::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  const int error = errno;
  closedir(directory);
  if (error != 0) return ErrnoStatus(error, absl::StrCat("list ", path));
  return names;
}

UniqueFd OpenDirectoryAt(int parent, const char* name) {
  return UniqueFd(
      openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

// Removes what the directory `fd` holds. Descriptors instead of paths: whoever
// owns the tree cannot lead this out of it with a symlink, however fast.
absl::Status RemoveEntries(UniqueFd fd, const std::string& path) {
  const auto names =
      ListDirectory(UniqueFd(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0)), path);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    const std::string child = absl::StrCat(path, "/", name);
    if (unlinkat(fd.get(), name.c_str(), 0) == 0 || errno == ENOENT) continue;
    if (errno != EISDIR) return ToStatus(-1, "remove", child);
    UniqueFd directory = OpenDirectoryAt(fd.get(), name.c_str());
    if (!directory) return ToStatus(-1, "remove", child);
    const absl::Status removed = RemoveEntries(std::move(directory), child);
    if (!removed.ok()) return removed;
    if (unlinkat(fd.get(), name.c_str(), AT_REMOVEDIR) != 0) {
      return ToStatus(-1, "remove", child);
    }
  }
  return absl::OkStatus();
}

bool IsDirectory(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

bool IsSymlink(const std::string& path) {
  struct stat info;
  return lstat(path.c_str(), &info) == 0 && S_ISLNK(info.st_mode);
}

absl::StatusOr<struct statvfs> FileSystem(const std::string& path) {
  struct statvfs info;
  if (Retry([&] { return statvfs(path.c_str(), &info); }) != 0) {
    return ToStatus(-1, "statvfs", path);
  }
  return info;
}

}  // namespace

absl::StatusOr<std::unique_ptr<io::File>> PosixDisk::Open(
    const std::string& path, Mode mode) {
  // O_NONBLOCK: opening a pipe must not wait for its other end.
  int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  switch (mode) {
    case Mode::kRead:
      flags |= O_RDONLY;
      break;
    case Mode::kReadWrite:
      flags |= O_RDWR;
      break;
    case Mode::kCreate:
      flags |= O_RDWR | O_CREAT;
      break;
    case Mode::kCreateEmpty:
      flags |= O_RDWR | O_CREAT | O_TRUNC;
      break;
  }
  UniqueFd fd(Retry([&] { return open(path.c_str(), flags, 0644); }));
  if (!fd) return ToStatus(-1, "open", path);
  struct stat info;
  if (fstat(fd.get(), &info) != 0) return ToStatus(-1, "stat", path);
  if (!S_ISREG(info.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat("open ", path, ": not a regular file"));
  }
  return std::make_unique<PosixFile>(std::move(fd), path);
}

absl::Status PosixDisk::SyncDirectory(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return ToStatus(-1, "open", path);
  return ToStatus(Retry([&] { return fsync(fd.get()); }), "sync", path);
}

absl::Status PosixDisk::Rename(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
  // A directory that is not empty; some file systems say EEXIST.
  if (errno == EEXIST) errno = ENOTEMPTY;
  return ToStatus(-1, absl::StrCat("rename ", from, " to"), to);
}

absl::Status PosixDisk::Remove(const std::string& path) {
  return ToStatus(unlink(path.c_str()), "remove", path);
}

absl::Status PosixDisk::RemoveTree(const std::string& path) {
  if (unlink(path.c_str()) == 0) return absl::OkStatus();
  if (errno != EISDIR) return ToStatus(-1, "remove", path);
  UniqueFd directory = OpenDirectoryAt(AT_FDCWD, path.c_str());
  if (!directory) return ToStatus(-1, "remove", path);
  const absl::Status removed = RemoveEntries(std::move(directory), path);
  if (!removed.ok()) return removed;
  return ToStatus(rmdir(path.c_str()), "remove", path);
}

absl::Status PosixDisk::MakeDirectories(const std::string& path) {
  for (size_t end = 0; end != std::string::npos;) {
    end = path.find('/', end + 1);
    const std::string parent = path.substr(0, end);
    if (mkdir(parent.c_str(), 0755) == 0) continue;
    const int error = errno == EEXIST ? ENOTDIR : errno;
    if (IsDirectory(parent)) continue;
    return ErrnoStatus(error, absl::StrCat("create directory ", parent));
  }
  return absl::OkStatus();
}

absl::Status PosixDisk::Symlink(const std::string& target,
                                const std::string& path) {
  if (symlink(target.c_str(), path.c_str()) == 0) return absl::OkStatus();
  if (errno != EEXIST || !IsSymlink(path)) {
    return ToStatus(-1, "create symlink", path);
  }
  // There is no moment at which the name is missing.
  const std::string temporary = absl::StrCat(path, ".tmp");
  if (unlink(temporary.c_str()) != 0 && errno != ENOENT) {
    return ToStatus(-1, "remove", temporary);
  }
  if (symlink(target.c_str(), temporary.c_str()) != 0) {
    return ToStatus(-1, "create symlink", temporary);
  }
  return ToStatus(rename(temporary.c_str(), path.c_str()), "create symlink",
                  path);
}

absl::StatusOr<std::string> PosixDisk::ReadLink(const std::string& path) {
  char buffer[PATH_MAX];
  const ssize_t n = readlink(path.c_str(), buffer, sizeof(buffer));
  if (n < 0) return ToStatus(-1, "read symlink", path);
  return std::string(buffer, n);
}

absl::StatusOr<io::FileInfo> PosixDisk::Stat(const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) return ToStatus(-1, "stat", path);
  io::FileInfo result;
  result.type = TypeOf(info.st_mode);
  result.size = info.st_size;
  result.mode = info.st_mode & 07777;
  result.links = info.st_nlink;
  result.user = UserName(info.st_uid);
  result.group = GroupName(info.st_gid);
  result.modified = io::WallTime(std::chrono::seconds(info.st_mtim.tv_sec) +
                                 io::Duration(info.st_mtim.tv_nsec));
  return result;
}

absl::StatusOr<std::string> PosixDisk::RealPath(const std::string& path) {
  char buffer[PATH_MAX];
  if (realpath(path.c_str(), buffer) == nullptr) {
    return ToStatus(-1, "resolve", path);
  }
  return std::string(buffer);
}

absl::StatusOr<std::vector<std::string>> PosixDisk::List(
    const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return ToStatus(-1, "list", path);
  auto names = ListDirectory(std::move(fd), path);
  if (names.ok()) std::sort(names->begin(), names->end());
  return names;
}

absl::StatusOr<std::unique_ptr<io::FileLock>> PosixDisk::Lock(
    const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd) return ToStatus(-1, "open", path);
  if (Retry([&] { return flock(fd.get(), LOCK_EX | LOCK_NB); }) != 0) {
    if (errno != EWOULDBLOCK) return ToStatus(-1, "lock", path);
    return absl::FailedPreconditionError(
        absl::StrCat("lock ", path, ": held, by this process or another one"));
  }
  return std::make_unique<PosixFileLock>(std::move(fd));
}

absl::StatusOr<uint64_t> PosixDisk::FreeBytes(const std::string& path) {
  const auto info = FileSystem(path);
  if (!info.ok()) return info.status();
  return static_cast<uint64_t>(info->f_bavail) * info->f_frsize;
}

absl::StatusOr<uint64_t> PosixDisk::TotalBytes(const std::string& path) {
  const auto info = FileSystem(path);
  if (!info.ok()) return info.status();
  return static_cast<uint64_t>(info->f_blocks) * info->f_frsize;
}

}  // namespace quorate::prod
