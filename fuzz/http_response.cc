// Responses, to the parser and to a whole client: what is read does not depend
// on how the bytes are cut.

#include <glog/logging.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/http/client.h"
#include "core/http/parser.h"
#include "core/http/testing/fakes.h"
#include "fuzz/parse_trace.h"
#include "fuzz/pieces.h"

namespace quorate::fuzz {
namespace {

// What a client hears from a server that sends `bytes` to whoever connects
// first, and nothing to others.
std::string Ask(absl::string_view bytes, uint64_t seed, bool for_stream) {
  http::testing::FakeClock clock;
  http::testing::FakeNetwork network(&clock);
  const io::Endpoint at{"10.0.0.1", 80};
  std::unique_ptr<http::testing::RawPeer> peer;
  auto acceptor =
      *network.Listen(at, [&](std::unique_ptr<io::Connection> connection) {
        if (peer != nullptr) return;
        peer = std::make_unique<http::testing::RawPeer>(std::move(connection));
      });
  http::ClientConnection client(clock, network, at, {});
  std::string heard;
  if (for_stream) {
    client.SendForStream(
        {}, {.on_head =
                 [&](const http::Response& head) {
                   absl::StrAppend(&heard, "head ", head.status, "\n");
                 },
             .on_data =
                 [&](absl::string_view data) { absl::StrAppend(&heard, data); },
             .on_closed =
                 [&](const absl::Status& status) {
                   absl::StrAppend(&heard, "\n", status.ToString());
                 }});
  } else {
    for (int i = 0; i < 3; ++i) {
      client.Send({}, [&](absl::StatusOr<http::Response> response) {
        absl::StrAppend(&heard, response.status().ToString(), "\n",
                        response.ok() ? response->body : "", "\n");
      });
    }
  }
  clock.Run();
  FeedInPieces(bytes, seed, [&](absl::string_view piece) {
    peer->Send(piece);
    clock.Run();
  });
  peer->CloseWrite();
  clock.Advance(std::chrono::minutes(2));
  return heard;
}

void CheckAll(absl::string_view bytes) {
  const auto kind = http::Parser::Kind::kResponse;
  const std::string trace = ParseInPieces(kind, bytes, 0).trace;
  const std::string heard = Ask(bytes, 0, /*for_stream=*/true);
  for (uint64_t seed : kSeeds) {
    CHECK_EQ(ParseInPieces(kind, bytes, seed).trace, trace);
    CHECK_EQ(Ask(bytes, seed, /*for_stream=*/true), heard);
    // How many answers one piece holds does decide which of them count; here
    // only that nothing breaks.
    Ask(bytes, seed, /*for_stream=*/false);
  }
}

}  // namespace
}  // namespace quorate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quorate::fuzz::CheckAll(quorate::fuzz::ToView(data, size));
  return 0;
}
