// The machines around leadership, by stories: see testdata/. A line
// without indentation is a command, the indented ones below it are what it led
// to; "#" begins a comment. With QUORATE_REWRITE=1 `bazel run` writes down what
// the commands really lead to.

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/log/election.h"
#include "core/log/handshake.h"
#include "core/log/membership.h"
#include "core/log/messages.h"
#include "core/log/reads.h"

namespace quorate::log {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Words = std::vector<std::string>;

// Replicas are letters; ids that people are shown have eight digits.
MemberId Id(char letter) { return std::string(kMemberIdBytes, letter); }
char Letter(const MemberId& id) { return id.empty() ? '?' : id[0]; }

std::vector<MemberId> Ids(const std::string& letters) {
  std::vector<MemberId> ids;
  for (char letter : letters) ids.push_back(Id(letter));
  return ids;
}

std::string Letters(const std::vector<MemberId>& ids) {
  std::string letters;
  for (const MemberId& id : ids) letters += Letter(id);
  return letters;
}

Config ConfigOf(const std::string& letters) {
  Config config;
  for (const MemberId& id : Ids(letters)) config.add_members()->set_id(id);
  return config;
}

uint64_t Number(const std::string& text) {
  uint64_t number = 0;
  EXPECT_TRUE(absl::SimpleAtoi(text, &number)) << text;
  return number;
}

// "500ms", "3s", "10m"
io::Duration Time(const std::string& text) {
  const size_t digits = text.find_first_not_of("0123456789");
  const auto number = static_cast<int64_t>(Number(text.substr(0, digits)));
  const std::string unit = text.substr(digits);
  if (unit == "ms") return milliseconds(number);
  return unit == "s" ? seconds(number) : std::chrono::minutes(number);
}

// "3.B"
Ballot BallotOf(const std::string& text) {
  const size_t dot = text.find('.');
  return {Number(text.substr(0, dot)), Id(text[dot + 1])};
}

std::string Text(const Ballot& ballot) {
  if (ballot.round == 0) return "nothing";
  return absl::StrCat(ballot.round, ".", std::string(1, Letter(ballot.member)));
}

bool Has(const Words& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// What follows `word`; empty when it is not there.
std::string After(const Words& words, const std::string& word) {
  auto found = std::find(words.begin(), words.end(), word);
  if (found == words.end() || ++found == words.end()) return "";
  return *found;
}

// One machine under test.
class Actor {
 public:
  virtual ~Actor() = default;
  virtual void Command(const Words& words) = 0;

  std::string TakeOutput() { return std::exchange(output_, ""); }

 protected:
  static constexpr io::Duration kStep = milliseconds(100);

  void Show(const std::string& text) {
    absl::StrAppend(&output_, "  ", text, "\n");
  }
  void ShowAt(const std::string& text) {
    const auto ms = std::chrono::duration_cast<milliseconds>(now_ - kBegin);
    Show(absl::StrCat("after ", ms.count() / 1000, ".", ms.count() % 1000 / 100,
                      " s: ", text));
  }

  static constexpr io::Instant kBegin{seconds(1000)};
  io::Instant now_ = kBegin;

 private:
  std::string output_;
};

// A member's start: "A starts 5 of ABC promised 3.B end 10".
class Starting final : public Actor {
 public:
  void Command(const Words& words) override {
    if (words[1] == "starts") return Start(words);
    if (words[0] == "members") {
      handshake_->OnConfig(Ids(words[1]));
    } else if (words[0] == "time") {
      handshake_->OnTimeUp();
    } else if (words[0] == "voted") {
      handshake_->OnProgress(BallotOf(After(words, "at")),
                             Number(After(words, "below")));
    } else {
      Answer(words);
    }
    ShowProgress();
  }

 private:
  void Start(const Words& words) {
    Handshake::Self self;
    self.incarnation = incarnation_ = Number(words[2]);
    self.boot_nonce = 7;
    if (Has(words, "promised")) {
      self.promised = BallotOf(After(words, "promised"));
    }
    if (Has(words, "end")) self.end = Number(After(words, "end"));
    self.blind = Has(words, "blind");
    self.others = Has(words, "others");
    handshake_.emplace(Id(words[0][0]), self, Ids(After(words, "of")));
    voted_ = false;
    ShowProgress();
  }

  // "B answers", and what it has seen if it is more than this life's Hello.
  void Answer(const Words& words) {
    HelloReply reply;
    if (!Has(words, "nothing")) {
      SeenProto& seen = *reply.mutable_seen();
      seen.set_incarnation(incarnation_);
      seen.set_boot_nonce(Has(words, "another") ? 8 : 7);
      if (Has(words, "start")) {
        seen.set_incarnation(Number(After(words, "start")));
        seen.set_boot_nonce(9);
      }
      if (Has(words, "promised")) {
        *seen.mutable_promised() = ToProto(BallotOf(After(words, "promised")));
      }
      if (Has(words, "end")) seen.set_end(Number(After(words, "end")));
      if (Has(words, "before")) {
        seen.set_end_before(Number(After(words, "before")));
      }
    }
    if (Has(words, "cloned")) reply.set_cloned(true);
    Handshake::Output out;
    handshake_->OnReply(Id(words[0][0]), reply, &out);
    if (!out.quarantine.empty()) Show("quarantined: " + out.quarantine);
  }

  void ShowProgress() {
    if (!handshake_->done()) {
      Show("waits for one of " + Letters(handshake_->Missing()));
    } else if (!std::exchange(voted_, true)) {
      Show("votes");
    }
  }

  std::optional<Handshake> handshake_;
  uint64_t incarnation_ = 0;
  bool voted_ = false;
};

// What a member remembers of the others: "A remembers others of ABC".
class Remembering final : public Actor {
 public:
  void Command(const Words& words) override {
    const MemberId id = Id(words[0][0]);
    const std::string& verb = words.size() > 1 ? words[1] : words[0];
    if (verb == "remembers") {
      me_ = id;
      members_ = Ids(After(words, "of"));
      Restart();
    } else if (words[0] == "restarts") {
      Restart();
    } else if (words[0] == "members") {
      members_ = Ids(words[1]);
      acquaintances_->OnConfig(members_);
    } else if (words[0] == "strangers") {
      Strangers(words[1]);
    } else if (verb == "sends") {
      Hear(id, Number(After(words, "start")), Number(After(words, "nonce")));
    } else if (verb == "promised") {
      acquaintances_->OnPromised(id, BallotOf(words[2]));
    } else if (verb == "voted") {
      acquaintances_->OnVoted(id, Number(After(words, "below")));
    } else if (verb == "has") {
      acquaintances_->OnOthersVote(id, Number(After(words, "below")));
    } else if (words[0] == "saves") {
      Save();
    } else {
      ShowMemory(id);
    }
  }

 private:
  void Restart() {
    acquaintances_.emplace(me_, disk_);
    acquaintances_->OnConfig(members_);
  }

  void Hear(const MemberId& id, uint64_t incarnation, uint64_t nonce) {
    switch (acquaintances_->OnHeader(id, incarnation, nonce)) {
      case Acquaintances::Verdict::kAccept:
        return Show("accepted");
      case Acquaintances::Verdict::kOlderLife:
        return Show("refused: of an older life");
      case Acquaintances::Verdict::kCloned:
        return Show("refused: cloned");
    }
  }

  // "strangers 1-30": each says hello.
  void Strangers(const std::string& range) {
    const size_t dash = range.find('-');
    for (uint64_t number = Number(range.substr(0, dash));
         number <= Number(range.substr(dash + 1)); ++number) {
      const std::string id = absl::StrCat("stranger", number);
      acquaintances_->OnHeader(id, 1, number);
    }
  }

  void Save() {
    std::vector<std::string> saved;
    for (const auto& [id, seen] : acquaintances_->TakeChanged()) {
      saved.push_back(id.size() == kMemberIdBytes ? std::string(1, Letter(id))
                                                  : id);
      disk_[id] = seen;
    }
    Show(saved.empty() ? "nothing new" : absl::StrJoin(saved, " "));
  }

  void ShowMemory(const MemberId& id) {
    const auto seen = acquaintances_->SeenOf(id);
    if (!seen) return Show("nothing");
    Show(absl::StrCat("start ", seen->incarnation(), " nonce ",
                      seen->boot_nonce(), ", promised ",
                      Text(FromProto(seen->promised())), ", votes below ",
                      seen->end()));
    if (!seen->has_end_before()) return;
    Show(absl::StrCat("before: promised ",
                      Text(FromProto(seen->promised_before())),
                      ", votes below ", seen->end_before()));
  }

  MemberId me_;
  std::vector<MemberId> members_;
  std::map<MemberId, Seen> disk_;
  std::optional<Acquaintances> acquaintances_;
};

constexpr Election::Options kTimeouts = {std::chrono::seconds(1),
                                         std::chrono::seconds(2)};

// A follower: "A follows in ABC".
class Following final : public Actor {
 public:
  void Command(const Words& words) override {
    const std::string& verb = words.size() > 1 ? words[1] : words[0];
    Election::Output out;
    if (verb == "follows") {
      election_.emplace(Id(words[0][0]), kTimeouts, 1);
      election_->OnConfig(Ids(After(words, "in")));
    } else if (words[0] == "members") {
      election_->OnConfig(Ids(words[1]));
    } else if (words[0] == "wait") {
      Wait(Time(words[1]), "");
    } else if (verb == "leads") {
      leader_ = BallotOf(words[2]);
      if (!Has(words, "for")) return Heartbeat();
      Wait(Time(After(words, "for")), "heartbeats");
    } else if (verb == "breaks") {
      election_->OnLeaderGone(now_);
    } else if (words[0] == "loses") {
      election_->OnLost(now_);
    } else if (words[0] == "promises") {
      election_->OnPromised(now_);
    } else if (words[0] == "transfer") {
      election_->OnTransfer(&out);
    } else if (verb == "grants" || verb == "refuses") {
      const uint64_t round =
          Has(words, "round") ? Number(After(words, "round")) : round_;
      election_->OnPreVoteReply(now_, Id(words[0][0]), round, verb == "grants",
                                &out);
    } else {
      Question(words);
    }
    Carry(out);
  }

 private:
  void Heartbeat() { election_->OnHeartbeat(now_, leader_.member, leader_); }

  void Wait(io::Duration time, const std::string& heartbeats) {
    for (io::Duration done{}; done < time; done += kStep) {
      now_ += kStep;
      if (!heartbeats.empty() && done % milliseconds(500) == io::Duration()) {
        Heartbeat();
      }
      Election::Output out;
      election_->OnTick(now_, &out);
      Carry(out);
    }
  }

  void Carry(const Election::Output& out) {
    if (out.ask) {
      election_->OnAsked(++round_);
      ShowAt(absl::StrCat("asks for round ", round_));
    }
    if (out.stand) ShowAt("stands");
  }

  // "asked by B with 10, has 11"
  void Question(const Words& words) {
    const bool grants = election_->Grants(now_, Id(After(words, "by")[0]),
                                          Number(After(words, "with")),
                                          Number(After(words, "has")));
    Show(grants ? "grants" : "refuses");
    if (grants) election_->OnGranted(now_);
  }

  std::optional<Election> election_;
  Ballot leader_;
  uint64_t round_ = 0;
};

// A leader's right to lead: "A leads ABC".
class Confirming final : public Actor {
 public:
  void Command(const Words& words) override {
    const std::string& verb = words.size() > 1 ? words[1] : words[0];
    ReadIndex::Output out;
    if (verb == "leads") {
      const std::vector<MemberId> members = Ids(words[2]);
      check_.emplace(Id(words[0][0]), seconds(2), members, now_);
      reads_.emplace(Id(words[0][0]), members);
    } else if (words[0] == "members") {
      check_->OnConfig(Ids(words[1]), now_);
      reads_->OnConfig(Ids(words[1]));
    } else if (words[0] == "read") {
      reads_->Read(Number(words[1]));
    } else if (words[0] == "round") {
      reads_->OnRound(Number(words[1]), &out);
    } else if (words[0] == "rounds") {
      const size_t dash = words[1].find('-');
      for (uint64_t round = Number(words[1].substr(0, dash));
           round <= Number(words[1].substr(dash + 1)); ++round) {
        reads_->Read(round);
        reads_->OnRound(round, &out);
      }
    } else if (verb == "confirms") {
      check_->OnReply(Id(words[0][0]), now_);
      reads_->OnReply(Id(words[0][0]), Number(words[2]), &out);
    } else if (verb == "answers") {
      check_->OnReply(Id(words[0][0]), now_);
    } else {
      now_ += Time(words[1]);
      const std::string lost = check_->Lost(now_);
      Show(lost.empty() ? "leads" : "steps down: " + lost);
    }
    if (!out.answered.empty()) {
      Show("answers read " + absl::StrJoin(out.answered, ", "));
    }
  }

 private:
  std::optional<QuorumCheck> check_;
  std::optional<ReadIndex> reads_;
};

// A leader that changes the members: "A leads ABC quorum 2 at 10". The other
// replicas answer a heartbeat each half second, and a promise that is asked
// for at the next one, unless a command says otherwise.
class Changing final : public Actor {
 public:
  void Command(const Words& words) override {
    const std::string& verb = words.size() > 1 ? words[1] : words[0];
    Membership::Output out;
    if (verb == "leads") {
      Lead(words);
    } else if (verb == "is") {
      Set(words);
    } else if (words[0] == "log") {
      learned_ = stored_ = Number(words[1]);
      if (Has(words, "stored")) stored_ = Number(After(words, "stored"));
      membership_->OnLearned(learned_);
    } else if (words[0] == "wait") {
      Wait(Time(words[1]));
    } else if (words[0] == "change") {
      Request(words, &out);
    } else if (words[0] == "chosen") {
      learned_ = stored_ = Number(words[2]) + 1;
      membership_->OnChosenConfig(now_, Number(words[2]), proposed_, &out);
      membership_->OnLearned(learned_);
    } else if (words[0] == "crowd") {
      for (uint64_t number = 0; number < Number(words[1]); ++number) {
        Membership::PeerReport report;
        report.id = absl::StrCat("stranger", number);
        membership_->OnPeer(now_, report);
      }
    } else {
      Explain();
    }
    Carry(out);
  }

 private:
  struct Peer {
    bool up = true;
    bool refuses = false;
    std::optional<uint64_t> learned;  // else what the leader has
    std::optional<uint64_t> stored;   // else what it has learned
    int quorum = 2;
    bool silent = false;
    bool full = false;
    uint64_t damaged = 0;
  };

  void Lead(const Words& words) {
    Membership::Options options;
    options.declared_quorum = static_cast<int>(Number(After(words, "quorum")));
    options.automatic = !Has(words, "manual");
    options.address = "a:5050";
    learned_ = stored_ = Number(After(words, "at"));
    membership_.emplace(Id(words[0][0]), options, ConfigOf(words[2]), 0,
                        learned_, now_);
  }

  // "D is down", "D is up quorum 2 with 5 storing 4 damaged 3 silent full"
  void Set(const Words& words) {
    for (char letter : words[0]) {
      Peer& peer = peers_[letter];
      peer = {};
      peer.up = words[2] == "up";
      peer.refuses = Has(words, "refusing");
      if (Has(words, "with")) peer.learned = Number(After(words, "with"));
      if (Has(words, "storing")) peer.stored = Number(After(words, "storing"));
      if (Has(words, "quorum")) {
        peer.quorum = static_cast<int>(Number(After(words, "quorum")));
      }
      if (Has(words, "damaged")) peer.damaged = Number(After(words, "damaged"));
      peer.silent = Has(words, "silent");
      peer.full = Has(words, "full");
    }
  }

  // "change +D -C bulk"
  void Request(const Words& words, Membership::Output* out) {
    Membership::Change change;
    change.bulk = Has(words, "bulk");
    for (const std::string& word : words) {
      if (word[0] == '+') change.add = Ids(word.substr(1));
      if (word[0] == '-') change.remove = Ids(word.substr(1));
    }
    membership_->Request(now_, ++request_, change, out);
  }

  void Report(char letter, const Peer& peer) {
    Membership::PeerReport report;
    report.id = Id(letter);
    report.address = absl::StrCat(std::string(1, letter), ":5050");
    report.learned_upto = peer.learned.value_or(learned_);
    report.stored_upto =
        peer.stored.value_or(std::min(report.learned_upto, stored_));
    report.declared_quorum = peer.quorum;
    report.silent = peer.silent;
    report.disk_full = peer.full;
    report.damaged = peer.damaged;
    membership_->OnPeer(now_, report);
  }

  void Wait(io::Duration time) {
    for (io::Duration done{}; done < time; done += milliseconds(500)) {
      now_ += milliseconds(500);
      for (const auto& [letter, peer] : peers_) {
        if (!peer.up) continue;
        Report(letter, peer);
        const bool asked = asked_.find(letter) != std::string::npos;
        if (asked && !peer.refuses) membership_->OnPromised(Id(letter));
      }
      membership_->OnStored(stored_);
      Membership::Output out;
      membership_->OnTick(now_, &out);
      Carry(out);
    }
  }

  void Carry(const Membership::Output& out) {
    const std::string asked = Letters(out.ask_promise);
    if (!asked.empty() && asked != asked_) {
      ShowAt(absl::StrCat("asks ", asked, " for a promise"));
    }
    asked_ = asked;
    if (out.propose) {
      proposed_ = *out.propose;
      ShowAt("proposes " + Letters(MembersOf(proposed_)));
    }
    if (out.barrier) ShowAt("wants an entry of the new members");
    for (const auto& finished : out.finished) {
      ShowAt(absl::StrCat("request ", finished.id, ": ",
                          finished.status.ToString()));
    }
    if (out.resign) ShowAt("resigns");
  }

  void Explain() {
    const std::string why = membership_->Explain(now_);
    Show(why.empty() ? "all is well" : why);
    if (membership_->QuorumMismatch(now_)) Show("(quorum_mismatch)");
  }

  std::optional<Membership> membership_;
  std::map<char, Peer> peers_;
  uint64_t learned_ = 0;
  uint64_t stored_ = 0;
  uint64_t request_ = 0;
  std::string asked_;
  Config proposed_;
};

std::unique_ptr<Actor> NewActor(const std::string& name) {
  if (absl::StartsWith(name, "handshake")) return std::make_unique<Starting>();
  if (absl::StartsWith(name, "acquaintances")) {
    return std::make_unique<Remembering>();
  }
  if (absl::StartsWith(name, "election")) return std::make_unique<Following>();
  if (absl::StartsWith(name, "reads")) return std::make_unique<Confirming>();
  return std::make_unique<Changing>();
}

// The script, with what its commands really lead to.
std::string Play(const std::string& name, const std::string& script) {
  std::unique_ptr<Actor> actor;
  std::string result;
  for (absl::string_view line : absl::StrSplit(script, '\n')) {
    if (absl::StartsWith(line, " ")) continue;
    absl::StrAppend(&result, line, "\n");
    if (line.empty() || line[0] == '#') {
      // A new story begins.
      if (line.empty()) actor.reset();
      continue;
    }
    if (actor == nullptr) actor = NewActor(name);
    actor->Command(absl::StrSplit(line, ' '));
    result += actor->TakeOutput();
  }
  if (!result.empty()) result.pop_back();
  return result;
}

class Stories : public ::testing::TestWithParam<const char*> {};

TEST_P(Stories, AreAsWritten) {
  const std::string path =
      absl::StrCat("core/log/testdata/", GetParam(), ".txt");
  std::stringstream script;
  script << std::ifstream(path).rdbuf();
  ASSERT_FALSE(script.str().empty());
  const std::string result = Play(GetParam(), script.str());
  // tidy-allow(environment): how bazel run tells where the sources are
  const char* const workspace = std::getenv("BUILD_WORKSPACE_DIRECTORY");
  // tidy-allow(environment): how bazel run tells where the sources are
  if (std::getenv("QUORATE_REWRITE") != nullptr && workspace != nullptr) {
    std::ofstream(absl::StrCat(workspace, "/", path)) << result;
    return;
  }
  EXPECT_EQ(result, script.str());
}

INSTANTIATE_TEST_SUITE_P(
    Machines, Stories,
    ::testing::Values("acquaintances", "election", "handshake",
                      "membership_automatic", "membership_conditions",
                      "membership_refusals", "membership_settling", "reads"),
    [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace quorate::log
