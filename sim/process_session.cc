#include "sim/process_session.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "sim/network.h"

namespace quorate::sim {
namespace {

constexpr io::Duration kNextServer = std::chrono::milliseconds(50);

absl::Status Lost() {
  return absl::UnavailableError("the connection to the servers was lost");
}

absl::Status Expired() { return absl::AbortedError("the session has expired"); }

bool IsPath(absl::string_view path) {
  if (path == "/") return true;
  if (!absl::ConsumePrefix(&path, "/")) return false;
  for (absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return true;
}

absl::Status Check(const io::Coordination::Options& options) {
  if (options.servers.empty()) {
    return absl::InvalidArgumentError("no coordination servers");
  }
  for (const std::string& server : options.servers) {
    auto address = io::ParseEndpoint(server);
    if (!address.ok()) return address.status();
  }
  if (options.session_timeout <= io::Duration::zero()) {
    return absl::InvalidArgumentError("session timeout out of range");
  }
  if (!options.credentials.empty() &&
      !absl::StrContains(options.credentials, ':')) {
    return absl::InvalidArgumentError("credentials are not user:password");
  }
  return absl::OkStatus();
}

class ProcessCoordination final : public io::Coordination {
 public:
  explicit ProcessCoordination(Process& process) : process_(process) {}

  absl::StatusOr<std::unique_ptr<io::CoordinationSession>> Connect(
      const Options& options,
      io::CoordinationSession::Listener* listener) override {
    Ensemble* ensemble = process_.host().ensemble;
    if (absl::Status s = Check(options); !s.ok()) return s;
    if (ensemble == nullptr) {
      return absl::InvalidArgumentError("this host knows no ensemble");
    }
    return std::make_unique<ProcessSession>(process_, *ensemble, options,
                                            listener);
  }

 private:
  Process& process_;
};

}  // namespace

std::unique_ptr<io::Coordination> NewProcessCoordination(Process& process) {
  return std::make_unique<ProcessCoordination>(process);
}

ProcessSession::ProcessSession(Process& process, Ensemble& ensemble,
                               io::Coordination::Options options,
                               Listener* listener)
    : process_(process),
      ensemble_(ensemble),
      options_(std::move(options)),
      listener_(listener),
      server_(process.fate().Below(ensemble.servers().size())) {
  Later(kNextServer, "zk connects", [this] { TryServer(); });
}

ProcessSession::~ProcessSession() {
  *life_ = false;
  auto session = ensemble_.sessions_.find(session_);
  if (session == ensemble_.sessions_.end()) return;
  session->second.client = nullptr;
  // A process that dies says nothing: its session lives until its timeout.
  if (!process_.alive() || !connected_ || !LinkUp()) return;
  ensemble_.world_.After(
      NextArrival(&last_there_), "zk closes",
      [&ensemble = ensemble_, session = session_] { ensemble.Close(session); });
}

void ProcessSession::Later(io::Duration delay, const char* kind,
                           std::function<void()> callback) {
  process_.Later(delay, kind, [life = life_, callback = std::move(callback)] {
    if (*life) callback();
  });
}

bool ProcessSession::LinkUp() const {
  const Host& server = *ensemble_.servers()[server_];
  const Network& network = process_.host().network();
  return ensemble_.Serves(server) &&
         network.Reaches(process_.host().ip(), server.ip()) &&
         network.Reaches(server.ip(), process_.host().ip());
}

io::Duration ProcessSession::NextArrival(io::Instant* last) {
  const io::Instant now = process_.world().now();
  // Both ways are alike.
  const std::string& ip = process_.host().ip();
  *last = std::max(*last, now + process_.host().network().DrawLatency(
                                    ip, ensemble_.servers()[server_]->ip()));
  return *last - now;
}

void ProcessSession::TryServer() {
  if (dead_ || connected_) return;
  if (!LinkUp()) {
    server_ = (server_ + 1) % ensemble_.servers().size();
    Later(kNextServer, "zk connects", [this] { TryServer(); });
    return;
  }
  if (session_ != 0 && !ensemble_.Valid(session_)) {
    dead_ = true;
    return listener_->OnExpired();
  }
  Later(NextArrival(&last_there_) + NextArrival(&last_back_), "zk attaches",
        [this] { OnAttached(); });
}

void ProcessSession::OnAttached() {
  if (!LinkUp()) return TryServer();
  if (session_ == 0) {
    session_ = ensemble_.OpenSession(this, options_.session_timeout,
                                     options_.credentials);
  } else if (!ensemble_.Valid(session_)) {
    dead_ = true;
    return listener_->OnExpired();
  }
  ensemble_.Heard(session_);
  connected_ = true;
  heard_ = process_.world().now();
  Later(options_.session_timeout / 3, "zk ping", [this] { Ping(); });
  for (const auto& [id, watch] : watches_) {
    if (watch.fired) SendFired(id);
  }
  listener_->OnConnected(session_);
}

// The client gives a server up after two thirds of the timeout, so that time
// is left to find another.
void ProcessSession::Ping() {
  if (!connected_ || dead_) return;
  const io::Instant now = process_.world().now();
  if (LinkUp() && ensemble_.Valid(session_)) {
    ensemble_.Heard(session_);
    heard_ = now;
  } else if (!ensemble_.Valid(session_) ||
             now - heard_ >= options_.session_timeout * 2 / 3) {
    return Disconnect();
  }
  Later(options_.session_timeout / 3, "zk ping", [this] { Ping(); });
}

void ProcessSession::Disconnect() {
  connected_ = false;
  ++connection_;
  std::map<uint64_t, std::function<void()>> lost;
  lost.swap(pending_);
  for (auto& [id, callback] : lost) {
    Later(io::Duration::zero(), "zk lost", std::move(callback));
  }
  Later(kNextServer, "zk connects", [this] { TryServer(); });
  listener_->OnDisconnected();
}

// A connection loses nothing in the middle: what does not arrive breaks it.
void ProcessSession::BreakSoon() {
  Later(io::Duration::zero(), "zk breaks", [this, connection = connection_] {
    if (connected_ && connection == connection_) Disconnect();
  });
}

void ProcessSession::OnExpiredAtServer() {
  // The server closes the connection; the client hears why when it connects
  // again.
  if (!connected_) return;
  Later(NextArrival(&last_back_), "zk closed", [this] {
    if (connected_ && LinkUp()) Disconnect();
  });
}

template <typename Result>
void ProcessSession::Call(std::function<Result()> at_server,
                          std::function<void(Result)> reply) {
  const uint64_t call = next_call_++;
  if (!connected_) {
    Later(io::Duration::zero(), "zk lost",
          [reply, status = dead_ ? Expired() : Lost()] { reply(status); });
    return;
  }
  pending_[call] = [reply] { reply(Lost()); };
  const uint64_t connection = connection_;
  // At the server nothing depends on this process any more.
  ensemble_.world_.After(NextArrival(&last_there_), "zk request",
                         [this, life = life_, call, connection, reply,
                          at_server = std::move(at_server)] {
                           if (!*life || connection != connection_) return;
                           if (!LinkUp() || !ensemble_.Valid(session_)) {
                             return BreakSoon();
                           }
                           Result result = at_server();
                           Later(
                               NextArrival(&last_back_), "zk reply",
                               [this, call, reply, result = std::move(result)] {
                                 if (pending_.count(call) == 0) return;
                                 if (!LinkUp()) return BreakSoon();
                                 pending_.erase(call);
                                 reply(result);
                               });
                         });
}

uint64_t ProcessSession::AddWatch(const std::string& path,
                                  Ensemble::Watched what, OnChange callback) {
  const uint64_t id = next_watch_++;
  watches_[id] = {path, what, std::move(callback)};
  return id;
}

void ProcessSession::OnChanged(const std::string& path,
                               Ensemble::Watched what) {
  for (auto& [id, watch] : watches_) {
    if (watch.fired || watch.path != path || watch.what != what) continue;
    watch.fired = true;
    SendFired(id);
  }
}

// In order with the replies; what does not arrive waits for the next
// connection.
void ProcessSession::SendFired(uint64_t id) {
  if (!connected_) return;
  const uint64_t connection = connection_;
  Later(NextArrival(&last_back_), "zk watch", [this, id, connection] {
    auto watch = watches_.find(id);
    if (watch == watches_.end() || connection != connection_) return;
    if (!LinkUp()) return BreakSoon();
    OnChange callback = std::move(watch->second.callback);
    watches_.erase(watch);
    callback();
  });
}

void ProcessSession::Create(const std::string& path, absl::string_view data,
                            CreateOptions options, OnPath done) {
  Call<absl::StatusOr<std::string>>(
      [this, path, data = std::string(data),
       options]() -> absl::StatusOr<std::string> {
        if (!IsPath(absl::StrCat(path, options.sequential ? "0" : ""))) {
          return absl::InvalidArgumentError(path);
        }
        return ensemble_.Create(session_, path, data, options);
      },
      std::move(done));
}

void ProcessSession::Get(const std::string& path, OnChange watch,
                         OnZnode done) {
  Call<absl::StatusOr<io::Znode>>(
      [this, path, watch = std::move(watch)]() -> absl::StatusOr<io::Znode> {
        if (!IsPath(path)) return absl::InvalidArgumentError(path);
        auto znode = ensemble_.Get(path);
        if (znode.ok() && watch) {
          AddWatch(path, Ensemble::Watched::kData, watch);
        }
        return znode;
      },
      std::move(done));
}

void ProcessSession::GetChildren(const std::string& path, OnChange watch,
                                 OnChildren done) {
  using Result = absl::StatusOr<std::vector<std::string>>;
  Call<Result>(
      [this, path, watch = std::move(watch)]() -> Result {
        if (!IsPath(path)) return absl::InvalidArgumentError(path);
        auto names = ensemble_.GetChildren(path);
        if (names.ok() && watch) {
          AddWatch(path, Ensemble::Watched::kChildren, watch);
        }
        return names;
      },
      std::move(done));
}

void ProcessSession::Set(const std::string& path, absl::string_view data,
                         int32_t version, OnStatus done) {
  Call<absl::Status>(
      [this, path, data = std::string(data), version]() -> absl::Status {
        if (!IsPath(path)) return absl::InvalidArgumentError(path);
        return ensemble_.Set(session_, path, data, version);
      },
      std::move(done));
}

void ProcessSession::Delete(const std::string& path, int32_t version,
                            OnStatus done) {
  Call<absl::Status>(
      [this, path, version]() -> absl::Status {
        if (!IsPath(path)) return absl::InvalidArgumentError(path);
        return ensemble_.Delete(session_, path, version);
      },
      std::move(done));
}

}  // namespace quorate::sim
