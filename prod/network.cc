#include "prod/network.h"

#include <arpa/inet.h>
#include <glog/logging.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "prod/posix.h"
#include "prod/tcp_connection.h"

namespace quorate::prod {
namespace {

using std::chrono::milliseconds;

constexpr int kBacklog = 1024;
// Accepted in one turn of the loop.
constexpr int kAcceptsPerTurn = 64;
// How long a port takes no connection when descriptors or memory run out;
// those who connect meanwhile wait in the backlog.
constexpr io::Duration kAcceptPause = milliseconds(100);

// When an idle peer is first asked for a sign of life, and then how often.
constexpr int kKeepAliveIdleSeconds = 20;
constexpr int kKeepAliveIntervalSeconds = 10;
// After which silence the kernel gives the connection up.
constexpr unsigned kSilentPeerMilliseconds = 60'000;

absl::StatusOr<sockaddr_in> ToSocketAddress(const io::Endpoint& endpoint) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(endpoint.port);
  if (inet_pton(AF_INET, endpoint.ip.c_str(), &address.sin_addr) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", endpoint.ip, "' is not an IPv4 address"));
  }
  return address;
}

io::Endpoint ToEndpoint(const sockaddr_in& address) {
  char ip[INET_ADDRSTRLEN];
  inet_ntop(AF_INET, &address.sin_addr, ip, sizeof(ip));
  return {ip, ntohs(address.sin_port)};
}

io::Endpoint LocalEndpoint(int fd) {
  sockaddr_in address = {};
  socklen_t size = sizeof(address);
  PCHECK(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  return ToEndpoint(address);
}

UniqueFd NewSocket() {
  return UniqueFd(
      socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

void SetOption(int fd, int level, int name, int value) {
  if (setsockopt(fd, level, name, &value, sizeof(value)) != 0) {
    PLOG(WARNING) << "setsockopt " << level << " " << name;
  }
}

// A stream works without them, too.
void SetStreamOptions(int fd) {
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  SetOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveIdleSeconds);
  SetOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepAliveIntervalSeconds);
  SetOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, kSilentPeerMilliseconds);
}

class TcpAcceptor final : public io::Acceptor {
 public:
  TcpAcceptor(EventLoop* loop, UniqueFd fd, io::Network::OnAccepted on_accepted)
      : loop_(loop),
        fd_(std::move(fd)),
        local_(LocalEndpoint(fd_.get())),
        on_accepted_(
            std::make_shared<io::Network::OnAccepted>(std::move(on_accepted))),
        watch_(loop, fd_.get(), EPOLLIN, [this](uint32_t) { Accept(); }) {}

  io::Endpoint local() const override { return local_; }

 private:
  void Accept() {
    // Callbacks may destroy this.
    const std::weak_ptr<io::Network::OnAccepted> alive = on_accepted_;
    for (int i = 0; i < kAcceptsPerTurn && !alive.expired(); ++i) {
      sockaddr_in address = {};
      socklen_t size = sizeof(address);
      UniqueFd fd(accept4(fd_.get(), reinterpret_cast<sockaddr*>(&address),
                          &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!fd) {
        if (errno == EAGAIN) return;
        if (!PauseIfExhausted(errno)) continue;
        return;
      }
      SetStreamOptions(fd.get());
      const io::Endpoint local = LocalEndpoint(fd.get());
      auto connection = std::make_unique<TcpConnection>(
          loop_, std::move(fd), local, ToEndpoint(address));
      const auto on_accepted = alive.lock();
      (*on_accepted)(std::move(connection));
    }
  }

  // Other errors are of the one connection that was not to be.
  bool PauseIfExhausted(int error) {
    if (error != EMFILE && error != ENFILE && error != ENOBUFS &&
        error != ENOMEM) {
      return false;
    }
    LOG_EVERY_N(WARNING, 100)
        << "port " << local_.port
        << " takes no connections for a moment: " << strerror(error);
    watch_.SetEvents(0);
    resume_ =
        loop_->RunAfter(kAcceptPause, [this] { watch_.SetEvents(EPOLLIN); });
    return true;
  }

  EventLoop* const loop_;
  const UniqueFd fd_;
  const io::Endpoint local_;
  const std::shared_ptr<io::Network::OnAccepted> on_accepted_;
  FdWatch watch_;
  io::Timer resume_;
};

class TcpConnector final : public io::Connector {
 public:
  TcpConnector(EventLoop* loop, io::Endpoint to,
               io::Network::OnConnected on_connected)
      : loop_(loop),
        to_(std::move(to)),
        on_connected_(std::move(on_connected)) {}

