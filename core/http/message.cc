#include "core/http/message.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace quorate::http {
namespace {

using Field = std::pair<std::string, std::string>;

auto HasName(absl::string_view name) {
  return [name](const Field& field) {
    return absl::EqualsIgnoreCase(field.first, name);
  };
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

enum class Plus { kIsPlus, kIsSpace };

absl::StatusOr<std::string> PercentDecode(absl::string_view text, Plus plus) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '+' && plus == Plus::kIsSpace) c = ' ';
    if (c == '%') {
      const int high = i + 2 < text.size() ? HexValue(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? HexValue(text[i + 2]) : -1;
      if (high < 0 || low < 0) {
        return absl::InvalidArgumentError("bad percent-encoding in the target");
      }
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (c == '\0') return absl::InvalidArgumentError("NUL in the target");
    out.push_back(c);
  }
  return out;
}

absl::Status ParseQuery(absl::string_view text,
                        std::map<std::string, std::string>* query) {
  for (absl::string_view pair : absl::StrSplit(text, '&', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(pair, absl::MaxSplits('=', 1));
    absl::StatusOr<std::string> key =
        PercentDecode(parts.first, Plus::kIsSpace);
    if (!key.ok()) return key.status();
    absl::StatusOr<std::string> value =
        PercentDecode(parts.second, Plus::kIsSpace);
    if (!value.ok()) return value.status();
    (*query)[*std::move(key)] = *std::move(value);
  }
  return absl::OkStatus();
}

}  // namespace

void Headers::Add(absl::string_view name, absl::string_view value) {
  fields_.emplace_back(name, value);
}

void Headers::Set(absl::string_view name, absl::string_view value) {
  Remove(name);
  Add(name, value);
}

void Headers::Remove(absl::string_view name) {
  fields_.erase(std::remove_if(fields_.begin(), fields_.end(), HasName(name)),
                fields_.end());
}

bool Headers::Has(absl::string_view name) const {
  return std::any_of(fields_.begin(), fields_.end(), HasName(name));
}

std::optional<std::string> Headers::Get(absl::string_view name) const {
  auto it = std::find_if(fields_.begin(), fields_.end(), HasName(name));
  if (it == fields_.end()) return std::nullopt;
  return it->second;
}

std::optional<std::string> Headers::GetJoined(absl::string_view name) const {
  std::optional<std::string> joined;
  for (const Field& field : fields_) {
    if (!HasName(name)(field)) continue;
    joined = joined ? absl::StrCat(*joined, ", ", field.second) : field.second;
  }
  return joined;
}

Response Response::Ok(std::string body, absl::string_view content_type) {
  return {.headers = {{"Content-Type", std::string(content_type)}},
          .body = std::move(body)};
}

Response Response::Json(std::string body) {
  return Ok(std::move(body), "application/json");
}

Response Response::Text(int status, absl::string_view message) {
  Response response = Ok(std::string(message), "text/plain; charset=utf-8");
  response.status = status;
  return response;
}

absl::string_view ReasonPhrase(int status) {
  static constexpr struct {
    int status;
    const char* phrase;
  } kPhrases[] = {
      {100, "Continue"},
      {101, "Switching Protocols"},
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {203, "Non-Authoritative Information"},
      {204, "No Content"},
      {205, "Reset Content"},
      {206, "Partial Content"},
      {300, "Multiple Choices"},
      {301, "Moved Permanently"},
      {302, "Found"},
      {303, "See Other"},
      {304, "Not Modified"},
      {307, "Temporary Redirect"},
      {308, "Permanent Redirect"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {402, "Payment Required"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {406, "Not Acceptable"},
      {407, "Proxy Authentication Required"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {410, "Gone"},
      {411, "Length Required"},
      {412, "Precondition Failed"},
      {413, "Payload Too Large"},
      {414, "URI Too Long"},
      {415, "Unsupported Media Type"},
      {416, "Range Not Satisfiable"},
      {417, "Expectation Failed"},
      {422, "Unprocessable Entity"},
      {426, "Upgrade Required"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {502, "Bad Gateway"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
      {505, "HTTP Version Not Supported"},
  };
  for (const auto& entry : kPhrases) {
    if (entry.status == status) return entry.phrase;
  }
  return "Unknown";
}

absl::StatusOr<Target> ParseTarget(absl::string_view target) {
  if (!absl::StartsWith(target, "/")) {
    return absl::InvalidArgumentError("the target does not begin with '/'");
  }
  const size_t mark = target.find('?');
  absl::StatusOr<std::string> path =
      PercentDecode(target.substr(0, mark), Plus::kIsPlus);
  if (!path.ok()) return path.status();
  Target result{.path = *std::move(path)};
  if (mark != absl::string_view::npos) {
    absl::Status status = ParseQuery(target.substr(mark + 1), &result.query);
    if (!status.ok()) return status;
  }
  return result;
}

std::string PercentEncode(absl::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (char c : text) {
    if (absl::ascii_isalnum(c) || c == '-' || c == '.' || c == '_' ||
        c == '~') {
      out.push_back(c);
    } else {
      const unsigned char byte = static_cast<unsigned char>(c);
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

}  // namespace quorate::http
