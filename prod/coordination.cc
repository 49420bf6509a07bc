#include "prod/coordination.h"

#include <glog/logging.h>
#include <sys/epoll.h>
#include <zookeeper/zookeeper.h>

#include <algorithm>
#include <climits>
#include <deque>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "prod/posix.h"

namespace quorate::prod {
namespace {

using std::chrono::milliseconds;

// The server refuses requests of about a megabyte, by closing the connection.
constexpr size_t kMaxDataBytes = 1'000'000;
// After a failure that the client cannot wait out by itself.
constexpr io::Duration kRetryDelay = milliseconds(500);
// Between look-ups of the servers' names, while there is no connection.
constexpr io::Duration kLookUpInterval = std::chrono::seconds(2);
// The client gets addresses, which it would otherwise parse again at each
// event.
constexpr int kResolutionDelayMs = -1;

absl::Status ToStatus(int code, absl::string_view path) {
  const std::string message = absl::StrCat(path, ": ", zerror(code));
  switch (code) {
    case ZOK:
      return absl::OkStatus();
    case ZNONODE:
      return absl::NotFoundError(message);
    case ZNODEEXISTS:
      return absl::AlreadyExistsError(message);
    case ZBADVERSION:
    case ZNOTEMPTY:
    case ZNOCHILDRENFOREPHEMERALS:
      return absl::FailedPreconditionError(message);
    case ZNOAUTH:
    case ZAUTHFAILED:
      return absl::PermissionDeniedError(message);
    case ZBADARGUMENTS:
    case ZINVALIDACL:
      return absl::InvalidArgumentError(message);
    case ZSESSIONEXPIRED:
    case ZINVALIDSTATE:  // The client says so once the session has ended.
      return absl::AbortedError(message);
    case ZCONNECTIONLOSS:
    case ZOPERATIONTIMEOUT:
    case ZSESSIONMOVED:
      return absl::UnavailableError(message);
    default:
      return absl::InternalError(message);
  }
}

void Log(const char* line) { VLOG(1) << "zookeeper: " << line; }

}  // namespace

// One session. The client's callbacks only queue what is to be delivered, and
// that is done when the client has returned: so user code may do anything,
// and no client function is on the stack when the session is destroyed.
class ZooKeeperSession final : public io::CoordinationSession {
 public:
  using Sessions = std::set<ZooKeeperSession*>;

  // Is one of `sessions` as long as it lives.
  ZooKeeperSession(EventLoop* loop, std::shared_ptr<Resolver> resolver,
                   std::shared_ptr<Sessions> sessions,
                   const io::Coordination::Options& options, Listener* listener)
      : loop_(loop),
        resolver_(std::move(resolver)),
        sessions_(std::move(sessions)),
        servers_(options.servers),
        timeout_(options.session_timeout),
        credentials_(options.credentials),
        listener_(listener) {
    sessions_->insert(this);
    LookUp();
    TurnSoon(io::Duration::zero());
  }

  ~ZooKeeperSession() override {
    if (destroyed_ != nullptr) *destroyed_ = true;
    sessions_->erase(this);
    Close();
  }

  // Tells the server, if connected. Pending operations end in here; what they
  // queue is not delivered.
  void Close() {
    watch_.reset();
    state_ = State::kClosed;
    if (client_ != nullptr) zookeeper_close(std::exchange(client_, nullptr));
  }

  void Create(const std::string& path, absl::string_view data,
              CreateOptions options, OnPath done) override;
  void Get(const std::string& path, OnChange watch, OnZnode done) override;
  void GetChildren(const std::string& path, OnChange watch,
                   OnChildren done) override;
  void Set(const std::string& path, absl::string_view data, int32_t version,
           OnStatus done) override;
  void Delete(const std::string& path, int32_t version, OnStatus done) override;

 private:
  enum class State { kConnecting, kConnected, kExpired, kRefused, kClosed };

