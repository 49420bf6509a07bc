#include "prod/options/master_options.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace quorate::options {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

// More masters than this only make the log slower.
constexpr int32_t kMaxQuorum = 16;

absl::Status CheckQuorum(const int32_t& quorum) {
  if (quorum >= 1 && quorum <= kMaxQuorum) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(quorum, " is not between 1 and ", kMaxQuorum,
                   "; it is the majority of the masters: 2 of 3, 3 of 5"));
}

absl::Status CheckPositive(const flags::Duration& duration) {
  if (duration > flags::Duration::zero()) return absl::OkStatus();
  return absl::InvalidArgumentError("must be longer than zero");
}

absl::Status CheckPing(const flags::Duration& duration) {
  if (duration >= seconds(1) && duration <= minutes(15)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      flags::ValueToText(duration), " is not between 1secs and 15mins"));
}

absl::Status CheckReregister(const flags::Duration& duration) {
  if (duration >= minutes(10)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      flags::ValueToText(duration),
      " is shorter than 10mins: agents of a large cluster need that long to "
      "come back after a fail-over"));
}

absl::Status CheckZk(const std::string& url) {
  return election::ParseZooKeeperUrl(url).status();
}

absl::Status CheckLostLeadership(const std::string& what) {
  if (what == "exit" || what == "standby") return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("'", what, "' is neither exit nor standby"));
}

absl::Status CheckRegistry(const std::string& registry) {
  if (registry == "replicated_log") return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "'", registry, "' is not a kind of registry; there is replicated_log"));
}

}  // namespace

flags::Program MasterProgram() {
  return {
      .name = "mesos-master",
      .summary = "the master of a Quorate cluster",
      .synopsis =
          "mesos-master --work_dir=PATH --masters=HOSTS [flags]\n"
          "mesos-master --work_dir=PATH --zk=URL --quorum=NUMBER [flags]\n"
          "mesos-master --work_dir=PATH [flags]",
      .description =
          "Masters elect a leader among them, by themselves (--masters) or "
          "through ZooKeeper (--zk), and keep the cluster's registry in a log "
          "that is replicated between them. The leader offers the agents' "
          "resources to frameworks. Run an odd number of masters, each with "
          "the same --masters or --zk and with a --quorum that is their "
          "majority.\n\n"
          "Without --masters and --zk the master is the only one and leads at "
          "once.\n\n"
          "A leading master that loses leadership exits with code 3, so that "
          "its supervisor starts it again as a standby.",
      .version = master::kVersion,
  };
}

void MasterFlags::AddTo(flags::FlagSet* flags) {
  address.AddTo(flags, 5050);
  logging.AddTo(flags);
  flags
      ->Add(&zk, "zk",
            "ZooKeeper servers and the path of this cluster: "
            "zk://[user:password@]host1:port1,host2:port2/path. Use "
            "file:///path to keep the password off the command line.")
      .ValueName("URL")
      .Check(CheckZk);
  flags
      ->Add(&masters, "masters",
            "All masters of this cluster, with this one, as "
            "host1:port1,host2:port2,host3:port3: they elect a leader among "
            "themselves. With --zk as well the leader is only announced "
            "there.")
      .ValueName("HOSTS")
      .Check([](const std::string& text) {
        return election::ParseMasters(text).status();
      });
  flags
      ->Add(&on_lost_leadership, "on_lost_leadership",
            "What a leader does that may not lead any more: exit, with code "
            "3, to be started again by its supervisor; or standby, in the "
            "same process.")
      .Check(CheckLostLeadership);
  flags
      ->Add(&zk_session_timeout, "zk_session_timeout",
            "How long ZooKeeper keeps the session of a master that it does "
            "not hear.")
      .Check(CheckPositive);
  flags
      ->Add(&quorum, "quorum",
            "Majority of the masters: 1 of 1, 2 of 3, 3 of 5. Required with "
            "--zk; without it that of --masters. A new log is formed by "
            "exactly 2*quorum-1 masters.")
      .Check(CheckQuorum);
  flags
      ->Add(&work_dir, "work_dir",
            "Directory of the replicated log. It must survive restarts and "
            "must never be shared or copied between masters.")
      .ValueName("PATH")
      .Required()
      .Check(CheckAbsolutePath);
  flags->Add(&log_auto_initialize, "log_auto_initialize",
             "Whether masters with empty directories may form a new log.");
  flags->Add(&cluster, "cluster", "Name of the cluster, for people.");
  flags->Add(&registry, "registry", "Where the registry is kept.")
      .Check(CheckRegistry);
  AddTimingTo(flags);
}

