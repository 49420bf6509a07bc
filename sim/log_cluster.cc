#include "sim/log_cluster.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/wire/port.h"

namespace quorate::sim {
namespace {

constexpr uint16_t kPort = 5050;
constexpr uint16_t kSecondPort = 6050;
constexpr char kDirectory[] = "/var/lib/log";

}  // namespace

class LogReplica final : public Program, public log::LogNode::Listener {
 public:
  LogReplica(io::Environment& environment, log::LogOptions options,
             const std::vector<io::Endpoint>& peers, World& world,
             const std::string& name,
             std::function<void(uint64_t epoch)> on_leading)
      : leads_(world, name),
        on_leading_(std::move(on_leading)),
        node_(environment, options, this) {
    auto port = wire::OpenPort(
        environment.clock(), environment.network(), options.address,
        {.on_http = [](std::unique_ptr<io::Connection>, std::string) {},
         .on_link =
             [this](std::unique_ptr<wire::Link> link) {
               node_.Accept(std::move(link));
             },
         .handshake =
             [this](const wire::Handshake&) -> absl::StatusOr<wire::Handshake> {
           return node_.MyHandshake();
         }});
    if (!port.ok()) {
      environment.Exit(io::kExitFailure, port.status().message());
      return;
    }
    port_ = *std::move(port);
    node_.Start();
    node_.SetPeers(peers);
  }

  void OnCommitted(uint64_t position, absl::string_view) override {
    committed = position;
  }
  void OnBase(uint64_t begin) override { base = begin; }
  void OnLeading(uint64_t epoch) override {
    leads_.Begin(absl::StrCat("leads in epoch ", epoch));
    on_leading_(epoch);
  }
  void OnLostLeadership(const absl::Status&) override {
    leads_.End();
    electing = false;
  }

  log::LogNode& node() { return node_; }
  bool electing = false;
  uint64_t committed = 0;
  // What is below was truncated while this process had yet to hear of it.
  uint64_t base = 0;

