#include "prod/process.h"

#include <dirent.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace quorate::prod {
namespace {

// Places in /proc/<pid>/stat after the name, which may hold anything.
enum Field { kState, kParent, kGroup, kSession, kStartTime = 19, kFields };

}  // namespace

std::optional<ProcessStat> ReadProcessStat(pid_t pid) {
  const auto text = ReadSmallFile(absl::StrCat("/proc/", pid, "/stat"));
  if (!text.ok()) return std::nullopt;
  const size_t name_end = text->rfind(") ");
  if (name_end == std::string::npos) return std::nullopt;
  const std::vector<absl::string_view> fields =
      absl::StrSplit(absl::string_view(*text).substr(name_end + 2), ' ');
  ProcessStat stat;
  stat.pid = pid;
  if (fields.size() < kFields || fields[kState].empty() ||
      !absl::SimpleAtoi(fields[kParent], &stat.parent) ||
      !absl::SimpleAtoi(fields[kGroup], &stat.group) ||
      !absl::SimpleAtoi(fields[kSession], &stat.session) ||
      !absl::SimpleAtoi(fields[kStartTime], &stat.start_time)) {
    return std::nullopt;
  }
  stat.state = fields[kState][0];
  return stat;
}

std::vector<ProcessStat> AllProcesses() {
  std::vector<ProcessStat> result;
  DIR* const directory = opendir("/proc");
  if (directory == nullptr) return result;
  while (const dirent* entry = readdir(directory)) {
    pid_t pid;
    if (!absl::SimpleAtoi(entry->d_name, &pid)) continue;
    if (auto stat = ReadProcessStat(pid)) result.push_back(*stat);
  }
  closedir(directory);
  return result;
}

UniqueFd OpenProcess(pid_t pid, uint64_t start_time) {
  UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!process) return process;
  // From here on the pid cannot pass to another process unnoticed.
  const auto stat = ReadProcessStat(pid);
  if (!stat.has_value() || stat->start_time != start_time) process.reset();
  return process;
}

absl::Status SignalProcess(const UniqueFd& process, int signal) {
  if (syscall(SYS_pidfd_send_signal, process.get(), signal, nullptr, 0) == 0) {
    return absl::OkStatus();
  }
  if (errno == ESRCH) return absl::NotFoundError("the process has ended");
  if (errno == EINVAL) {
    return absl::InvalidArgumentError(absl::StrCat("no signal ", signal));
  }
  return ErrnoStatus(errno, absl::StrCat("signal ", signal));
}

std::string AutogroupOf(pid_t pid) {
  // "/autogroup-83 nice 0"
  const auto text = ReadSmallFile(absl::StrCat("/proc/", pid, "/autogroup"));
  if (!text.ok()) return "-";
  const std::string name = text->substr(0, text->find(' '));
  return absl::StartsWith(name, "/autogroup-") ? name : "-";
}

std::string BootId() {
  const auto text = ReadSmallFile("/proc/sys/kernel/random/boot_id");
  return text.ok() ? std::string(absl::StripAsciiWhitespace(*text)) : "-";
}

}  // namespace quorate::prod
