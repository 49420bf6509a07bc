// A clock and a network in memory, for tests: nothing happens until the clock
// is told to run.
//
//   FakeClock clock;
//   FakeNetwork network(&clock);
//   auto acceptor = network.Listen({"10.0.0.1", 80}, on_accepted);
//   auto connector = network.Connect({"10.0.0.1", 80}, 1s, on_connected);
//   clock.Advance(10s);

#ifndef QUORATE_CORE_HTTP_TESTING_FAKES_H_
#define QUORATE_CORE_HTTP_TESTING_FAKES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "io/clock.h"
#include "io/network.h"

namespace quorate::http::testing {

class FakeClock final : public io::Clock {
 public:
  io::Instant Now() const override { return now_; }
  // Begins on Saturday 2026-11-21 03:38:01.
  io::WallTime WallNow() const override;

  // Runs what is due within the next `time`, and then it is that much later.
  void Advance(io::Duration time);
  // Runs what is due now, and what that makes due now.
  void Run() { Advance(io::Duration::zero()); }

 protected:
  uint64_t Schedule(io::Duration delay,
                    std::function<void()> callback) override;
  void Cancel(uint64_t id) override;

 private:
  io::Instant now_;
  uint64_t next_id_ = 1;
  // By due time, then by id.
  std::map<std::pair<io::Instant, uint64_t>, std::function<void()>> events_;
  std::map<uint64_t, io::Instant> due_;
};

class FakeNetwork final : public io::Network {
 public:
  explicit FakeNetwork(FakeClock* clock) : clock_(*clock) {}

  absl::StatusOr<std::unique_ptr<io::Acceptor>> Listen(
      const io::Endpoint& at, OnAccepted on_accepted) override;
  std::unique_ptr<io::Connector> Connect(const io::Endpoint& to,
                                         io::Duration timeout,
                                         OnConnected on_connected) override;

  // Both ends of a connection.
  std::pair<std::unique_ptr<io::Connection>, std::unique_ptr<io::Connection>>
  MakePair();

  int connects() const { return connects_; }

 private:
  class FakeAcceptor;

  FakeClock& clock_;
  int connects_ = 0;
  std::map<io::Endpoint, OnAccepted> listening_;
};

// One end of a connection in the hands of a test.
class RawPeer final : public io::Connection::Listener {
 public:
  explicit RawPeer(std::unique_ptr<io::Connection> connection)
      : connection_(std::move(connection)) {
    connection_->Start(this);
  }

  void Send(absl::string_view bytes) { connection_->Write(bytes); }
  void CloseWrite() { connection_->CloseWrite(); }
  void PauseReading() { connection_->PauseReading(); }
  void ResumeReading() { connection_->ResumeReading(); }
  void Drop() { connection_ = nullptr; }

  // Everything received since the last call.
  std::string Take() { return std::exchange(received_, std::string()); }
  // The other end has closed its direction, or the connection is gone.
  bool ended() const { return ended_; }

  void OnData(absl::string_view bytes) override;
  void OnEnd() override { ended_ = true; }
  void OnClosed(const absl::Status&) override { ended_ = true; }

 private:
  std::unique_ptr<io::Connection> connection_;
  std::string received_;
  bool ended_ = false;
};

}  // namespace quorate::http::testing

#endif  // QUORATE_CORE_HTTP_TESTING_FAKES_H_