  void Begin(io::Duration timeout) {
    const absl::Status begun = TryConnect();
    if (!begun.ok()) {
      timer_ = loop_->RunAfter(io::Duration::zero(),
                               [this, begun] { Finish(begun); });
      return;
    }
    watch_ = std::make_unique<FdWatch>(loop_, fd_.get(), EPOLLOUT,
                                       [this](uint32_t) { OnDone(); });
    timer_ = loop_->RunAfter(timeout, [this] {
      Finish(absl::DeadlineExceededError(
          absl::StrCat(to_.ToString(), ": no answer")));
    });
  }

 private:
  absl::Status TryConnect() {
    const auto address = ToSocketAddress(to_);
    if (!address.ok()) return address.status();
    fd_ = NewSocket();
    if (!fd_) return ErrnoStatus(errno, to_.ToString());
    SetStreamOptions(fd_.get());
    if (connect(fd_.get(), reinterpret_cast<const sockaddr*>(&*address),
                sizeof(*address)) == 0 ||
        errno == EINPROGRESS || errno == EINTR) {
      return absl::OkStatus();
    }
    return Unreachable(errno);
  }

  // Whatever the kernel says here, trying again later may help.
  absl::Status Unreachable(int error) const {
    return absl::UnavailableError(
        absl::StrCat(to_.ToString(), ": ", strerror(error)));
  }

  void OnDone() {
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return Finish(Unreachable(error));
    const io::Endpoint local = LocalEndpoint(fd_.get());
    // A socket that tries a free port of its own machine can get that port
    // itself, and is then connected to itself.
    if (local == to_) return Finish(Unreachable(ECONNREFUSED));
    watch_.reset();
    Finish(std::make_unique<TcpConnection>(loop_, std::move(fd_), local, to_));
  }

  void Finish(absl::StatusOr<std::unique_ptr<io::Connection>> result) {
    watch_.reset();
    timer_.Cancel();
    fd_.reset();
    // The call may destroy this.
    const auto on_connected = std::move(on_connected_);
    on_connected(std::move(result));
  }

  EventLoop* const loop_;
  const io::Endpoint to_;
  io::Network::OnConnected on_connected_;
  UniqueFd fd_;
  std::unique_ptr<FdWatch> watch_;
  io::Timer timer_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<io::Acceptor>> TcpNetwork::Listen(
    const io::Endpoint& at, OnAccepted on_accepted) {
  const auto address = ToSocketAddress(at);
  if (!address.ok()) return address.status();
  UniqueFd fd = NewSocket();
  if (!fd) return ErrnoStatus(errno, at.ToString());
  // A port whose old connections have not timed out yet may be used again.
  SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&*address),
           sizeof(*address)) != 0 ||
      listen(fd.get(), kBacklog) != 0) {
    const int error = errno;
    if (error == EADDRNOTAVAIL) {
      return absl::InvalidArgumentError(
          absl::StrCat(at.ip, " is not an address of this machine"));
    }
    return ErrnoStatus(error, at.ToString());
  }
  return std::make_unique<TcpAcceptor>(loop_, std::move(fd),
                                       std::move(on_accepted));
}

std::unique_ptr<io::Connector> TcpNetwork::Connect(const io::Endpoint& to,
                                                   io::Duration timeout,
                                                   OnConnected on_connected) {
  auto connector =
      std::make_unique<TcpConnector>(loop_, to, std::move(on_connected));
  connector->Begin(timeout);
  return connector;
}

}  // namespace quorate::prod
