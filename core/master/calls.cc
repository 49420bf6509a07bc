#include "core/master/calls.h"

#include "absl/strings/str_cat.h"
#include "core/api/media.h"

namespace quorate::master {

using http::Response;

std::optional<Response> ParseCall(const http::Request& request,
                                  google::protobuf::Message* call) {
  if (request.method != "POST") {
    Response refusal = Response::Text(
        405, absl::StrCat("405 Method Not Allowed. Expecting one of { 'POST' "
                          "}, but received '",
                          request.method, "'."));
    refusal.headers.Set("Allow", "POST");
    return refusal;
  }
  const api::Negotiation content =
      api::NegotiateContentType(request.headers.Get("Content-Type"));
  if (!content.type) return Response::Text(content.http_status, content.error);
  const absl::Status parsed = api::ParseBody(*content.type, request.body, call);
  if (!parsed.ok()) return Response::Text(400, parsed.message());
  return std::nullopt;
}

}  // namespace quorate::master