 private:
  OpenSpan leads_;
  const std::function<void(uint64_t epoch)> on_leading_;
  log::LogNode node_;
  std::unique_ptr<wire::Port> port_;
};

log::LogOptions LogClusterOptions::SmallLog() {
  log::LogOptions options;
  options.segment_bytes = 256 << 10;
  options.reserve_bytes = 16 << 10;
  return options;
}

LogCluster::LogCluster(World& world, LogClusterOptions options)
    : world_(world),
      options_(std::move(options)),
      network_(world, {}),
      agreement_(world),
      durability_(world, agreement_) {
  for (int i = 0; i < options_.replicas; ++i) {
    AddMachine(options_.replicas / 2 + 1);
  }
  witness_ = world.CallAsWitness([this] { return Testimony(); });
  for (int i = 0; i < options_.replicas; ++i) Start(i);
}

std::string LogCluster::Testimony() {
  std::string testimony;
  for (int i = 0; i < size(); ++i) {
    absl::StrAppend(&testimony, "  replica", i, " ");
    if (!up(i)) {
      const auto& ended = process(i).ended();
      absl::StrAppend(&testimony,
                      "is down: ", ended ? ended->message : "with its host",
                      "\n");
      continue;
    }
    const log::LogStatus view = status(i);
    absl::StrAppend(&testimony, log::ToString(view.state), " ",
                    view.voting ? "votes" : "does not vote", ", promised ",
                    view.promised_round, ", learned ", view.learned_upto, ", ",
                    view.members.size(), " members since ",
                    view.config_position, ": ", view.explanation, "\n");
  }
  return testimony;
}

LogCluster::~LogCluster() { world_.EndStory(); }

int LogCluster::Add(int quorum) {
  const int i = AddMachine(quorum);
  world_.Took(Fault::kExtraMaster, machines_[i].host->name());
  Start(i);
  return i;
}

int LogCluster::AddForeign(int quorum) {
  const int i = AddMachine(quorum);
  machines_[i].foreign = true;
  world_.Took(Fault::kWrongPath, machines_[i].host->name());
  Start(i);
  return i;
}

int LogCluster::AddMachine(int quorum) {
  const int i = size();
  machines_.emplace_back();
  machines_.back().quorum = quorum;
  machines_.back().options = options_.log;
  machines_.back().host =
      std::make_unique<Host>(world_, network_, absl::StrCat("replica", i),
                             absl::StrCat("10.0.0.", i + 1));
  return i;
}

bool LogCluster::up(int i) const {
  if (i < 0) return false;
  const Process* process = machines_[i].process;
  return process != nullptr && process->alive();
}

io::Endpoint LogCluster::address(int i) const {
  return {machines_[i].host->ip(), kPort};
}

std::string LogCluster::DiskName(int i) const {
  return absl::StrCat("replica", i, "/disk", machines_[i].disk);
}

void LogCluster::ChangeOptions(
    int i, const std::function<void(log::LogOptions&)>& change) {
  change(machines_[i].options);
  machines_[i].other_options = true;
}

log::LogOptions LogCluster::OptionsOf(int i) const {
  const Machine& machine = machines_[i];
  log::LogOptions options = machine.options;
  options.directory = kDirectory;
  options.quorum = machine.quorum;
  options.auto_initialize = machine.auto_initialize;
  if (machine.join_token) options.join_token = *machine.join_token;
  options.builtin_election = options_.builtin_election;
  options.address = address(i);
  return options;
}

std::vector<io::Endpoint> LogCluster::Addresses() const {
  std::vector<io::Endpoint> addresses;
  for (int i = 0; i < size(); ++i) addresses.push_back(address(i));
  return addresses;
}

void LogCluster::CountRestart(Machine& machine) {
  const std::string& name = machine.host->name();
  const wire::Versions& protocol = machine.options.protocol;
  if (machine.process != nullptr) {
    if (machine.other_options) world_.Took(Fault::kOtherFlags, name);
    if (machine.last_protocol != protocol) world_.Took(Fault::kUpgrade, name);
    if (machine.last_quorum != machine.quorum) {
      world_.Took(Fault::kWrongQuorum, name);
    }
  }
  machine.other_options = false;
  machine.last_protocol = protocol;
  machine.last_quorum = machine.quorum;
}

void LogCluster::Start(int i) {
  Machine& machine = machines_[i];
  machine.retired = false;
  Host& host = *machine.host;
  host.Boot();
  CountRestart(machine);
  log::LogOptions options = OptionsOf(i);
  if (!machine.foreign) options.observer = agreement_.Observe(DiskName(i));
  const std::vector<io::Endpoint> peers = Addresses();
  machine.process =
      &host.Start(host.name(), [=, this, &host](io::Environment& environment) {
        return std::make_unique<LogReplica>(
            environment, options, peers, world_, host.name(),
            [this, i](uint64_t epoch) { OnLeads(i, epoch); });
      });
}

Process& LogCluster::StartSecond(int i) {
  log::LogOptions options = OptionsOf(i);
  options.address.port = kSecondPort;
  const std::string name = absl::StrCat(host(i).name(), "-again");
  const std::vector<io::Endpoint> peers = Addresses();
  return host(i).Start(name, [=, this](io::Environment& environment) {
    return std::make_unique<LogReplica>(environment, options, peers, world_,
                                        name, [](uint64_t) {});
  });
}

void LogCluster::Retire(int i) {
  machines_[i].retired = true;
  if (up(i)) Kill(i);
}

void LogCluster::Wipe(int i) {
  agreement_.DiskLost(DiskName(i));
  ++machines_[i].disk;
  machines_[i].state = DiskState::kWhole;
  machines_[i].copy_of.clear();
  host(i).files().Replace(FileSystem().root());
  world_.Took(Fault::kDiskWiped, host(i).name());
}

FileSystem::NodePtr LogCluster::Backup(int i) {
  FileSystem::NodePtr backup = FileSystem::Copy(*host(i).files().root());
  members_of_backups_[backup.get()] = agreement_.MemberOn(DiskName(i));
  return backup;
}

void LogCluster::Restore(int i, const FileSystem::NodePtr& backup) {
  agreement_.DiskRolledBack(DiskName(i));
  agreement_.DiskRestored(members_of_backups_.at(backup.get()));
  machines_[i].state = DiskState::kDoubtful;
  host(i).files().Replace(FileSystem::Copy(*backup));
  world_.Took(Fault::kDiskRolledBack, host(i).name());
}

void LogCluster::Clone(int from, int to) {
  if (machines_[to].process != nullptr) agreement_.DiskLost(DiskName(to));
  ++machines_[to].disk;
  host(to).files().Replace(FileSystem::Copy(*host(from).files().root()));
  agreement_.DiskCopied(DiskName(from), DiskName(to));
  world_.Took(Fault::kDiskCloned, host(to).name());
  agreement_.DiskRolledBack(DiskName(from));
  machines_[from].state = machines_[to].state = DiskState::kDoubtful;
  machines_[to].copy_of = DiskName(from);
}

void LogCluster::LoseContents(int i, bool zeros) {
  for (auto& [path, file] : Files(i)) {
    if (absl::EndsWith(path, "/superblock")) continue;
    for (char& byte : file->content) {
      byte = zeros ? '\0' : static_cast<char>(byte ^ 0x5a);
    }
    file->durable = file->content;
  }
  machines_[i].state = DiskState::kLost;
  machines_[i].promised = agreement_.Promised(DiskName(i));
}

void LogCluster::DamageSectors(int i, uint64_t of, io::Random& random) {
  for (auto& [path, file] : Files(i)) {
    if (absl::EndsWith(path, "/superblock")) continue;
    for (size_t at = 0; at < file->content.size();
         at += FileSystem::kSectorBytes) {
      if (random.Below(of) != 0) continue;
      const size_t in_sector = random.Below(FileSystem::kSectorBytes);
      const size_t hit = std::min(at + in_sector, file->content.size() - 1);
      file->content[hit] = static_cast<char>(file->content[hit] ^ 0x20);
    }
    file->durable = file->content;
  }
  if (machines_[i].state == DiskState::kWhole) {
    machines_[i].state = DiskState::kDamaged;
  }
}

std::map<std::string, FileSystem::NodePtr> LogCluster::Files(int i) {
  std::map<std::string, FileSystem::NodePtr> files;
  const std::function<void(const std::string&, const FileSystem::NodePtr&)>
      walk = [&](const std::string& path, const FileSystem::NodePtr& node) {
        if (node->type == io::FileInfo::Type::kFile) files[path] = node;
        for (const auto& [name, child] : node->children) {
          walk(absl::StrCat(path, "/", name), child);
        }
      };
  if (auto root = host(i).files().Find(kDirectory, true); root.ok()) {
    walk(kDirectory, *root);
  }
  return files;
}

void LogCluster::Cut(int i, int j) {
  CutOneWay(i, j);
  CutOneWay(j, i);
}

void LogCluster::CutOneWay(int from, int to) {
  network_.Cut(host(from).ip(), host(to).ip());
}

void LogCluster::HealAll() {
  network_.MendAll();
  network_.ClearLinks();
  for (int i = 0; i < size(); ++i) {
    if (machines_[i].retired) continue;
    host(i).Wake();
    process(i).DieAtDiskCall(0, false);
    process(i).SetSlowLoop({});
    process(i).Resume();
    if (!up(i)) Start(i);
  }
}

LogReplica* LogCluster::replica(int i) {
  return up(i) ? static_cast<LogReplica*>(process(i).program()) : nullptr;
}

log::LogNode* LogCluster::node(int i) {
  LogReplica* const running = replica(i);
  return running == nullptr ? nullptr : &running->node();
}

log::LogStatus LogCluster::status(int i) {
  log::LogNode* const running = node(i);
  if (running == nullptr) return {};
  log::LogStatus status = running->status();
  if (!status.member_id.empty()) machines_[i].id = status.member_id;
  return status;
}

void LogCluster::Elect(int i) {
  if (!up(i) || process(i).paused() || options_.builtin_election) return;
  process(i).Run([this, i] {
    LogReplica& asked = *replica(i);
    if (std::exchange(asked.electing, true)) return;
    asked.node().Elect([this, i](absl::StatusOr<uint64_t> epoch) {
      if (!up(i)) return;
      if (!epoch.ok()) replica(i)->electing = false;
      if (epoch.ok()) replica(i)->OnLeading(*epoch);
    });
  });
}

void LogCluster::TransferLeadership(int i) {
  if (!up(i) || process(i).paused()) return;
  process(i).Run([this, i] {
    node(i)->TransferLeadership();
    replica(i)->OnLostLeadership(absl::OkStatus());
  });
}

std::vector<int> LogCluster::Leaders() {
  std::vector<int> leaders;
  for (int i = 0; i < size(); ++i) {
    if (status(i).state == log::LogStatus::State::kLeading) {
      leaders.push_back(i);
    }
  }
  return leaders;
}

void LogCluster::Append(int i, size_t bytes) {
  if (!up(i) || process(i).paused()) return;
  const std::string payload =
      absl::StrCat("payload-", next_payload_++, ".", std::string(bytes, 'x'));
  process(i).Run([this, i, payload] {
    node(i)->Append(payload, [this, i, payload](absl::StatusOr<uint64_t> at) {
      if (!at.ok()) return;
      durability_.Acknowledged(*at, payload);
      world_.Note(host(i).name(), "acknowledges", *at);
    });
  });
}

void LogCluster::Truncate(int i, uint64_t to) {
  if (!up(i) || process(i).paused()) return;
  durability_.MayTruncate(to);
  process(i).Run([this, i, to] {
    node(i)->Truncate(to, [](absl::StatusOr<uint64_t>) {});
  });
}

void LogCluster::ChangeAnyMembers(int at, io::Random& random) {
  const std::vector<int> members = Members(at);
  std::vector<int> others;
  for (int i = 0; i < size(); ++i) {
    const bool is_member = std::count(members.begin(), members.end(), i) != 0;
    if (!is_member && !id(i).empty()) others.push_back(i);
  }
  std::vector<int> add;
  std::vector<int> remove;
  if (!others.empty() && random.Below(2) == 0) {
    add.push_back(others[random.Below(others.size())]);
  }
  if (members.size() > 1 && (add.empty() || random.Below(2) == 0)) {
    remove.push_back(members[random.Below(members.size())]);
  }
  if (!add.empty() || !remove.empty()) ChangeMembers(at, add, remove);
}

void LogCluster::ChangeMembers(int at, const std::vector<int>& add,
                               const std::vector<int>& remove, bool bulk) {
  change_outcome.reset();
  if (!up(at)) return;
  log::MemberChange change;
  for (int i : add) {
    status(i);
    change.add.push_back(id(i));
  }
  for (int i : remove) change.remove.push_back(id(i));
  change.bulk = bulk;
  Change(at, change);
}

void LogCluster::ReplaceId(int at, const std::string& old_id, int fresh) {
  change_outcome.reset();
  if (!up(at)) return;
  status(fresh);
  Change(at, {.add = {id(fresh)}, .remove = {old_id}});
}

void LogCluster::Change(int at, const log::MemberChange& change) {
  members_changed_ = true;
  process(at).Run([this, at, change] {
    node(at)->ChangeMembers(change, [this](const absl::Status& outcome) {
      change_outcome = outcome;
    });
  });
}

void LogCluster::Read(int i) {
  if (!up(i) || process(i).paused()) return;
  // What was truncated is not delivered to a process that began since.
  const uint64_t base = status(i).base;
  process(i).Run([this, i, base, before = durability_.highest()] {
    node(i)->Barrier([this, i, base, before](const absl::Status& outcome) {
      if (!outcome.ok()) return;
      ++reads_answered_;
      const LogReplica& reader = *replica(i);
      if (reader.committed >= before) return;
      if (std::max(base, reader.base) > before) return;
      world_.Fail(absl::StrCat("replica", i,
                               " answered a read without position ", before,
                               ", which was acknowledged before"));
    });
  });
}

// Everything that was acknowledged before lies below its epoch.
void LogCluster::OnLeads(int i, uint64_t epoch) {
  const uint64_t base = status(i).base;
  durability_.BeginsAt(host(i).name(), base);
  // What is damaged there is being fetched; it must not read wrong.
  if (base < epoch) ReadOn(i, base, epoch, [](const absl::Status&) {});
}

void LogCluster::ReadBack(int i, OnReadBack done) {
  if (!up(i) || process(i).paused()) {
    return done(absl::UnavailableError("it does not run"));
  }
  const log::LogStatus view = status(i);
  durability_.BeginsAt(host(i).name(), view.base);
  process(i).Run([this, i, view, done = std::move(done)]() mutable {
    ReadOn(i, view.base, view.learned_upto, std::move(done));
  });
}

void LogCluster::ReadOn(int i, uint64_t from, uint64_t to, OnReadBack done) {
  node(i)->Read(from, to,
                [=, this, done = std::move(done)](
                    const absl::StatusOr<log::LogNode::Range>& range) mutable {
                  if (!range.ok()) return done(range.status());
                  durability_.Read(host(i).name(), from, range->next,
                                   range->entries);
                  if (range->next < to) {
                    return ReadOn(i, range->next, to, std::move(done));
                  }
                  ++read_back_;
                  done(absl::OkStatus());
                });
}

std::vector<KnownReplica> LogCluster::KnownReplicas(
    const std::vector<int>& disturbed) {
  std::vector<KnownReplica> known;
  for (int i = 0; i < size(); ++i) {
    const Machine& machine = machines_[i];
    KnownReplica replica;
    replica.disk = DiskName(i);
    replica.copy_of = machine.copy_of;
    replica.member = agreement_.MemberOn(replica.disk);
    if (replica.member.empty()) {
      replica.member = agreement_.MemberOn(machine.copy_of);
    }
    replica.state = machine.state;
    replica.runs = !machine.retired;
    replica.disturbed = std::count(disturbed.begin(), disturbed.end(), i) != 0;
    known.push_back(replica);
  }
  return known;
}

// A change that was refused may have been decided for all that.
bool LogCluster::MembersSettled() const {
  return !members_changed_ || (change_outcome && change_outcome->ok());
}

Prognosis LogCluster::Foresee(const std::vector<int>& disturbed) {
  return sim::Foresee(agreement_, KnownReplicas(disturbed),
                      durability_.may_be_truncated(), MembersSettled());
}

bool LogCluster::MayForget(int i) {
  return sim::MayForget(agreement_, KnownReplicas({}), static_cast<size_t>(i),
                        durability_.may_be_truncated());
}

void LogCluster::NoteRepairs() {
  for (int i = 0; i < size(); ++i) {
    Machine& machine = machines_[i];
    if (machine.state != DiskState::kLost || !up(i)) continue;
    log::LogStatus view = status(i);
    if (view.metrics["log/damaged"] == 0 &&
        view.learned_upto > durability_.highest() &&
        machine.promised < agreement_.LeaderLearned(DiskName(i))) {
      machine.state = DiskState::kWhole;
    }
  }
}

bool LogCluster::Converged() {
  uint64_t highest = 0;
  for (int i = 0; i < size(); ++i) {
    if (machines_[i].foreign) continue;
    highest = std::max(highest, status(i).learned_upto);
  }
  for (int i = 0; i < size(); ++i) {
    // A quarantined one has fallen out: nobody talks to it.
    const bool counts = up(i) && !machines_[i].foreign &&
                        status(i).state != log::LogStatus::State::kQuarantined;
    if (counts && status(i).learned_upto != highest) return false;
  }
  return highest > 0;
}

std::vector<int> LogCluster::Members(int i) {
  const std::vector<std::string> ids = status(i).members;
  std::vector<int> members;
  for (int j = 0; j < size(); ++j) {
    status(j);
    if (std::count(ids.begin(), ids.end(), id(j)) != 0) members.push_back(j);
  }
  return members;
}

}  // namespace quorate::sim
