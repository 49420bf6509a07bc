#include "prod/options/agent_options.h"

#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/api/mesos.pb.h"
#include "core/election/master_url.h"
#include "core/resources/attributes.h"
#include "core/resources/resources.h"

namespace quorate::options {
namespace {

using std::chrono::seconds;

constexpr uint64_t kMebibyte = 1 << 20;
constexpr uint64_t kGibibyte = 1 << 30;

absl::Status CheckMaster(const std::string& url) {
  return election::ParseMasterUrl(url).status();
}

absl::Status CheckRecover(const std::string& recover) {
  if (recover == "reconnect" || recover == "cleanup") return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("'", recover, "' is neither reconnect nor cleanup"));
}

absl::Status CheckResources(const std::string& text) {
  return Resources::ParseText(text).status();
}

absl::Status CheckAttributes(const std::string& text) {
  Attributes attributes;
  return ParseAttributes(text, &attributes);
}

absl::Status CheckReregistration(const flags::Duration& timeout) {
  if (timeout > flags::Duration::zero() && timeout <= seconds(15)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      flags::ValueToText(timeout), " is not between 0 and 15secs"));
}

// All but `reserve`, or half of what is little.
uint64_t LessReserve(uint64_t amount, uint64_t reserve) {
  return amount >= 2 * reserve ? amount - reserve : amount / 2;
}

void AddExecutorFlags(AgentFlags* values, flags::FlagSet* flags) {
  flags->Add(&values->executor_registration_timeout,
             "executor_registration_timeout",
             "How long an executor may take to register before it is killed.");
  flags
      ->Add(&values->executor_reregistration_timeout,
            "executor_reregistration_timeout",
            "How long executors have to come back after the agent restarted.")
      .Check(CheckReregistration);
  flags->Add(&values->executor_shutdown_grace_period,
             "executor_shutdown_grace_period",
             "How long an executor that is told to shut down may take.");
  flags->Add(&values->recovery_timeout, "recovery_timeout",
             "How long executors wait for their agent to come back before "
             "they give up.");
  flags
      ->Add(&values->recover, "recover",
            "What a restarted agent does with the executors of its previous "
            "life: reconnect to them, or cleanup: kill them and exit.")
      .Check(CheckRecover);
  flags->Add(&values->strict, "strict",
             "Whether damaged checkpoints keep the agent from starting; "
             "otherwise what is damaged is given up.");
  flags->Add(&values->switch_user, "switch_user",
             "Whether tasks run as the user that their framework names.");
}

}  // namespace

flags::Program AgentProgram() {
  return {
      .name = "mesos-agent",
      .summary = "the agent of a Quorate cluster",
      .synopsis = "mesos-agent --master=URL --work_dir=PATH [flags]",
      .description =
          "The agent offers this machine's resources to the leading master "
          "and runs what frameworks launch on them. It keeps what it must "
          "not forget below --work_dir: restarted with the same directory it "
          "finds its tasks again and keeps them running.\n\n"
          "SIGUSR1 ends the agent and its tasks; SIGTERM ends only the "
          "agent.",
      .version = "1.12.0",
  };
}

void AgentFlags::AddTo(flags::FlagSet* flags) {
  address.AddTo(flags, 5051);
  logging.AddTo(flags);
  flags
      ->Add(&master, "master",
            "Where the masters are: host1:port1,host2:port2,host3:port3; "
            "host:port of the only one; or zk://host1:port1,host2:port2/path.")
      .ValueName("URL")
      .Required()
      .Check(CheckMaster);
  flags->Add(&zk_session_timeout, "zk_session_timeout",
             "After how long without ZooKeeper the leader counts as unknown.");
  flags
      ->Add(&work_dir, "work_dir",
            "Directory of sandboxes and checkpoints. It must survive restarts.")
      .ValueName("PATH")
      .Required()
      .Check(CheckAbsolutePath);
  flags
      ->Add(&runtime_dir, "runtime_dir",
            "Directory of what need not survive a reboot.")
      .ValueName("PATH")
      .Check(CheckAbsolutePath);
  flags
      ->Add(&launcher_dir, "launcher_dir",
            "Directory of mesos-executor. Without it, that of this program.")
      .ValueName("PATH")
      .Check(CheckAbsolutePath);
  flags
      ->Add(&resources, "resources",
            "What the agent offers, as cpus:4;mem:8192;disk:10000;"
            "ports:[31000-32000] or a JSON array. Sizes in MB. Kinds that are "
            "not named are detected.")
      .Check(CheckResources);
  flags
      ->Add(&attributes, "attributes",
            "What frameworks may choose agents by, as rack:abc;level:10.")
      .Check(CheckAttributes);
  flags->Add(&default_role, "default_role",
             "Role of --resources that name none.");
  flags->Add(&registration_backoff_factor, "registration_backoff_factor",
             "Registration is first tried after a random time up to this, "
             "then at doubling distances up to a minute.");
  AddExecutorFlags(this, flags);
}

