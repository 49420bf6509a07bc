// HTTP/1.1 messages as values.

#ifndef QUORATE_CORE_HTTP_MESSAGE_H_
#define QUORATE_CORE_HTTP_MESSAGE_H_

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "io/network.h"

namespace quorate::http {

// Fields in the order of the wire; names compare without case.
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<std::pair<std::string, std::string>> fields)
      : fields_(fields) {}

  void Add(absl::string_view name, absl::string_view value);
  // Replaces all fields of that name.
  void Set(absl::string_view name, absl::string_view value);
  void Remove(absl::string_view name);
  bool Has(absl::string_view name) const;
  // The first field of that name.
  std::optional<std::string> Get(absl::string_view name) const;
  // All fields of that name, joined by ", ".
  std::optional<std::string> GetJoined(absl::string_view name) const;

  const std::vector<std::pair<std::string, std::string>>& fields() const {
    return fields_;
  }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

struct Request {
  std::string method = "GET";
  // As on the request line: "/files/read?path=%2Ftmp&offset=0".
  std::string target = "/";
  Headers headers;
  std::string body;  // De-chunked; gunzipped by the server.

  // Filled in by the server. `path` is percent-decoded and always begins with
  // '/'; of repeated query keys the last counts.
  std::string path;
  std::map<std::string, std::string> query;
  io::Endpoint peer;
};

struct Response {
  int status = 200;
  Headers headers;
  std::string body;

  static Response Ok(std::string body, absl::string_view content_type);
  static Response Json(std::string body);
  // text/plain; charset=utf-8, as the Mesos APIs report errors.
  static Response Text(int status, absl::string_view message);
};

// "Not Found" for 404, "Unknown" for a status without a name.
absl::string_view ReasonPhrase(int status);

// Parts of a request target, percent-decoded; '+' in a query is a space.
struct Target {
  std::string path;
  std::map<std::string, std::string> query;
};

// InvalidArgument for bad escapes, a NUL, or a target that does not begin with
// '/'.
absl::StatusOr<Target> ParseTarget(absl::string_view target);

// Leaves only letters, digits and "-._~" as they are.
std::string PercentEncode(absl::string_view text);

}  // namespace quorate::http

#endif  // QUORATE_CORE_HTTP_MESSAGE_H_
