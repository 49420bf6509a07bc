// Asks every master that can be found how the masters are: those that are
// named, and those that they name. Not only the leader: when something is
// wrong, it may be that nobody leads, or that nobody agrees who does.
//
//   Survey survey(clock, network, {.masters = {...}}, [&](auto testimonies) {
//     const Testimony* leader = LeaderOf(testimonies);
//     ...
//   });

#ifndef QUORATE_CORE_CLI_SURVEY_H_
#define QUORATE_CORE_CLI_SURVEY_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/http/client.h"
#include "core/json/value.h"
#include "io/clock.h"
#include "io/network.h"

namespace quorate::cli {

// What a master answered to /quorum.
struct Testimony {
  io::Endpoint master;
  // Why there is no answer, in words.
  absl::Status status;
  std::string text;    // JSON
  json::Value quorum;  // the same
};

class Survey {
 public:
  struct Options {
    std::vector<io::Endpoint> masters;
    // For each of them.
    io::Duration timeout = std::chrono::seconds(5);
    // Whether it is over soon after one says that it leads.
    bool until_leader = false;
  };
  // In order of addresses.
  using OnDone = std::function<void(std::vector<Testimony>)>;

  static constexpr size_t kMaxMasters = 100;
  // With until_leader: who else leads, or is of another cluster, has to say so
  // within this time.
  static constexpr io::Duration kPatience = std::chrono::milliseconds(300);

  // `clock` and `network` outlive it. `done` is not called from inside, and may
  // destroy the survey.
  Survey(io::Clock& clock, io::Network& network, Options options, OnDone done);
  ~Survey();

 private:
  struct Question {
    std::unique_ptr<http::ClientConnection> connection;
    bool answered = false;
    Testimony testimony;
  };

  void Ask(const io::Endpoint& master);
  void OnAnswer(const io::Endpoint& master,
                const absl::StatusOr<http::Response>& response);
  void AskThoseNamedBy(const json::Value& quorum);
  void FinishIfDone(bool leader_found);
  void Finish();

  io::Clock& clock_;
  io::Network& network_;
  const Options options_;
  const OnDone done_;
  std::map<io::Endpoint, Question> questions_;
  bool finished_ = false;
  bool impatient_ = false;
  io::Timer patience_;
};

// By its own account.
bool Leads(const Testimony& testimony);

// The generation and the epoch of the leader that it names: of two the greater
// is newer.
std::pair<uint64_t, uint64_t> ReignOf(const Testimony& testimony);

// The one that leads, in the newest epoch; null when none says so.
const Testimony* LeaderOf(const std::vector<Testimony>& testimonies);

// What went wrong when no leader was found, with a line for each master.
absl::Status NoLeader(const std::vector<Testimony>& testimonies);

}  // namespace quorate::cli

#endif  // QUORATE_CORE_CLI_SURVEY_H_
