// Looks up the addresses of servers by their names, on a thread of its own:
// that takes a minute when no name server answers.
//
//   auto resolver = std::make_shared<Resolver>(&loop);
//   lookup_ = resolver->LookUp({"zk1:2181"}, [&] {
//     Use(resolver->Known({"zk1:2181"}));
//   });

#ifndef QUORATE_PROD_RESOLVER_H_
#define QUORATE_PROD_RESOLVER_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/disk.h"
#include "prod/event_loop.h"

namespace quorate::prod {

using Addresses = std::vector<std::string>;  // in digits

// Of a host: none when there are none, or when nobody tells. May block, and is
// called by another thread.
using LookUpHost = std::function<Addresses(const std::string& host)>;

// As getaddrinfo(3) has them.
Addresses LookUpAddresses(const std::string& host);

// Of servers, "host:port": whether none of them needs to be looked up.
bool InDigits(const std::vector<std::string>& servers);

class Resolver {
 public:
  // Not called any more once it is destroyed.
  using Lookup = std::shared_ptr<std::function<void()>>;
  using Servers = std::vector<std::string>;  // "host:port"

  // `loop` outlives it. Its destructor waits for a look-up under way.
  explicit Resolver(EventLoop* loop, LookUpHost look_up = &LookUpAddresses);

  // Calls back when they have been looked up, which may have begun before. A
  // host that is not found keeps the addresses that it had.
  Lookup LookUp(const Servers& servers, std::function<void()> done);

  // "address:port", with each address that is known of each. Those given in
  // digits are known.
  std::vector<std::string> Known(const Servers& servers) const;

 private:
  using Found = std::map<std::string, Addresses>;  // by host

  void OnFound(const Servers& servers, const Found& found);

  EventLoop* const loop_;
  const LookUpHost look_up_;
  Found known_;
  // Of each look-up that is under way, who waits for it.
  std::map<Servers, std::vector<std::weak_ptr<std::function<void()>>>> waiting_;
  // Null before there is something to look up.
  std::unique_ptr<io::Lane> lane_;
};

}  // namespace quorate::prod

#endif  // QUORATE_PROD_RESOLVER_H_
