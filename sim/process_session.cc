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
      number_(ensemble.Join(this)),
      server_(process.fate().Below(ensemble.servers().size())) {
  Later(kNextServer, "zk connects", [this] { TryServer(); });
}

ProcessSession::~ProcessSession() {
  *life_ = false;
  ensemble_.Leave(number_, session_);
  if (!ensemble_.Valid(session_)) return;
  // A process that is killed says nothing: its session lives until its timeout.
  const bool killed = process_.ended() && process_.ended()->killed;
  if (killed && ensemble_.committed_.HasEphemeralsOf(session_)) {
    process_.world().Took(Fault::kEphemeralLinger, process_.name());
  }
  if (killed || !connected_ || !Heard()) return;
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

bool ProcessSession::Heard() const {
  const Host& server = *ensemble_.servers()[server_];
  return ensemble_.Serves(server) &&
         process_.host().network().Reaches(process_.host().ip(), server.ip());
}

bool ProcessSession::Hears() const {
  const Host& server = *ensemble_.servers()[server_];
  return ensemble_.Serves(server) &&
         process_.host().network().Reaches(server.ip(), process_.host().ip());
}

io::Duration ProcessSession::NextArrival(io::Instant* last) {
  const io::Instant now = process_.world().now();
  // Both ways are alike.
  const std::string& ip = process_.host().ip();
  *last = std::max(*last, now + process_.host().network().DrawLatency(
                                    ip, ensemble_.servers()[server_]->ip()));
  return *last - now;
}

void ProcessSession::TryNextServer() {
  server_ = (server_ + 1) % ensemble_.servers().size();
  Later(kNextServer, "zk connects", [this] { TryServer(); });
}

bool ProcessSession::EndIfExpired() {
  if (session_ == 0 || ensemble_.Valid(session_)) return false;
  dead_ = true;
  listener_->OnExpired();
  return true;
}

void ProcessSession::TryServer() {
  if (dead_ || connected_) return;
  // A server that knows less than this client refuses it, before anything.
  if (!LinkUp() || ensemble_.applied(server_) < seen_) return TryNextServer();
  if (EndIfExpired()) return;
  const io::Duration there = NextArrival(&last_there_);
  const io::Duration back = NextArrival(&last_back_);
  Later(there + back, "zk attaches", [this] { OnAttached(); });
}

void ProcessSession::OnAttached() {
  if (!LinkUp() || ensemble_.applied(server_) < seen_) return TryServer();
  if (EndIfExpired()) return;
  if (session_ != 0) return OnOpened();
  session_ = ensemble_.OpenSession(this, options_.session_timeout,
                                   options_.credentials);
  AwaitOpened(ensemble_.committed());
}

// A server that lags learns late of the session that it has asked for.
void ProcessSession::AwaitOpened(int64_t zxid) {
  if (!LinkUp()) return TryNextServer();
  if (ensemble_.applied(server_) >= zxid) return OnOpened();
  Later(kNextServer, "zk attaches", [this, zxid] { AwaitOpened(zxid); });
}

void ProcessSession::OnOpened() {
  ensemble_.Heard(session_);
  connected_ = true;
  heard_ = process_.world().now();
  if (served_by_ && *served_by_ != server_) {
    process_.world().Took(Fault::kSessionMoved, process_.name());
  }
  served_by_ = server_;
  written_ = 0;
  Later(options_.session_timeout / 3, "zk ping", [this] { Ping(); });
  // The client tells what it watches and what it has seen of it.
  for (auto& [id, watch] : watches_) {
    if (!ensemble_.HasChanged(server_, watch.path, watch.what, seen_)) continue;
    process_.world().Took(Fault::kWatchLate, process_.name());
    watch.fired = true;
    SendFired(id);
  }
  listener_->OnConnected(session_);
}

// The client gives a server up after two thirds of the timeout, so that time
// is left to find another.
void ProcessSession::Ping() {
  if (!connected_ || dead_) return;
  const io::Instant now = process_.world().now();
  const bool valid = ensemble_.Valid(session_);
  if (valid && Heard()) ensemble_.Heard(session_);
  if (valid && LinkUp()) {
    heard_ = now;
  } else if (!valid || now - heard_ >= options_.session_timeout * 2 / 3) {
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
  for (auto& [id, watch] : watches_) watch.fired = false;
  TryNextServer();
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
    if (connected_ && Hears()) Disconnect();
  });
}

