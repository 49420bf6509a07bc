#include "prod/posix.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>

#include "absl/strings/str_cat.h"

namespace quorate::prod {
namespace {

constexpr size_t kSmallFileBytes = 1 << 20;

absl::StatusCode CodeOf(int error) {
  switch (error) {
    case ENOENT:
      return absl::StatusCode::kNotFound;
    case EEXIST:
    case EADDRINUSE:
      return absl::StatusCode::kAlreadyExists;
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::StatusCode::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EAGAIN:  // Of fork: the limit of processes.
      return absl::StatusCode::kResourceExhausted;
    case ENOTDIR:
    case EISDIR:
    case ENOTEMPTY:
    case EBADF:
    case EBUSY:
    case EINVAL:
    case ELOOP:
    case ETXTBSY:
    case EXDEV:
      return absl::StatusCode::kFailedPrecondition;
    case ENAMETOOLONG:
    case ENOEXEC:
    case E2BIG:
      return absl::StatusCode::kInvalidArgument;
    default:
      return absl::StatusCode::kUnavailable;
  }
}

}  // namespace

void UniqueFd::reset(int fd) {
  // Linux frees the descriptor even when close is interrupted: no retry.
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
}

absl::Status ErrnoStatus(int error, absl::string_view what) {
  return absl::Status(CodeOf(error), absl::StrCat(what, ": ", strerror(error)));
}

absl::StatusOr<std::string> ReadSmallFile(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoStatus(errno, path);
  std::string content;
  char buffer[4096];
  while (content.size() < kSmallFileBytes) {
    const ssize_t n =
        Retry([&] { return read(fd.get(), buffer, sizeof(buffer)); });
    if (n < 0) return ErrnoStatus(errno, path);
    if (n == 0) break;
    content.append(buffer, n);
  }
  return content;
}

}  // namespace quorate::prod