void MasterFlags::AddTimingTo(flags::FlagSet* flags) {
  flags
      ->Add(&registry_fetch_timeout, "registry_fetch_timeout",
            "How long an elected master tries to read the registry before it "
            "exits.")
      .Check(CheckPositive);
  flags
      ->Add(&registry_store_timeout, "registry_store_timeout",
            "How long the leader waits for a change of the registry to be "
            "durable on a quorum before it exits.")
      .Check(CheckPositive);
  flags
      ->Add(&agent_ping_timeout, "agent_ping_timeout",
            "How long an agent has to answer a ping.")
      .Alias("slave_ping_timeout")
      .Check(CheckPing);
  flags
      ->Add(&max_agent_ping_timeouts, "max_agent_ping_timeouts",
            "Pings in a row that an agent may miss before it is unreachable.")
      .Alias("max_slave_ping_timeouts")
      .Check([](const uint32_t& count) {
        return count >= 1 ? absl::OkStatus()
                          : absl::InvalidArgumentError("must be at least 1");
      });
  flags
      ->Add(&agent_reregister_timeout, "agent_reregister_timeout",
            "How long agents have to come back after a fail-over, or after "
            "their connection broke, before they are unreachable.")
      .Alias("slave_reregister_timeout")
      .Check(CheckReregister);
  flags
      ->Add(&allocation_interval, "allocation_interval",
            "How often resources are offered anew.")
      .Check(CheckPositive);
  flags
      ->Add(&offer_timeout, "offer_timeout",
            "How long a framework may hold an offer before it is rescinded. "
            "Without it, for ever.")
      .Check(CheckPositive);
  flags->Add(&max_completed_frameworks, "max_completed_frameworks",
             "Ended frameworks to remember.");
  flags->Add(&max_completed_tasks_per_framework,
             "max_completed_tasks_per_framework",
             "Ended tasks to remember for each framework.");
  flags->Add(&root_submissions, "root_submissions",
             "Whether frameworks may run as root.");
}

namespace {

absl::StatusOr<std::vector<io::Endpoint>> MastersOf(const MasterFlags& values,
                                                    const io::Endpoint& me) {
  if (!values.masters) return std::vector<io::Endpoint>();
  auto hosts = election::ParseMasters(*values.masters);
  if (!hosts.ok()) return hosts.status();
  auto masters = ResolveAll(*hosts);
  if (!masters.ok()) return masters.status();
  if (std::count(masters->begin(), masters->end(), me) == 1) return masters;
  return absl::InvalidArgumentError(absl::StrCat(
      "--masters=", *values.masters, " does not name this master once, at ",
      me.ToString(),
      ": name all masters, or tell this one its address with --ip and --port, "
      "or with --advertise_ip and --advertise_port"));
}

absl::StatusOr<int> QuorumOf(const MasterFlags& values, size_t masters) {
  if (masters > 0) {
    if (values.quorum) return *values.quorum;
    if (masters % 2 == 1) return static_cast<int>(masters / 2 + 1);
    return absl::InvalidArgumentError(absl::StrCat(
        "--masters names ", masters,
        ", an even number, which tolerates no more failures than one less: "
        "name an odd number, or say with --quorum how many the majority is to "
        "be"));
  }
  if (values.zk) {
    if (values.quorum) return *values.quorum;
    return absl::InvalidArgumentError(
        "--zk needs --quorum: the majority of the masters, 2 of 3 or 3 of 5");
  }
  if (values.quorum.value_or(1) == 1) return 1;
  return absl::InvalidArgumentError(absl::StrCat(
      "--quorum=", *values.quorum,
      " needs --masters or --zk: without them this master is the only one"));
}

}  // namespace

absl::StatusOr<master::MasterOptions> ToMasterOptions(
    const MasterFlags& values, const flags::FlagSet& flags) {
  auto addresses = ResolveAddresses(values.address);
  if (!addresses.ok()) return addresses.status();
  master::MasterOptions options;
  options.bind = addresses->bind;
  options.advertise = addresses->advertise;
  options.hostname = addresses->hostname;
  options.work_dir = *values.work_dir;
  auto masters = MastersOf(values, options.advertise);
  if (!masters.ok()) return masters.status();
  options.masters = *std::move(masters);
  auto quorum = QuorumOf(values, options.masters.size());
  if (!quorum.ok()) return quorum.status();
  options.quorum = *quorum;
  options.on_lost_leadership = values.on_lost_leadership == "standby"
                                   ? master::LostLeadership::kStandby
                                   : master::LostLeadership::kExit;
  if (values.zk.has_value()) {
    auto zk = election::ParseZooKeeperUrl(*values.zk);
    if (!zk.ok()) return zk.status();
    options.zk = *std::move(zk);
  }
  options.zk_session_timeout = values.zk_session_timeout;
  options.log_auto_initialize = values.log_auto_initialize;
  options.cluster = values.cluster.value_or("");
  options.registry_fetch_timeout = values.registry_fetch_timeout;
  options.registry_store_timeout = values.registry_store_timeout;
  options.agent_ping_timeout = values.agent_ping_timeout;
  options.max_agent_ping_timeouts =
      static_cast<int>(values.max_agent_ping_timeouts);
  options.agent_reregister_timeout = values.agent_reregister_timeout;
  options.allocation_interval = values.allocation_interval;
  options.offer_timeout = values.offer_timeout;
  options.max_completed_frameworks = values.max_completed_frameworks;
  options.max_completed_tasks_per_framework =
      values.max_completed_tasks_per_framework;
  options.root_submissions = values.root_submissions;
  options.flags = flags.Effective();
  if (auto zk = options.flags.find("zk"); zk != options.flags.end()) {
    zk->second = election::WithoutPassword(zk->second);
  }
  return options;
}

}  // namespace quorate::options
