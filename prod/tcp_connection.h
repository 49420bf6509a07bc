// One TCP stream on the event loop. Private to prod/network.

#ifndef QUORATE_PROD_TCP_CONNECTION_H_
#define QUORATE_PROD_TCP_CONNECTION_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "io/network.h"
#include "prod/event_loop.h"
#include "prod/posix.h"

namespace quorate::prod {

class TcpConnection final : public io::Connection {
 public:
  // `fd` is connected and non-blocking.
  TcpConnection(EventLoop* loop, UniqueFd fd, io::Endpoint local,
                io::Endpoint peer);
  ~TcpConnection() override;

  void Start(Listener* listener) override;
  bool Write(absl::string_view bytes) override;
  size_t queued_bytes() const override { return queue_.size() - sent_; }
  void CloseWrite() override;
  void PauseReading() override;
  void ResumeReading() override;
  void Prioritize() override;
  io::Endpoint local() const override { return local_; }
  io::Endpoint peer() const override { return peer_; }

 private:
  // What one read takes at most, and what one turn reads at most, so that a
  // fast peer does not keep the others waiting.
  static constexpr size_t kReadBytes = 64 << 10;
  static constexpr size_t kReadBytesPerTurn = 256 << 10;

  enum class Output {
    kOpen,
    kClosing,  // CloseWrite was called; the queue is not yet sent.
    kClosed,   // The peer was told.
  };

  bool wants_input() const {
    return listener_ != nullptr && !paused_ && !input_ended_;
  }

  bool can_write() const {
    return fd_ && output_ == Output::kOpen && write_error_.ok();
  }

  void OnEvents(uint32_t events);
  // These return false when the stream is gone, or a callback destroyed this.
  [[nodiscard]] bool Read();
  [[nodiscard]] bool OnInputEnd();
  [[nodiscard]] bool Flush();
  [[nodiscard]] bool OnWriteError(int error);
  [[nodiscard]] bool Tell(const std::function<void(Listener*)>& event);
  [[nodiscard]] bool CloseIfBothEnded();

  // Gives the socket back and tells the listener: the last thing done.
  void Close(absl::Status reason);
  void ScheduleFlush();
  void UpdateWatch();

  EventLoop* const loop_;
  const io::Endpoint local_;
  const io::Endpoint peer_;
  UniqueFd fd_;  // None when the stream is gone.
  FdWatch::Priority priority_ = FdWatch::Priority::kOrdinary;
  std::unique_ptr<FdWatch> watch_;
  Listener* listener_ = nullptr;

  bool paused_ = false;
  bool input_ended_ = false;
  // The kernel has reported the end of both directions, which it then does
  // incessantly, while nobody wants to read: not watched until somebody does.
  bool hung_up_ = false;

  Output output_ = Output::kOpen;
  std::string queue_;  // Its first sent_ bytes are the kernel's.
  size_t sent_ = 0;
  bool kernel_full_ = false;
  bool writable_due_ = false;  // Write said false.
  // Writing failed. What the peer had sent before is still delivered.
  absl::Status write_error_;
  bool flush_scheduled_ = false;
  io::Timer flush_;

  // Why the stream is gone, while there is no listener to be told.
  std::optional<absl::Status> untold_;
  io::Timer tell_;

  // Of the function that is calling the listener.
  bool* destroyed_ = nullptr;
};

}  // namespace quorate::prod

#endif  // QUORATE_PROD_TCP_CONNECTION_H_
