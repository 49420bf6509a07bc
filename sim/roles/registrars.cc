#include "sim/roles/registrars.h"

#include <glog/logging.h>
#include <gtest/gtest.h>

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/log/log.pb.h"

namespace quorate::registry {
namespace {

using std::chrono::seconds;

constexpr uint16_t kPort = 5050;

}  // namespace

io::Endpoint AddressOf(int host) {
  return {absl::StrCat("10.0.0.", host + 1), kPort};
}

Operation AdmitAgent(const std::string& id) {
  Operation operation;
  mesos::v1::AgentInfo& info = *operation.mutable_admit_agent()->mutable_info();
  info.set_hostname("host-" + id);
  info.mutable_id()->set_value(id);
  return operation;
}

void History::Add(uint64_t position, const std::string& entry) {
  const auto known = entries_.emplace(position, entry).first;
  EXPECT_EQ(known->second, entry) << "at position " << position;
}

void History::Scan() {
  whole.clear();
  broken = 0;
  operation_bytes_ = 0;
  part_.reset();
  uint64_t next = 0;
  for (const auto& [position, bytes] : entries_) {
    EXPECT_EQ(position, next++);
    log::EntryProto entry;
    ASSERT_TRUE(entry.ParseFromString(bytes));
    if (entry.type() == log::LEADER) introduced_ = false;
    if (entry.type() != log::APPEND) continue;
    for (const std::string& payload : entry.payload()) {
      ScanPayload(position, payload);
    }
  }
}

void History::ScanPayload(uint64_t position, const std::string& payload) {
  Batch batch;
  ASSERT_TRUE(batch.ParseFromString(payload));
  const Snapshot& snapshot = batch.snapshot();
  if (!batch.has_snapshot()) {
    operation_bytes_ += payload.size();
    introduced_ = introduced_ || batch.operations(0).has_update_master();
  }
  EXPECT_TRUE(introduced_) << "a snapshot comes first, at " << position;
  if (part_ && (!batch.has_snapshot() || snapshot.first())) {
    ++broken;
    part_.reset();
  }
  if (!batch.has_snapshot()) return;
  if (snapshot.first()) part_ = {position, 0, operation_bytes_};
  ASSERT_TRUE(part_) << "nothing goes on at " << position;
  part_->bytes += payload.size();
  if (!snapshot.last()) return;
  whole.push_back(*part_);
  part_.reset();
  operation_bytes_ = 0;
}

void Observer::OnOpened(const std::string& member) {
  next_->OnOpened(member);
  learned_.reset();
}

void Observer::OnLearned(uint64_t position, const std::string& bytes) {
  if (!learned_) first = position;
  if (learned_ && position != *learned_ + 1) ++bases_adopted;
  learned_ = position;
  history_->Add(position, bytes);
  next_->OnLearned(position, bytes);
  log::EntryProto entry;
  Batch batch;
  if (!on_part || !entry.ParseFromString(bytes) ||
      entry.type() != log::APPEND || !batch.ParseFromString(entry.payload(0)) ||
      !batch.has_snapshot()) {
    return;
  }
  // It may set another one.
  const auto callback = on_part;
  callback(batch.snapshot());
}

Member::Member(io::Environment& environment, int host,
               const Registrar::Options& options, log::LogOptions log)
    : registrar_(environment, options, std::move(log),
                 [this](const absl::Status& reason) { lost = reason; }) {
  port_ = wire::OpenPort(
              environment.clock(), environment.network(), AddressOf(host),
              {.on_http = [](std::unique_ptr<io::Connection>, std::string) {},
               .on_link =
                   [this](std::unique_ptr<wire::Link> link) {
                     registrar_.log().Accept(std::move(link));
                   },
               .handshake = [this](const wire::Handshake&)
                   -> absl::StatusOr<wire::Handshake> {
                 return registrar_.log().MyHandshake();
               }})
              .value();
  registrar_.log().Start();
  std::vector<io::Endpoint> peers;
  for (int peer = 0; peer < kHosts; ++peer) peers.push_back(AddressOf(peer));
  registrar_.log().SetPeers(peers);
}

Registrar::Options Registrars::Quick() {
  return {.fetch_timeout = seconds(5), .store_timeout = seconds(1)};
}

Registrars::Registrars(uint64_t seed, Registrar::Options options,
                       log::LogOptions log)
    : world_(seed),
      network_(world_, sim::NetworkOptions{}),
      options_(options),
      log_(std::move(log)) {
  agreement_.appends_differ = false;
  agreement_.on_entry = [this](uint64_t position,
                               const log::EntryProto& entry) {
    witness_.Entry(position, entry);
  };
  for (int i = 0; i < kHosts; ++i) {
    observers_.push_back(std::make_unique<Observer>(
        &history_, agreement_.Observe(absl::StrCat("master", i))));
    hosts_.push_back(std::make_unique<sim::Host>(
        world_, network_, absl::StrCat("master", i), AddressOf(i).ip));
    processes_.push_back(nullptr);
    Start(i);
  }
}

void Registrars::Start(int i) {
  log::LogOptions log = log_;
  log.directory = "/log";
  log.quorum = 2;
  log.address = AddressOf(i);
  log.observer = observers_[i].get();
  Registrar::Options options = options_;
  if (unwatched_.count(i) == 0) {
    options.observer = witness_.Observe(absl::StrCat("master", i));
  }
  processes_[i] =
      &hosts_[i]->Start("master", [=](io::Environment& environment) {
        return std::make_unique<Member>(environment, i, options, log);
      });
}

Registrars::~Registrars() {
  EXPECT_EQ(world_.failure().has_value(), expects_failure_)
      << world_.failure().value_or("");
}

void Registrars::Unwatch(int i) {
  unwatched_.insert(i);
  Restart(i);
}

void Registrars::Restart(int i) {
  processes_[i]->Kill();
  Start(i);
}

Member& Registrars::member(int i) {
  const sim::Process& process = *processes_[i];
  CHECK(process.alive()) << "master" << i << " has ended: "
                         << (process.ended() ? process.ended()->message : "");
  return *static_cast<Member*>(processes_[i]->program());
}

void Registrars::RunOn(int i, const std::function<void(Registrar&)>& callback) {
  processes_[i]->Run([&] { callback(member(i).registrar()); });
}

log::LogStatus Registrars::LogOf(int i) {
  return member(i).registrar().log().status();
}

std::string Registrars::StateOf(int i) {
  return member(i).registrar().state().ToProto().SerializeAsString();
}

absl::Status Registrars::Recover(int i) {
  absl::Status result = absl::UnknownError("not answered");
  mesos::v1::MasterInfo info;
  info.set_id(absl::StrCat("master", i));
  info.set_ip(0);
  info.set_port(kPort);
  RunOn(i, [&](Registrar& registrar) {
    registrar.Recover(
        info, [&](absl::StatusOr<uint64_t> epoch) { result = epoch.status(); });
  });
  world_.RunUntil([&] { return !absl::IsUnknown(result); }, seconds(30));
  return result;
}

std::shared_ptr<Registrars::Outcomes> Registrars::Submit(
    int i, const std::vector<std::string>& ids) {
  auto outcomes = std::make_shared<Outcomes>();
  outcomes->missing = ids.size();
  RunOn(i, [&](Registrar& registrar) {
    for (const std::string& id : ids) {
      registrar.Apply(AdmitAgent(id), [=](const absl::Status& status) {
        --outcomes->missing;
        absl::StrAppend(&outcomes->text, id, " ",
                        absl::StatusCodeToString(status.code()), "; ");
      });
    }
  });
  return outcomes;
}
std::string Registrars::Apply(int i, const std::vector<std::string>& ids) {
  const auto outcomes = Submit(i, ids);
  world_.RunUntil([&] { return outcomes->missing == 0; }, seconds(30));
  return outcomes->text;
}

void Registrars::Admit(int i, const std::string& prefix, int count) {
  for (int n = 0; n < count; ++n) {
    const std::string id = absl::StrCat(prefix, 1000 + n);
    ASSERT_EQ(Apply(i, {id}), id + " OK; ");
  }
}

bool Registrars::Converged() {
  std::set<uint64_t> learned;
  for (int i = 0; i < kHosts; ++i) {
    if (!processes_[i]->alive()) return false;
    learned.insert(LogOf(i).learned_upto);
  }
  return learned.size() == 1;
}
void Registrars::ExpectAgreement() {
  ASSERT_TRUE(world_.RunUntil([this] { return Converged(); }, seconds(30)));
  for (int i = 1; i < kHosts; ++i) {
    EXPECT_EQ(StateOf(i), StateOf(0));
    EXPECT_EQ(LogOf(i).base, LogOf(0).base);
  }
}

}  // namespace quorate::registry