  // A watch that the client holds, and hands back with each event of it.
  struct Watch {
    ZooKeeperSession* session;
    OnChange callback;
  };
  // An operation in progress; the client hands it back exactly once.
  template <typename T>
  struct Operation {
    ZooKeeperSession* session;
    std::string path;
    Watch* watch;
    std::function<void(T)> done;

    // Ends it: queues the call of `done`.
    void Finish(T result) {
      const std::unique_ptr<Operation> self(this);
      session->Queue([done = std::move(done), result = std::move(result)] {
        done(result);
      });
    }
    // Also drops a watch that the server did not set.
    void Fail(int code) {
      if (watch != nullptr) session->watches_.erase(watch);
      Finish(ToStatus(code, path));
    }
  };

  // Calls `begin` with an operation that it hands to the client; unless that
  // takes it, the operation fails.
  template <typename T>
  void Begin(const std::string& path, OnChange watch,
             std::function<void(T)> done,
             const std::function<int(Operation<T>*)>& begin);

  bool over() const {
    return state_ != State::kConnecting && state_ != State::kConnected;
  }
  void LookUp();
  void OnLookedUp();
  void Open();
  void Turn(int events);
  void TurnSoon(io::Duration delay);
  void UpdateInterest();

  void Queue(std::function<void()> delivery) {
    deliveries_.push_back(std::move(delivery));
    TurnSoon(io::Duration::zero());
  }
  // False when a delivery has destroyed this.
  bool Deliver();
  void OnSessionEvent(int state);

  // What the C client calls.
  static void OnSession(zhandle_t* client, int type, int state, const char*,
                        void* context);
  static void OnWatch(zhandle_t*, int type, int, const char*, void* context);
  static void OnAuthenticated(int code, const void* context);
  static void OnCreated(int code, const char* value, const void* data);
  static void OnGot(int code, const char* value, int size, const Stat* stat,
                    const void* data);
  static void OnGotChildren(int code, const String_vector* names,
                            const void* data);
  static void OnSet(int code, const Stat*, const void* data);
  static void OnDeleted(int code, const void* data);

  EventLoop* const loop_;
  const std::shared_ptr<Resolver> resolver_;
  const std::shared_ptr<Sessions> sessions_;
  const Resolver::Servers servers_;
  const io::Duration timeout_;
  const std::string credentials_;
  Listener* const listener_;

