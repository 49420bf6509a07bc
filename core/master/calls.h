// What the operator API and the scheduler API have in common: one message in
// the body of a POST.

#ifndef QUORATE_CORE_MASTER_CALLS_H_
#define QUORATE_CORE_MASTER_CALLS_H_

#include <optional>

#include "core/http/server.h"

namespace google::protobuf {
class Message;
}

namespace quorate::master {

// Fills `call`, or says how to refuse the request.
std::optional<http::Response> ParseCall(const http::Request& request,
                                        google::protobuf::Message* call);

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_CALLS_H_
