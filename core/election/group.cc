#include "core/election/group.h"

#include <glog/logging.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace quorate::election {
namespace {

constexpr io::Duration kRetryDelay = std::chrono::seconds(1);
constexpr size_t kSequenceDigits = 10;
constexpr size_t kMaxMembers = 1000;

}  // namespace

std::string DoesNotAnswer(const ZooKeeperUrl& url) {
  return absl::StrCat("ZooKeeper at ", absl::StrJoin(url.servers, ","),
                      " does not answer");
}

// The steps after each (re)connection: make sure that the path exists, read
// the members, join if asked to and not a member yet. Reading comes first, so
// that a node whose creation was answered into a broken connection is found
// by its owner and not created twice.
class Group::Core final : public io::CoordinationSession::Listener {
 public:
  Core(io::Environment& environment, GroupOptions options, std::string label,
       Group::Listener* listener)
      : environment_(environment),
        options_(std::move(options)),
        prefix_(label.empty() ? "" : absl::StrCat(label, "_")),
        listener_(listener) {}

  void Start() {
    auto session = environment_.coordination().Connect(
        {.servers = options_.url.servers,
         .session_timeout = options_.session_timeout,
         .credentials = options_.url.credentials},
        this);
    if (!session.ok()) {
      environment_.Exit(
          io::kExitFailure,
          absl::StrCat("cannot use ZooKeeper: ", session.status().message()));
      return;
    }
    session_ = *std::move(session);
    unanswered_ =
        environment_.clock().RunAfter(options_.session_timeout, [this] {
          TellUnknown();
          TellProblem(DoesNotAnswer(options_.url));
        });
  }

  void Join(std::string content) {
    content_ = std::move(content);
    if (connected_ && read_) Create();
  }

  void OnConnected(int64_t session_id) override {
    connected_ = true;
    session_id_ = session_id;
    expiry_.Cancel();
    unanswered_.Cancel();
    EnsurePath(options_.url.path.find('/', 1));
  }

  void OnDisconnected() override {
    connected_ = false;
    creating_ = false;
    ++generation_;
    // Servers whose data was restored may give a name to somebody else.
    for (auto& [name, node] : nodes_) node.read = false;
    // The servers may be unreachable for longer than they keep the session:
    // after its timeout nobody here may count on it any more.
    expiry_ = environment_.clock().RunAfter(options_.session_timeout, [this] {
      LoseSession(absl::UnavailableError(
          "no connection to ZooKeeper for a whole session timeout"));
    });
  }

  void OnExpired() override {
    LoseSession(absl::AbortedError("the ZooKeeper session expired"));
  }

  void OnAuthenticationFailed() override {
    session_.reset();
    environment_.Exit(io::kExitFailure,
                      "ZooKeeper refused the credentials of the zk:// URL");
  }

 private:
  // Creates the prefix of the path that ends at `end`, then the next longer
  // one; at the end reads the members.
  void EnsurePath(size_t end) {
    session_->Create(options_.url.path.substr(0, end), "", {},
                     [this, end](absl::StatusOr<std::string> path) {
                       // Who may not create it is told so also when it is
                       // there.
                       if (!path.ok() &&
                           !absl::IsAlreadyExists(path.status()) &&
                           !absl::IsPermissionDenied(path.status())) {
                         return Retry(path.status());
                       }
                       if (end == std::string::npos) return Read();
                       EnsurePath(options_.url.path.find('/', end + 1));
                     });
  }

  void Retry(const absl::Status& status) {
    // A broken connection is repaired by OnConnected.
    if (absl::IsUnavailable(status) || absl::IsAborted(status)) return;
    LOG(WARNING) << "ZooKeeper group " << options_.url.path << ": " << status;
    TellProblem(absl::StrCat("ZooKeeper refuses what is needed at ",
                             options_.url.path, ": ", status.message()));
    retry_ = environment_.clock().RunAfter(kRetryDelay, [this] {
      if (connected_) EnsurePath(options_.url.path.find('/', 1));
    });
  }

  void Read() {
    const uint64_t generation = ++generation_;
    session_->GetChildren(
        options_.url.path,
        [this, generation] {
          if (generation == generation_ && connected_) Read();
        },
        [this, generation](absl::StatusOr<std::vector<std::string>> names) {
          if (generation != generation_) return;
          if (!names.ok()) return Retry(names.status());
          OnNames(generation, *names);
        });
  }

  void OnNames(uint64_t generation, const std::vector<std::string>& names) {
    std::map<std::string, Node> nodes;
    for (const std::string& name : names) {
      int32_t sequence = 0;
      if (nodes.size() >= kMaxMembers || !ParseSequence(name, &sequence)) {
        continue;
      }
      auto known = nodes_.find(name);
      nodes[name] = known != nodes_.end() ? known->second : Node{sequence};
    }
    nodes_ = std::move(nodes);
    missing_ = 1;  // This loop itself, so that it is reported once, at its end.
    for (const auto& [name, node] : nodes_) {
      if (!node.read) Fetch(generation, name);
    }
    OnFetched();
  }

