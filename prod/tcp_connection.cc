#include "prod/tcp_connection.h"

#include <sys/socket.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace quorate::prod {

TcpConnection::TcpConnection(EventLoop* loop, UniqueFd fd, io::Endpoint local,
                             io::Endpoint peer)
    : loop_(loop),
      local_(std::move(local)),
      peer_(std::move(peer)),
      fd_(std::move(fd)) {
  UpdateWatch();
}

TcpConnection::~TcpConnection() {
  if (destroyed_ != nullptr) *destroyed_ = true;
}

void TcpConnection::Start(Listener* listener) {
  listener_ = listener;
  if (untold_.has_value()) {
    tell_ = loop_->RunAfter(io::Duration::zero(), [this] {
      const absl::Status reason = *std::exchange(untold_, std::nullopt);
      listener_->OnClosed(reason);
    });
  }
  hung_up_ = false;
  UpdateWatch();
}

bool TcpConnection::Write(absl::string_view bytes) {
  if (!can_write()) return true;
  queue_.append(bytes.data(), bytes.size());
  ScheduleFlush();
  const bool above = queued_bytes() > kHighWaterBytes;
  writable_due_ = writable_due_ || above;
  return !above;
}

void TcpConnection::CloseWrite() {
  if (!can_write()) return;
  output_ = Output::kClosing;
  ScheduleFlush();
}

void TcpConnection::PauseReading() {
  paused_ = true;
  UpdateWatch();
}

void TcpConnection::ResumeReading() {
  paused_ = false;
  hung_up_ = false;
  UpdateWatch();
}

void TcpConnection::Prioritize() {
  priority_ = FdWatch::Priority::kUrgent;
  watch_.reset();
  UpdateWatch();
}

// Everything that is written in one turn of the loop goes out in the next, in
// as few packets as it fits into.
void TcpConnection::ScheduleFlush() {
  if (flush_scheduled_ || kernel_full_) return;
  flush_scheduled_ = true;
  flush_ = loop_->RunAfter(io::Duration::zero(), [this] {
    flush_scheduled_ = false;
    if (Flush()) UpdateWatch();
  });
}

void TcpConnection::UpdateWatch() {
  if (!fd_ || hung_up_) return watch_.reset();
  const uint32_t events =
      (wants_input() ? EPOLLIN : 0u) | (kernel_full_ ? EPOLLOUT : 0u);
  if (watch_ != nullptr) return watch_->SetEvents(events);
  watch_ = std::make_unique<FdWatch>(
      loop_, fd_.get(), events, [this](uint32_t now) { OnEvents(now); },
      priority_);
}

void TcpConnection::OnEvents(uint32_t events) {
  constexpr uint32_t kEnded = EPOLLERR | EPOLLHUP;
  if ((events & (EPOLLIN | kEnded)) != 0 && wants_input() && !Read()) return;
  if ((events & EPOLLOUT) != 0) {
    kernel_full_ = false;
    if (!Flush()) return;
  }
  // A reader gets to the end, and to an error, by reading.
  if ((events & kEnded) != 0 && !wants_input()) {
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
      return Close(ErrnoStatus(error, peer_.ToString()));
    }
    if (input_ended_ || !write_error_.ok()) {
      return Close(absl::UnavailableError(
          absl::StrCat(peer_.ToString(), ": connection lost")));
    }
    hung_up_ = true;
  }
  UpdateWatch();
}

bool TcpConnection::Read() {
  char buffer[kReadBytes];
  for (size_t total = 0; wants_input() && total < kReadBytesPerTurn;) {
    const ssize_t n =
        Retry([&] { return recv(fd_.get(), buffer, sizeof(buffer), 0); });
    if (n == 0) return OnInputEnd();
    if (n < 0) {
      if (errno == EAGAIN) return true;
      Close(ErrnoStatus(errno, peer_.ToString()));
      return false;
    }
    total += n;
    const absl::string_view bytes(buffer, n);
    if (!Tell([&](Listener* listener) { listener->OnData(bytes); })) {
      return false;
    }
  }
  return true;
}

bool TcpConnection::OnInputEnd() {
  input_ended_ = true;
  if (!write_error_.ok()) {
    Close(write_error_);
    return false;
  }
  return Tell([](Listener* listener) { listener->OnEnd(); }) &&
         CloseIfBothEnded();
}

bool TcpConnection::Flush() {
  while (sent_ < queue_.size()) {
    const ssize_t n = Retry([&] {
      return send(fd_.get(), queue_.data() + sent_, queue_.size() - sent_,
                  MSG_NOSIGNAL);
    });
    if (n >= 0) {
      sent_ += n;
      continue;
    }
    if (errno == EAGAIN) {
      kernel_full_ = true;
      break;
    }
    return OnWriteError(errno);
  }
  if (sent_ >= queue_.size() / 2) {
    queue_.erase(0, sent_);
    sent_ = 0;
  }
  if (output_ == Output::kClosing && queue_.empty()) {
    // Fails only when the stream is gone, which the watch will tell.
    shutdown(fd_.get(), SHUT_WR);
    output_ = Output::kClosed;
    return CloseIfBothEnded();
  }
  if (writable_due_ && queued_bytes() <= kLowWaterBytes) {
    writable_due_ = false;
    return Tell([](Listener* listener) { listener->OnWritable(); });
  }
  return true;
}

bool TcpConnection::OnWriteError(int error) {
  write_error_ = ErrnoStatus(error, peer_.ToString());
  queue_.clear();
  sent_ = 0;
  // The peer may have answered before it went away; reading leads to the end.
  if (wants_input() && (error == EPIPE || error == ECONNRESET)) return true;
  Close(write_error_);
  return false;
}

bool TcpConnection::CloseIfBothEnded() {
  if (!input_ended_ || output_ != Output::kClosed) return true;
  Close(absl::OkStatus());
  return false;
}

bool TcpConnection::Tell(const std::function<void(Listener*)>& event) {
  if (listener_ == nullptr) return true;
  bool destroyed = false;
  destroyed_ = &destroyed;
  event(listener_);
  if (destroyed) return false;
  destroyed_ = nullptr;
  return true;
}

void TcpConnection::Close(absl::Status reason) {
  watch_.reset();
  fd_.reset();
  flush_.Cancel();
  queue_.clear();
  sent_ = 0;
  if (listener_ == nullptr) {
    untold_ = std::move(reason);
  } else {
    listener_->OnClosed(reason);
  }
}

}  // namespace quorate::prod