absl::StatusOr<Machine> InspectMachine(const std::string& work_dir) {
  std::error_code error;
  std::filesystem::create_directories(work_dir, error);
  if (error) {
    return absl::PermissionDeniedError(absl::StrCat(
        "cannot create --work_dir=", work_dir, ": ", error.message()));
  }
  Machine machine;
  machine.cpus = static_cast<uint32_t>(sysconf(_SC_NPROCESSORS_ONLN));
  struct sysinfo info;
  struct statvfs file_system;
  if (sysinfo(&info) != 0 || statvfs(work_dir.c_str(), &file_system) != 0) {
    return absl::InternalError(
        absl::StrCat("cannot find this machine's size: ", strerror(errno)));
  }
  machine.memory = static_cast<uint64_t>(info.totalram) * info.mem_unit;
  machine.disk =
      static_cast<uint64_t>(file_system.f_blocks) * file_system.f_frsize;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> machine.boot_id;
  machine.program_directory =
      std::filesystem::read_symlink("/proc/self/exe", error)
          .parent_path()
          .string();
  if (machine.boot_id.empty() || error) {
    return absl::InternalError("/proc is not mounted, or not readable");
  }
  return machine;
}

absl::StatusOr<std::string> CompleteResources(const std::string& text,
                                              const Machine& machine) {
  auto given = Resources::ParseText(text);
  if (!given.ok()) return given.status();
  std::string complete = text;
  // The text form of JSON input would lose what it cannot express: a JSON
  // array has to be complete by itself.
  if (absl::StartsWith(absl::StripLeadingAsciiWhitespace(text), "[")) {
    return complete;
  }
  const auto add = [&](absl::string_view name, absl::string_view value) {
    for (absl::string_view part : absl::StrSplit(text, ';')) {
      part = absl::StripLeadingAsciiWhitespace(part);
      if (absl::ConsumePrefix(&part, name) &&
          (absl::StartsWith(part, ":") || absl::StartsWith(part, "("))) {
        return;
      }
    }
    absl::StrAppend(&complete, complete.empty() ? "" : ";", name, ":", value);
  };
  const uint64_t memory = LessReserve(machine.memory, kGibibyte);
  const uint64_t disk = LessReserve(machine.disk, 5 * kGibibyte);
  add("cpus", absl::StrCat(machine.cpus));
  add("mem", absl::StrCat(memory / kMebibyte));
  add("disk", absl::StrCat(disk / kMebibyte));
  add("ports", "[31000-32000]");
  return complete;
}

absl::StatusOr<agent::AgentOptions> ToAgentOptions(const AgentFlags& values,
                                                   const flags::FlagSet& flags,
                                                   const Machine& machine) {
  auto addresses = ResolveAddresses(values.address);
  if (!addresses.ok()) return addresses.status();
  auto master = ResolveMasters(values.master, values.zk_session_timeout);
  if (!master.ok()) return master.status();
  auto resources = CompleteResources(values.resources.value_or(""), machine);
  if (!resources.ok()) return resources.status();

  agent::AgentOptions options;
  options.bind = addresses->bind;
  options.advertise = addresses->advertise;
  options.hostname = addresses->hostname;
  options.master = *std::move(master);
  options.work_dir = values.work_dir;
  options.runtime_dir = values.runtime_dir;
  options.launcher_dir =
      values.launcher_dir.value_or(machine.program_directory);
  options.resources = *std::move(resources);
  options.attributes = values.attributes.value_or("");
  options.default_role = values.default_role;
  options.registration_backoff_factor = values.registration_backoff_factor;
  options.executor_registration_timeout = values.executor_registration_timeout;
  options.executor_reregistration_timeout =
      values.executor_reregistration_timeout;
  options.executor_shutdown_grace_period =
      values.executor_shutdown_grace_period;
  options.recovery_timeout = values.recovery_timeout;
  options.strict = values.strict;
  options.reconnect = values.recover == "reconnect";
  options.switch_user = values.switch_user;
  options.boot_id = machine.boot_id;
  options.flags = flags.Effective();
  std::string& shown = options.flags["master"];
  shown = election::WithoutPassword(shown);
  return options;
}

}  // namespace quorate::options
