// The little that all of prod/ needs around system calls.

#ifndef QUORATE_PROD_POSIX_H_
#define QUORATE_PROD_POSIX_H_

#include <cerrno>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quorate::prod {

// Owns a file descriptor; -1 for none.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

// "<what>: <the system's words>" with the code that io/disk.h, io/network.h
// and io/containers.h give this error.
absl::Status ErrnoStatus(int error, absl::string_view what);

// The whole file. Meant for the small ones of /proc: at most 1 MB is read.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path);

// Repeats a system call that a signal has interrupted.
template <typename Call>
auto Retry(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result == -1 && errno == EINTR);
  return result;
}

}  // namespace quorate::prod

#endif  // QUORATE_PROD_POSIX_H_