  void Fetch(uint64_t generation, const std::string& name) {
    ++missing_;
    session_->Get(absl::StrCat(options_.url.path, "/", name), nullptr,
                  [this, generation, name](absl::StatusOr<io::Znode> znode) {
                    if (generation != generation_) return;
                    if (znode.ok()) {
                      Node& node = nodes_[name];
                      node.read = true;
                      node.content = std::move(znode->data);
                      node.owner = znode->ephemeral_owner;
                    } else if (absl::IsNotFound(znode.status())) {
                      nodes_.erase(name);
                    } else {
                      return Retry(znode.status());
                    }
                    OnFetched();
                  });
  }

  void OnFetched() {
    if (--missing_ > 0) return;
    read_ = true;
    Members members;
    std::optional<int32_t> own;
    for (const auto& [name, node] : nodes_) {
      members[node.sequence] = node.content;
      if (node.owner == session_id_) own = node.sequence;
    }
    // Each report may destroy this object's owner's interest, but never this
    // object: the listener outlives the group and ends the process instead.
    const bool lost = joined_.has_value() && !own.has_value();
    const bool won = !joined_.has_value() && own.has_value();
    joined_ = own;
    if (won) {
      content_.reset();
      listener_->OnJoined(*own);
    }
    // First, because its number may be another's by now.
    if (lost) {
      listener_->OnMembershipLost(
          absl::NotFoundError("someone removed this member's znode"));
    }
    if (members != reported_) {
      reported_ = members;
      told_unknown_ = false;
      listener_->OnMembers(reported_);
    }
    if (content_.has_value() && !joined_.has_value()) return Create();
    TellProblem("");
  }

  void TellProblem(const std::string& words) {
    if (problem_ == words) return;
    problem_ = words;
    listener_->OnProblem(words);
  }

  void Create() {
    if (creating_ || joined_.has_value()) return;
    creating_ = true;
    session_->Create(absl::StrCat(options_.url.path, "/", prefix_), *content_,
                     {.ephemeral = true, .sequential = true},
                     [this](absl::StatusOr<std::string> path) {
                       creating_ = false;
                       if (!path.ok()) return Retry(path.status());
                       // The watch on the children tells, too; this is only
                       // sooner.
                       Read();
                     });
  }

  void LoseSession(const absl::Status& reason) {
    LOG(WARNING) << "ZooKeeper group " << options_.url.path << ": " << reason;
    session_.reset();
    connected_ = read_ = creating_ = false;
    ++generation_;
    nodes_.clear();
    expiry_.Cancel();
    retry_ = environment_.clock().RunAfter(kRetryDelay, [this] { Start(); });
    const bool was_member = std::exchange(joined_, std::nullopt).has_value();
    TellUnknown();
    if (was_member) listener_->OnMembershipLost(reason);
    TellProblem(absl::StrCat("the session with ZooKeeper at ",
                             absl::StrJoin(options_.url.servers, ","),
                             " is lost: ", reason.message()));
  }

  // Once, until they are known again; also when they never were: whoever asks
  // may remember those of a group before this one.
  void TellUnknown() {
    reported_.reset();
    if (!std::exchange(told_unknown_, true)) listener_->OnMembers(std::nullopt);
  }

  bool ParseSequence(absl::string_view name, int32_t* sequence) const {
    if (!absl::ConsumePrefix(&name, prefix_)) return false;
    // A minus sign counts as a digit, but for the largest.
    const bool negative = absl::StartsWith(name, "-");
    return (name.size() == kSequenceDigits ||
            (negative && name.size() == kSequenceDigits + 1)) &&
           absl::SimpleAtoi(name, sequence);
  }

  struct Node {
    int32_t sequence = 0;
    bool read = false;
    std::string content;
    int64_t owner = 0;
  };

  io::Environment& environment_;
  const GroupOptions options_;
  const std::string prefix_;
  Group::Listener* const listener_;

  bool connected_ = false;
  bool read_ = false;      // Members were read in this session.
  bool creating_ = false;  // A Create of the own node is under way.
  int64_t session_id_ = 0;
  // Raised whenever what is under way is superseded.
  uint64_t generation_ = 0;
  size_t missing_ = 0;  // Fetches under way.
  std::map<std::string, Node> nodes_;
  std::optional<std::string> content_;  // Wanted, not joined yet.
  std::optional<int32_t> joined_;
  std::optional<Members> reported_;
  bool told_unknown_ = false;
  std::optional<std::string> problem_;  // as told
  io::Timer expiry_;
  io::Timer unanswered_;
  io::Timer retry_;
  // Last: destroyed first, so that no callback meets a half-dead object.
  std::unique_ptr<io::CoordinationSession> session_;
};

Group::Group(io::Environment& environment, GroupOptions options,
             std::string label, Listener* listener)
    : core_(std::make_unique<Core>(environment, std::move(options),
                                   std::move(label), listener)) {}
Group::~Group() = default;
void Group::Start() { core_->Start(); }
void Group::Join(std::string content) { core_->Join(std::move(content)); }

}  // namespace quorate::election
