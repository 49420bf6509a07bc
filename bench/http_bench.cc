// Requests through the parser and through a whole server in memory, RecordIO,
// and gzip.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/http/client.h"
#include "core/http/gzip.h"
#include "core/http/parser.h"
#include "core/http/recordio.h"
#include "core/http/server.h"
#include "core/http/testing/fakes.h"

namespace quorate::http {
namespace {

// As a scheduler acknowledges a status update.
std::string CallRequest(size_t body_bytes) {
  return absl::StrCat(
      "POST /api/v1/scheduler HTTP/1.1\r\n"
      "Host: 10.0.0.1:5050\r\n"
      "Accept: application/json\r\n"
      "Content-Type: application/json\r\n"
      "Mesos-Stream-Id: b95676ba-3a01-420f-95d2-1f24237046cd\r\n"
      "User-Agent: scheduler/1.0\r\n"
      "Content-Length: ",
      body_bytes, "\r\n\r\n", std::string(body_bytes, 'x'));
}

// A chunked response as it comes to a subscriber, one record a chunk.
std::string StreamBody(size_t records, size_t record_bytes) {
  const std::string record = EncodeRecord(std::string(record_bytes, 'x'));
  std::string body = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (size_t i = 0; i < records; ++i) {
    absl::StrAppend(&body, absl::Hex(record.size()), "\r\n", record, "\r\n");
  }
  return body + "0\r\n\r\n";
}

void CountMessages(benchmark::State& state, Parser::Kind kind,
                   const std::string& bytes) {
  Parser parser(kind, {});
  for (auto _ : state) {
    absl::string_view input = bytes;
    Parser::Event event = Parser::Event::kNeedMore;
    do {
      event = parser.Next(&input);
      if (event == Parser::Event::kHead) {
        benchmark::DoNotOptimize(parser.TakeHead());
      }
    } while (event != Parser::Event::kEnd);
  }
  state.SetItemsProcessed(state.iterations());
  state.SetBytesProcessed(state.iterations() *
                          static_cast<int64_t>(bytes.size()));
}

void BM_ParseRequest(benchmark::State& state) {
  CountMessages(state, Parser::Kind::kRequest,
                CallRequest(static_cast<size_t>(state.range(0))));
}
BENCHMARK(BM_ParseRequest)->Arg(0)->Arg(200)->Arg(1 << 20);

void BM_ParseChunkedResponse(benchmark::State& state) {
  CountMessages(state, Parser::Kind::kResponse,
                StreamBody(100, static_cast<size_t>(state.range(0))));
}
BENCHMARK(BM_ParseChunkedResponse)->Arg(20)->Arg(1000);

// Server, client and the in-memory network together, one request at a time.
void BM_RoundTrip(benchmark::State& state) {
  testing::FakeClock clock;
  testing::FakeNetwork network(&clock);
  const io::Endpoint at{"10.0.0.1", 5050};
  Server server(clock, {}, [](Request request, Responder responder) {
    responder.Send(Response::Json(std::move(request.body)));
  });
  auto acceptor =
      network.Listen(at, [&](std::unique_ptr<io::Connection> connection) {
        server.Adopt(std::move(connection), "");
      });
  ClientConnection client(clock, network, at, {});
  const Request request{.method = "POST",
                        .target = "/api/v1/scheduler",
                        .headers = {{"Content-Type", "application/json"}},
                        .body = std::string(200, 'x')};
  int64_t answered = 0;
  for (auto _ : state) {
    client.Send(request, [&](auto response) { answered += response.ok(); });
    clock.Run();
  }
  if (answered != state.iterations()) state.SkipWithError("no answer");
  state.SetItemsProcessed(answered);
}
BENCHMARK(BM_RoundTrip);

// Requests that come many at a time, each answered at once.
void BM_ServePipelined(benchmark::State& state) {
  constexpr int kRequests = 32;
  testing::FakeClock clock;
  testing::FakeNetwork network(&clock);
  Server server(clock, {}, [](Request, Responder responder) {
    responder.Send({.status = 202});
  });
  auto [client, accepted] = network.MakePair();
  server.Adopt(std::move(accepted), "");
  testing::RawPeer peer(std::move(client));
  std::string requests;
  for (int i = 0; i < kRequests; ++i) requests += CallRequest(200);
  for (auto _ : state) {
    peer.Send(requests);
    clock.Run();
    benchmark::DoNotOptimize(peer.Take());
  }
  state.SetItemsProcessed(state.iterations() * kRequests);
}
BENCHMARK(BM_ServePipelined);

// Cut at 16 KiB, as a socket would.
void BM_DecodeRecords(benchmark::State& state) {
  const auto record_bytes = static_cast<size_t>(state.range(0));
  constexpr size_t kRead = 16 << 10;
  std::string bytes;
  int64_t records = 0;
  for (; bytes.size() < (1 << 20); ++records) {
    bytes += EncodeRecord(std::string(record_bytes, 'x'));
  }
  int64_t seen = 0;
  for (auto _ : state) {
    RecordDecoder decoder;
    for (size_t i = 0; i < bytes.size(); i += kRead) {
      const absl::Status status =
          decoder.Feed(absl::string_view(bytes).substr(i, kRead),
                       [&](absl::string_view) { ++seen; });
      if (!status.ok()) state.SkipWithError("not RecordIO");
    }
  }
  state.SetItemsProcessed(seen);
  state.SetBytesProcessed(state.iterations() *
                          static_cast<int64_t>(bytes.size()));
}
BENCHMARK(BM_DecodeRecords)->Arg(20)->Arg(1000)->Arg(100000);

void BM_Gzip(benchmark::State& state) {
  std::string text;
  for (int i = 0; text.size() < (1 << 20); ++i) {
    absl::StrAppend(&text, "{\"id\":\"task-", i,
                    "\",\"state\":\"TASK_RUNNING\",\"cpus\":0.1},");
  }
  for (auto _ : state) benchmark::DoNotOptimize(Gzip(text));
  state.SetBytesProcessed(state.iterations() *
                          static_cast<int64_t>(text.size()));
}
BENCHMARK(BM_Gzip);

}  // namespace
}  // namespace quorate::http

BENCHMARK_MAIN();
