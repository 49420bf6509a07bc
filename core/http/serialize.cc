#include "core/http/serialize.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

namespace quorate::http {
namespace {

// What the sender writes itself, from the message as a whole.
bool IsOwnField(absl::string_view name) {
  static constexpr absl::string_view kOwn[] = {"Connection", "Content-Length",
                                               "Date", "Keep-Alive",
                                               "Transfer-Encoding"};
  return std::any_of(std::begin(kOwn), std::end(kOwn),
                     [name](absl::string_view own) {
                       return absl::EqualsIgnoreCase(own, name);
                     });
}

}  // namespace

std::string StatusLine(int status) {
  return absl::StrCat("HTTP/1.1 ", status, " ", ReasonPhrase(status), "\r\n");
}

std::string DateField(io::WallTime now) {
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed",
                                          "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr",
                                            "May", "Jun", "Jul", "Aug",
                                            "Sep", "Oct", "Nov", "Dec"};
  // sys_time lends its calendar; it counts from the same epoch.
  const auto seconds = std::chrono::floor<std::chrono::seconds>(
      std::chrono::sys_time<io::Duration>(now.time_since_epoch()));
  const auto day = std::chrono::floor<std::chrono::days>(seconds);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(seconds - day);
  return absl::StrFormat("Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n",
                         kDays[std::chrono::weekday(day).c_encoding()],
                         static_cast<unsigned>(date.day()),
                         kMonths[static_cast<unsigned>(date.month()) - 1],
                         static_cast<int>(date.year()), time.hours().count(),
                         time.minutes().count(), time.seconds().count());
}

void AppendField(absl::string_view name, absl::string_view value,
                 std::string* out) {
  const size_t begin = out->size();
  absl::StrAppend(out, name, ": ", value);
  std::replace_if(
      out->begin() + static_cast<ptrdiff_t>(begin), out->end(),
      [](char c) { return c != '\t' && absl::ascii_iscntrl(c); }, ' ');
  out->append("\r\n");
}

void AppendFields(const Headers& headers, std::string* out) {
  for (const auto& [name, value] : headers.fields()) {
    if (!IsOwnField(name)) AppendField(name, value, out);
  }
}

std::string Chunk(absl::string_view bytes) {
  return absl::StrCat(absl::Hex(bytes.size()), "\r\n", bytes, "\r\n");
}

bool ConnectionHas(const Headers& headers, absl::string_view word) {
  const std::optional<std::string> joined = headers.GetJoined("Connection");
  if (!joined) return false;
  for (absl::string_view item : absl::StrSplit(*joined, ',')) {
    if (absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(item), word)) {
      return true;
    }
  }
  return false;
}

}  // namespace quorate::http
