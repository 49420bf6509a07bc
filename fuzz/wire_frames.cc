// The framing of links between our own processes, and the port that they share
// with HTTP.
//
// * What is read does not depend on how the bytes are cut.
// * Any payloads survive the way through the framing, and a handshake that was
//   read once reads the same when it is written again.

#include <glog/logging.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/http/testing/fakes.h"
#include "core/wire/frame.h"
#include "core/wire/link.h"
#include "core/wire/port.h"
#include "fuzz/pieces.h"

namespace quorate::fuzz {
namespace {

constexpr size_t kMaxFrameBytes = 1000;

struct Decoded {
  std::vector<std::string> payloads;
  std::string error;

  friend bool operator==(const Decoded&, const Decoded&) = default;
};

Decoded Decode(absl::string_view bytes, uint64_t seed) {
  wire::FrameDecoder decoder(kMaxFrameBytes);
  Decoded decoded;
  FeedInPieces(bytes, seed, [&](absl::string_view piece) {
    if (!decoded.error.empty()) return;
    decoder.Add(piece);
    std::string payload;
    absl::StatusOr<bool> complete = decoder.Next(&payload);
    for (; complete.ok() && *complete; complete = decoder.Next(&payload)) {
      decoded.payloads.push_back(payload);
    }
    if (!complete.ok()) decoded.error = complete.status().ToString();
  });
  return decoded;
}

void CheckRoundTrip(absl::string_view bytes, uint64_t seed) {
  Decoded expected;
  std::string encoded;
  FeedInPieces(bytes, seed, [&](absl::string_view piece) {
    expected.payloads.emplace_back(piece.substr(0, kMaxFrameBytes));
    encoded += wire::EncodeFrame(expected.payloads.back());
  });
  CHECK(Decode(encoded, seed + 1) == expected);
}

void CheckHandshake(absl::string_view bytes) {
  const auto once = wire::DecodeHandshake(bytes);
  if (!once.ok()) return;
  const auto again = wire::DecodeHandshake(wire::EncodeHandshake(*once));
  CHECK(again.ok()) << again.status();
  CHECK(again->purpose == once->purpose);
  CHECK(again->versions == once->versions);
  CHECK_EQ(again->cluster_id, once->cluster_id);
  CHECK_EQ(again->node_id, once->node_id);
  CHECK(again->address == once->address);
}

// Notes what a link brings.
class LinkTracer final : public wire::Link::Listener {
 public:
  explicit LinkTracer(std::string* trace) : trace_(*trace) {}

  void Watch(std::unique_ptr<wire::Link> link) {
    absl::StrAppend(&trace_, "link to ", link->peer().node_id, "\n");
    link_ = std::move(link);
    link_->Start(this);
  }
  void OnMessage(absl::string_view payload) override {
    absl::StrAppend(&trace_, "message ", payload, "\n");
  }
  void OnClosed(const absl::Status& reason) override {
    absl::StrAppend(&trace_, reason.ToString(), "\n");
  }

 private:
  std::string& trace_;
  std::unique_ptr<wire::Link> link_;
};

// What a port makes of one connection that brings `bytes`.
std::string Accept(absl::string_view bytes, uint64_t seed) {
  http::testing::FakeClock clock;
  http::testing::FakeNetwork network(&clock);
  const io::Endpoint at{"10.0.0.1", 80};
  std::string trace;
  LinkTracer links(&trace);
  std::unique_ptr<http::testing::RawPeer> http;
  auto port = wire::OpenPort(
      clock, network, at,
      {.on_http =
           [&](std::unique_ptr<io::Connection> connection, std::string first) {
             absl::StrAppend(&trace, "http ", first);
             http = std::make_unique<http::testing::RawPeer>(
                 std::move(connection));
           },
       .on_link =
           [&](std::unique_ptr<wire::Link> link) {
             links.Watch(std::move(link));
           },
       .handshake =
           [](const wire::Handshake&) -> absl::StatusOr<wire::Handshake> {
         return wire::Handshake{.cluster_id = "c", .node_id = "me"};
       }});
  CHECK(port.ok());
  std::unique_ptr<http::testing::RawPeer> peer;
  auto connector = network.Connect(at, std::chrono::seconds(1), [&](auto c) {
    peer = std::make_unique<http::testing::RawPeer>(*std::move(c));
  });
  clock.Run();
  FeedInPieces(bytes, seed, [&](absl::string_view piece) {
    peer->Send(piece);
    clock.Run();
  });
  peer->CloseWrite();
  clock.Advance(std::chrono::minutes(1));
  if (http != nullptr) trace += http->Take();
  return trace;
}

void CheckAll(absl::string_view bytes) {
  CheckHandshake(bytes);
  const wire::Handshake handshake = {.cluster_id = "c", .node_id = "peer"};
  const std::string inputs[] = {
      std::string(bytes),
      // Behind the checksums, where mutations of bytes alone do not come.
      absl::StrCat(wire::kGreeting, wire::EncodeFrame(bytes),
                   wire::EncodeFrame("hello")),
      absl::StrCat(wire::kGreeting,
                   wire::EncodeFrame(wire::EncodeHandshake(handshake)),
                   wire::EncodeFrame(bytes), bytes),
  };
  const Decoded whole = Decode(bytes, 0);
  for (const std::string& input : inputs) {
    const std::string trace = Accept(input, 0);
    for (uint64_t seed : kSeeds) CHECK_EQ(Accept(input, seed), trace);
  }
  for (uint64_t seed : kSeeds) {
    CHECK(Decode(bytes, seed) == whole);
    CheckRoundTrip(bytes, seed);
  }
}

}  // namespace
}  // namespace quorate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quorate::fuzz::CheckAll(quorate::fuzz::ToView(data, size));
  return 0;
}