  Resolver::Lookup lookup_;
  io::Timer look_up_again_;
  std::string addresses_;  // that the client has
  zhandle_t* client_ = nullptr;
  State state_ = State::kConnecting;
  std::unique_ptr<FdWatch> watch_;
  io::Timer timer_;  // For the client's own deadlines.
  io::Timer turn_soon_;
  bool turn_is_soon_ = false;
  std::map<Watch*, std::unique_ptr<Watch>> watches_;
  std::deque<std::function<void()>> deliveries_;
  // Of the Deliver that is at work.
  bool* destroyed_ = nullptr;
};

// ---- Driving the client ----

// Goes on until there is a connection.
void ZooKeeperSession::LookUp() {
  if (InDigits(servers_)) return;
  lookup_ = resolver_->LookUp(servers_, [this] { OnLookedUp(); });
}

void ZooKeeperSession::OnLookedUp() {
  if (state_ != State::kConnecting) return;
  look_up_again_ = loop_->RunAfter(kLookUpInterval, [this] {
    if (state_ == State::kConnecting) LookUp();
  });
  const std::string addresses = absl::StrJoin(resolver_->Known(servers_), ",");
  LOG_IF_EVERY_N(WARNING, addresses.empty(), 20)
      << "cannot look up any of the ZooKeeper servers "
      << absl::StrJoin(servers_, ",") << "; trying again";
  if (client_ != nullptr && addresses != addresses_) {
    // It may close its socket.
    watch_.reset();
    addresses_ = addresses;
    zoo_set_servers(client_, addresses_.c_str());
  }
  TurnSoon(io::Duration::zero());
}

void ZooKeeperSession::Open() {
  addresses_ = absl::StrJoin(resolver_->Known(servers_), ",");
  if (addresses_.empty()) return;
  const int timeout_ms = static_cast<int>(
      std::chrono::duration_cast<milliseconds>(timeout_).count());
  client_ = zookeeper_init2(addresses_.c_str(), &OnSession, timeout_ms, nullptr,
                            this, 0, &Log);
  if (client_ == nullptr) return;
  zoo_set_servers_resolution_delay(client_, kResolutionDelayMs);
  if (credentials_.empty()) return;
  zoo_add_auth(client_, "digest", credentials_.data(),
               static_cast<int>(credentials_.size()), &OnAuthenticated, this);
}

void ZooKeeperSession::TurnSoon(io::Duration delay) {
  if (turn_is_soon_) return;
  turn_is_soon_ = true;
  turn_soon_ = loop_->RunAfter(delay, [this] {
    turn_is_soon_ = false;
    Turn(0);
  });
}

void ZooKeeperSession::Turn(int events) {
  if (state_ == State::kClosed) return;
  // The client may close its socket in here, so the watch goes first: the
  // number could come back as another file's.
  watch_.reset();
  timer_.Cancel();
  if (client_ == nullptr) Open();
  if (client_ != nullptr) zookeeper_process(client_, events);
  if (!Deliver()) return;
  UpdateInterest();
}

void ZooKeeperSession::UpdateInterest() {
  if (over()) return;
  int fd = -1;
  int interest = 0;
  timeval wait = {};
  const int code = client_ == nullptr
                       ? ZSYSTEMERROR
                       : zookeeper_interest(client_, &fd, &interest, &wait);
  io::Duration delay = std::chrono::seconds(wait.tv_sec) +
                       std::chrono::microseconds(wait.tv_usec);
  if (code != ZOK) delay = std::max(delay, kRetryDelay);
  timer_ = loop_->RunAfter(delay, [this] { Turn(0); });
  if (code != ZOK || fd < 0) return;
  const uint32_t events = ((interest & ZOOKEEPER_READ) ? EPOLLIN : 0u) |
                          ((interest & ZOOKEEPER_WRITE) ? EPOLLOUT : 0u);
  watch_ = std::make_unique<FdWatch>(
      loop_, fd, events,
      [this](uint32_t now) {
        const bool broken = (now & (EPOLLERR | EPOLLHUP)) != 0;
        Turn(((now & EPOLLIN) || broken ? ZOOKEEPER_READ : 0) |
             ((now & EPOLLOUT) || broken ? ZOOKEEPER_WRITE : 0));
      },
      FdWatch::Priority::kUrgent);
}

bool ZooKeeperSession::Deliver() {
  bool destroyed = false;
  destroyed_ = &destroyed;
  // What callbacks cause waits for the next turn.
  for (size_t left = deliveries_.size(); left > 0; --left) {
    const std::function<void()> delivery = std::move(deliveries_.front());
    deliveries_.pop_front();
    delivery();
    if (destroyed) return false;
  }
  destroyed_ = nullptr;
  return true;
}

// ---- Events ----

void ZooKeeperSession::OnSession(zhandle_t*, int type, int state, const char*,
                                 void* context) {
  if (type != ZOO_SESSION_EVENT) return;
  static_cast<ZooKeeperSession*>(context)->OnSessionEvent(state);
}

void ZooKeeperSession::OnSessionEvent(int state) {
  if (over()) return;
  if (state == ZOO_CONNECTED_STATE) {
    state_ = State::kConnected;
    const int64_t id = zoo_client_id(client_)->client_id;
    Queue([this, id] { listener_->OnConnected(id); });
  } else if (state == ZOO_EXPIRED_SESSION_STATE) {
    state_ = State::kExpired;
    Queue([this] { listener_->OnExpired(); });
  } else if (state == ZOO_AUTH_FAILED_STATE) {
    state_ = State::kRefused;
    Queue([this] { listener_->OnAuthenticationFailed(); });
  } else if (state_ == State::kConnected) {
    state_ = State::kConnecting;
    LookUp();
    Queue([this] { listener_->OnDisconnected(); });
  }
}

void ZooKeeperSession::OnAuthenticated(int code, const void* context) {
  if (code != ZAUTHFAILED) return;
  auto* session = static_cast<ZooKeeperSession*>(const_cast<void*>(context));
  session->OnSessionEvent(ZOO_AUTH_FAILED_STATE);
}

void ZooKeeperSession::OnWatch(zhandle_t*, int type, int, const char*,
                               void* context) {
  // Each watch hears of the session as well, and stays.
  if (type == ZOO_SESSION_EVENT) return;
  auto* watch = static_cast<Watch*>(context);
  ZooKeeperSession* const session = watch->session;
  const auto node = session->watches_.extract(watch);
  session->Queue(std::move(watch->callback));
}

// ---- Operations ----

template <typename T>
void ZooKeeperSession::Begin(const std::string& path, OnChange watch,
                             std::function<void(T)> done,
                             const std::function<int(Operation<T>*)>& begin) {
  auto* operation = new Operation<T>{this, path, nullptr, std::move(done)};
  if (watch) {
    auto owned = std::make_unique<Watch>(Watch{this, std::move(watch)});
    operation->watch = owned.get();
    watches_[operation->watch] = std::move(owned);
  }
  // The client may find the connection broken and close its socket.
  watch_.reset();
  if (client_ == nullptr) return operation->Fail(ZCONNECTIONLOSS);
  const int code = begin(operation);
  if (code != ZOK) operation->Fail(code);
  TurnSoon(io::Duration::zero());
}

void ZooKeeperSession::Create(const std::string& path, absl::string_view data,
                              CreateOptions options, OnPath done) {
  // The creator may do all, everyone else may read.
  static char kWorld[] = "world", kAnyone[] = "anyone", kAuth[] = "auth",
              kNone[] = "";
  ACL restricted[] = {{ZOO_PERM_ALL, {kAuth, kNone}},
                      {ZOO_PERM_READ, {kWorld, kAnyone}}};
  const ACL_vector restricted_vector = {2, restricted};
  const ACL_vector* const acl =
      credentials_.empty() ? &ZOO_OPEN_ACL_UNSAFE : &restricted_vector;
  const int flags = (options.ephemeral ? ZOO_EPHEMERAL : 0) |
                    (options.sequential ? ZOO_SEQUENCE : 0);
  Begin<absl::StatusOr<std::string>>(
      path, nullptr, std::move(done), [&](auto* operation) -> int {
        if (data.size() > kMaxDataBytes) return ZBADARGUMENTS;
        return zoo_acreate(client_, path.c_str(), data.data(),
                           static_cast<int>(data.size()), acl, flags,
                           &OnCreated, operation);
      });
}

void ZooKeeperSession::OnCreated(int code, const char* value,
                                 const void* data) {
  auto* operation = static_cast<Operation<absl::StatusOr<std::string>>*>(
      const_cast<void*>(data));
  if (code != ZOK) return operation->Fail(code);
  operation->Finish(std::string(value));
}

void ZooKeeperSession::Get(const std::string& path, OnChange watch,
                           OnZnode done) {
  Begin<absl::StatusOr<io::Znode>>(
      path, std::move(watch), std::move(done), [&](auto* operation) {
        return zoo_awget(client_, path.c_str(),
                         operation->watch == nullptr ? nullptr : &OnWatch,
                         operation->watch, &OnGot, operation);
      });
}

void ZooKeeperSession::OnGot(int code, const char* value, int size,
                             const Stat* stat, const void* data) {
  auto* operation = static_cast<Operation<absl::StatusOr<io::Znode>>*>(
      const_cast<void*>(data));
  if (code != ZOK) return operation->Fail(code);
  io::Znode node;
  // A node that was created without data has size -1.
  if (size > 0) node.data.assign(value, size);
  node.version = stat->version;
  node.ephemeral_owner = stat->ephemeralOwner;
  operation->Finish(std::move(node));
}

void ZooKeeperSession::GetChildren(const std::string& path, OnChange watch,
                                   OnChildren done) {
  Begin<absl::StatusOr<std::vector<std::string>>>(
      path, std::move(watch), std::move(done), [&](auto* operation) {
        return zoo_awget_children(
            client_, path.c_str(),
            operation->watch == nullptr ? nullptr : &OnWatch, operation->watch,
            &OnGotChildren, operation);
      });
}

void ZooKeeperSession::OnGotChildren(int code, const String_vector* names,
                                     const void* data) {
  auto* operation =
      static_cast<Operation<absl::StatusOr<std::vector<std::string>>>*>(
          const_cast<void*>(data));
  if (code != ZOK) return operation->Fail(code);
  std::vector<std::string> sorted(names->data, names->data + names->count);
  std::sort(sorted.begin(), sorted.end());
  operation->Finish(std::move(sorted));
}

void ZooKeeperSession::Set(const std::string& path, absl::string_view data,
                           int32_t version, OnStatus done) {
  Begin<absl::Status>(path, nullptr, std::move(done),
                      [&](auto* operation) -> int {
                        if (data.size() > kMaxDataBytes) return ZBADARGUMENTS;
                        return zoo_aset(client_, path.c_str(), data.data(),
                                        static_cast<int>(data.size()), version,
                                        &OnSet, operation);
                      });
}

void ZooKeeperSession::OnSet(int code, const Stat*, const void* data) {
  auto* operation =
      static_cast<Operation<absl::Status>*>(const_cast<void*>(data));
  operation->Finish(ToStatus(code, operation->path));
}

void ZooKeeperSession::Delete(const std::string& path, int32_t version,
                              OnStatus done) {
  Begin<absl::Status>(path, nullptr, std::move(done), [&](auto* operation) {
    return zoo_adelete(client_, path.c_str(), version, &OnDeleted, operation);
  });
}

void ZooKeeperSession::OnDeleted(int code, const void* data) {
  auto* operation =
      static_cast<Operation<absl::Status>*>(const_cast<void*>(data));
  operation->Finish(ToStatus(code, operation->path));
}

// ---- Options ----

namespace {

absl::Status CheckServer(const std::string& server) {
  const size_t colon = server.rfind(':');
  int port = 0;
  if (colon == std::string::npos || colon == 0 ||
      !absl::SimpleAtoi(server.substr(colon + 1), &port) || port < 1 ||
      port > 65535 || server.find_first_of(", /") != std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", server, "' is not host:port"));
  }
  return absl::OkStatus();
}

absl::Status Check(const io::Coordination::Options& options) {
  if (options.servers.empty()) {
    return absl::InvalidArgumentError("no ZooKeeper servers");
  }
  for (const std::string& server : options.servers) {
    const absl::Status status = CheckServer(server);
    if (!status.ok()) return status;
  }
  if (options.session_timeout < milliseconds(1) ||
      options.session_timeout > milliseconds(INT_MAX)) {
    return absl::InvalidArgumentError("session timeout out of range");
  }
  if (!options.credentials.empty() &&
      !absl::StrContains(options.credentials, ':')) {
    return absl::InvalidArgumentError("credentials are not user:password");
  }
  return absl::OkStatus();
}

}  // namespace

ZooKeeperCoordination::ZooKeeperCoordination(EventLoop* loop,
                                             LookUpHost look_up)
    : loop_(loop),
      resolver_(std::make_shared<Resolver>(loop, std::move(look_up))),
      sessions_(std::make_shared<ZooKeeperSession::Sessions>()) {}

ZooKeeperCoordination::~ZooKeeperCoordination() = default;

absl::StatusOr<std::unique_ptr<io::CoordinationSession>>
ZooKeeperCoordination::Connect(const Options& options,
                               io::CoordinationSession::Listener* listener) {
  const absl::Status status = Check(options);
  if (!status.ok()) return status;
  return std::make_unique<ZooKeeperSession>(loop_, resolver_, sessions_,
                                            options, listener);
}

void ZooKeeperCoordination::CloseSessions() {
  for (ZooKeeperSession* session : *sessions_) session->Close();
}

}  // namespace quorate::prod
