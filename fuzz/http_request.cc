// Requests, to the parser and to a whole server.
//
// * What is read, and answered, does not depend on how the bytes are cut.
// * A second reader, Beast with its own chunk decoder, finds the same body and
//   the same end in what our parser accepts, if it accepts it at all.

#include <glog/logging.h>

#include <boost/beast/http.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/http/parser.h"
#include "core/http/server.h"
#include "core/http/testing/fakes.h"
#include "fuzz/parse_trace.h"
#include "fuzz/pieces.h"

namespace quorate::fuzz {
namespace {

namespace beast = boost::beast;

void CompareWithBeast(const ParsedMessage& message) {
  absl::string_view bytes = message.bytes;
  while (absl::ConsumePrefix(&bytes, "\r\n")) {
  }
  beast::http::request_parser<beast::http::string_body> parser;
  parser.eager(true);
  beast::error_code error;
  const size_t used =
      parser.put(boost::asio::buffer(bytes.data(), bytes.size()), error);
  if (error) return;
  CHECK(parser.is_done());
  CHECK_EQ(used, bytes.size());
  CHECK(parser.get().body() == message.body);
}

void CheckParser(absl::string_view bytes) {
  const auto kind = http::Parser::Kind::kRequest;
  const ParseResult whole = ParseInPieces(kind, bytes, 0);
  for (uint64_t seed : kSeeds) {
    CHECK_EQ(ParseInPieces(kind, bytes, seed).trace, whole.trace);
  }
  for (const ParsedMessage& message : whole.messages) CompareWithBeast(message);
}

// What a server answers that echoes most requests at once, some after the end
// of the input, and some in a stream.
std::string Serve(absl::string_view bytes, uint64_t seed) {
  http::testing::FakeClock clock;
  http::testing::FakeNetwork network(&clock);
  std::vector<http::Responder> late;
  std::vector<std::unique_ptr<http::Stream>> streams;
  http::Server server(
      clock, {}, [&](http::Request request, http::Responder responder) {
        if (absl::StartsWith(request.path, "/late")) {
          late.push_back(std::move(responder));
        } else if (absl::StartsWith(request.path, "/stream")) {
          streams.push_back(responder.StartStream(200, {}));
          streams.back()->Write(request.path);
        } else {
          responder.Send(http::Response::Text(
              200, absl::StrCat(request.method, request.path, request.body)));
        }
      });
  auto [client, accepted] = network.MakePair();
  http::testing::RawPeer peer(std::move(client));
  server.Adopt(std::move(accepted), "");
  FeedInPieces(bytes, seed, [&](absl::string_view piece) {
    peer.Send(piece);
    clock.Run();
  });
  // Whoever still has a part of a request to come is told so in time.
  clock.Advance(std::chrono::minutes(1));
  for (const auto& stream : streams) stream->Close();
  for (http::Responder& responder : late) {
    responder.Send(http::Response::Text(200, "late"));
  }
  clock.Advance(std::chrono::minutes(1));
  peer.CloseWrite();
  clock.Advance(std::chrono::minutes(10));
  return peer.Take();
}

void CheckAll(absl::string_view bytes) {
  CheckParser(bytes);
  const std::string answers = Serve(bytes, 0);
  for (uint64_t seed : kSeeds) CHECK_EQ(Serve(bytes, seed), answers);
}

}  // namespace
}  // namespace quorate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quorate::fuzz::CheckAll(quorate::fuzz::ToView(data, size));
  return 0;
}