template <typename Result>
void ProcessSession::Call(bool writes, std::function<Result()> at_server,
                          std::function<void(Result)> reply) {
  const uint64_t call = next_call_++;
  if (!connected_) {
    Later(io::Duration::zero(), "zk lost",
          [reply, status = dead_ ? Expired() : Lost()] { reply(status); });
    return;
  }
  pending_[call] = [reply] { reply(Lost()); };
  // At the server nothing depends on this process any more.
  ensemble_.world_.After(
      NextArrival(&last_there_), "zk request",
      [this, life = life_, call, writes, connection = connection_,
       at_server = std::move(at_server), reply = std::move(reply)] {
        if (!*life || connection != connection_) return;
        if (!Heard() || !ensemble_.Valid(session_)) return BreakSoon();
        if (!writes) {
          return AtServer(connection, [this, call, at_server, reply] {
            Reply<Result>(call, false, at_server(), reply);
          });
        }
        Result result = at_server();
        written_ = ensemble_.committed();
        AtServer(connection, [this, call, result = std::move(result), reply] {
          Reply<Result>(call, true, result, reply);
        });
      });
}

void ProcessSession::AtServer(uint64_t connection, std::function<void()> then) {
  ensemble_.WhenApplied(
      server_, written_,
      [this, life = life_, connection, then = std::move(then)] {
        if (*life && connection == connection_) then();
      });
}

template <typename Result>
void ProcessSession::Reply(uint64_t call, bool writes, Result result,
                           std::function<void(Result)> reply) {
  const double chance = ensemble_.faults.reply_lost;
  const bool carried_out = writes && result.ok();
  const bool loses =
      carried_out && chance > 0 && ensemble_.random_->Fraction() < chance;
  Later(NextArrival(&last_back_), "zk reply",
        [this, call, loses, carried_out, zxid = ensemble_.applied(server_),
         reply = std::move(reply), result = std::move(result)] {
          if (pending_.count(call) == 0) return;
          if (loses || !Hears()) {
            if (carried_out) {
              process_.world().Took(Fault::kReplyLost, process_.name());
            }
            return BreakSoon();
          }
          pending_.erase(call);
          seen_ = std::max(seen_, zxid);
          reply(result);
        });
}

void ProcessSession::AddWatch(const std::string& path, ZnodeTree::Watched what,
                              OnChange callback) {
  watches_[next_watch_++] = {path, what, std::move(callback)};
}

void ProcessSession::OnChanged(size_t server, const std::string& path,
                               ZnodeTree::Watched what) {
  if (!connected_ || server != server_) return;
  for (auto& [id, watch] : watches_) {
    if (watch.fired || watch.path != path || watch.what != what) continue;
    watch.fired = true;
    SendFired(id);
  }
}

// In order with the replies; what does not arrive waits for the next
// connection.
void ProcessSession::SendFired(uint64_t id) {
  const uint64_t connection = connection_;
  Later(NextArrival(&last_back_), "zk watch", [this, id, connection] {
    auto watch = watches_.find(id);
    if (watch == watches_.end() || connection != connection_) return;
    if (!Hears()) return BreakSoon();
    OnChange callback = std::move(watch->second.callback);
    watches_.erase(watch);
    callback();
  });
}

void ProcessSession::Create(const std::string& path, absl::string_view data,
                            CreateOptions options, OnPath done) {
  Call<absl::StatusOr<std::string>>(
      true,
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
      false,
      [this, path, watch = std::move(watch)]() -> absl::StatusOr<io::Znode> {
        if (!IsPath(path)) return absl::InvalidArgumentError(path);
        auto znode = ensemble_.Get(server_, path);
        if (znode.ok() && watch) {
          AddWatch(path, ZnodeTree::Watched::kData, watch);
        }
        return znode;
      },
      std::move(done));
}

void ProcessSession::GetChildren(const std::string& path, OnChange watch,
                                 OnChildren done) {
  using Result = absl::StatusOr<std::vector<std::string>>;
  Call<Result>(
      false,
      [this, path, watch = std::move(watch)]() -> Result {
        if (!IsPath(path)) return absl::InvalidArgumentError(path);
        auto names = ensemble_.GetChildren(server_, path);
        if (names.ok() && watch) {
          AddWatch(path, ZnodeTree::Watched::kChildren, watch);
        }
        return names;
      },
      std::move(done));
}

void ProcessSession::Set(const std::string& path, absl::string_view data,
                         int32_t version, OnStatus done) {
  Call<absl::Status>(
      true,
      [this, path, data = std::string(data), version]() -> absl::Status {
        if (!IsPath(path)) return absl::InvalidArgumentError(path);
        return ensemble_.Set(session_, path, data, version);
      },
      std::move(done));
}

void ProcessSession::Delete(const std::string& path, int32_t version,
                            OnStatus done) {
  Call<absl::Status>(
      true,
      [this, path, version]() -> absl::Status {
        if (!IsPath(path)) return absl::InvalidArgumentError(path);
        return ensemble_.Delete(session_, path, version);
      },
      std::move(done));
}

}  // namespace quorate::sim
