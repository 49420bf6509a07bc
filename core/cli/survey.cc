#include "core/cli/survey.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/cli/table.h"

namespace quorate::cli {
namespace {

constexpr char kPath[] = "/quorum";

absl::Status NotAMaster(absl::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat("answers, but not as a master of this cluster manager (",
                   why, "): is the port right?"));
}

absl::Status Unreached(const absl::Status& status) {
  if (absl::IsInternal(status)) return NotAMaster(status.message());
  if (absl::IsDeadlineExceeded(status)) {
    return absl::DeadlineExceededError("does not answer in time");
  }
  return absl::Status(status.code(),
                      absl::StrCat("cannot be reached: ", status.message()));
}

absl::StatusOr<json::Value> ParseAnswer(
    const absl::StatusOr<http::Response>& response) {
  if (!response.ok()) return Unreached(response.status());
  if (response->status != 200 && response->status != 503) {
    return NotAMaster(absl::StrCat(kPath, " gives ", response->status));
  }
  auto quorum = json::Parse(response->body);
  if (quorum.ok() && (*quorum)["phase"].is_string()) return quorum;
  return NotAMaster(absl::StrCat(kPath, " gives something else"));
}

}  // namespace

Survey::Survey(io::Clock& clock, io::Network& network, Options options,
               OnDone done)
    : clock_(clock),
      network_(network),
      options_(std::move(options)),
      done_(std::move(done)) {
  for (const io::Endpoint& master : options_.masters) Ask(master);
}

Survey::~Survey() = default;

void Survey::Ask(const io::Endpoint& master) {
  if (questions_.size() >= kMaxMasters || questions_.count(master) > 0) return;
  Question& question = questions_[master];
  question.testimony.master = master;
  question.connection = std::make_unique<http::ClientConnection>(
      clock_, network_, master,
      http::ClientOptions{.connect_timeout = options_.timeout,
                          .response_timeout = options_.timeout,
                          .max_body_bytes = 16 << 20});
  http::Request request;
  request.target = kPath;
  question.connection->Send(
      std::move(request),
      [this, master](const absl::StatusOr<http::Response>& response) {
        OnAnswer(master, response);
      });
}

void Survey::OnAnswer(const io::Endpoint& master,
                      const absl::StatusOr<http::Response>& response) {
  Question& question = questions_.at(master);
  question.answered = true;
  absl::StatusOr<json::Value> quorum = ParseAnswer(response);
  question.testimony.status = quorum.status();
  if (!quorum.ok()) return FinishIfDone(false);
  question.testimony.text = response->body;
  question.testimony.quorum = *std::move(quorum);
  AskThoseNamedBy(question.testimony.quorum);
  FinishIfDone(Leads(question.testimony));
}

void Survey::AskThoseNamedBy(const json::Value& quorum) {
  std::vector<absl::string_view> addresses = {
      quorum["leader"]["address"].AsString()};
  for (const json::Value& member : quorum["masters"].items()) {
    // Not those who only happened to be where a master was looked for.
    if (member["state"].AsString() != "foreign") {
      addresses.push_back(member["address"].AsString());
    }
  }
  for (absl::string_view address : addresses) {
    if (auto master = io::ParseEndpoint(address); master.ok()) Ask(*master);
  }
}

void Survey::FinishIfDone(bool leader_found) {
  const bool all = std::all_of(
      questions_.begin(), questions_.end(),
      [](const auto& question) { return question.second.answered; });
  if (all) return Finish();
  if (!leader_found || !options_.until_leader || impatient_) return;
  impatient_ = true;
  patience_ = clock_.RunAfter(kPatience, [this] { Finish(); });
}

void Survey::Finish() {
  if (std::exchange(finished_, true)) return;
  std::vector<Testimony> testimonies;
  for (auto& [master, question] : questions_) {
    if (question.answered) testimonies.push_back(std::move(question.testimony));
  }
  // A copy: it may destroy this.
  const OnDone done = done_;
  done(std::move(testimonies));
}

bool Leads(const Testimony& testimony) {
  return testimony.quorum["phase"].AsString() == "leading";
}

std::pair<uint64_t, uint64_t> ReignOf(const Testimony& testimony) {
  return {testimony.quorum["generation"].AsUint(),
          testimony.quorum["leader"]["epoch"].AsUint()};
}

const Testimony* LeaderOf(const std::vector<Testimony>& testimonies) {
  const Testimony* leader = nullptr;
  for (const Testimony& testimony : testimonies) {
    if (!Leads(testimony)) continue;
    if (leader == nullptr || ReignOf(*leader) < ReignOf(testimony)) {
      leader = &testimony;
    }
  }
  return leader;
}

absl::Status NoLeader(const std::vector<Testimony>& testimonies) {
  std::string text = "no master leads";
  bool any = false;
  for (const Testimony& testimony : testimonies) {
    any = any || testimony.status.ok();
    const json::Value& problem = testimony.quorum["problems"][size_t{0}];
    absl::StrAppend(&text, "\n  ", testimony.master.ToString(), " ",
                    !testimony.status.ok() ? testimony.status.message()
                    : problem.is_null()
                        ? "follows"
                        : Printable(problem["what"].AsString()));
  }
  if (!any) text.replace(0, text.find('\n'), "no master answers");
  return absl::UnavailableError(text);
}

}  // namespace quorate::cli
