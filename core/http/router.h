// Paths to handlers.

#ifndef QUORATE_CORE_HTTP_ROUTER_H_
#define QUORATE_CORE_HTTP_ROUTER_H_

#include <map>
#include <string>
#include <vector>

#include "core/http/server.h"

namespace quorate::http {

// Exact paths; a trailing '/' is ignored. A first path component that equals
// the delegate ("master", "slave(1)") is dropped when the path as given has no
// route of its own, as existing clients expect.
// Answers 404 "404 Not Found." and 405 with Allow by itself.
class Router {
 public:
  explicit Router(std::string delegate) : delegate_(std::move(delegate)) {}

  // method "GET" also serves HEAD. Methods "*" takes them all.
  void Add(absl::string_view method, absl::string_view path, Handler handler);

  void Route(Request request, Responder responder) const;

 private:
  using Methods = std::map<std::string, Handler>;
  const Methods* Find(absl::string_view path) const;

  std::string delegate_;
  std::map<std::string, Methods> routes_;
};

}  // namespace quorate::http

#endif  // QUORATE_CORE_HTTP_ROUTER_H_
