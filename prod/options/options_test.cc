#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "prod/options/agent_options.h"
#include "prod/options/master_options.h"

namespace quorate::options {
namespace {

absl::StatusOr<master::MasterOptions> Master(
    std::vector<std::string> arguments,
    std::map<std::string, std::string> environment = {}) {
  MasterFlags values;
  flags::FlagSet flags(MasterProgram());
  values.AddTo(&flags);
  absl::Status loaded = flags.Load({.arguments = std::move(arguments),
                                    .environment = std::move(environment)});
  if (!loaded.ok()) return loaded;
  return ToMasterOptions(values, flags);
}

TEST(MasterOptions, FromTheCommandLineAndTheEnvironment) {
  auto options =
      Master({"--ip=127.0.0.1", "--port=6050", "--work_dir=/var/lib/mesos",
              "--zk=zk://u:p@127.0.0.1:2181/mesos", "--hostname=m1"},
             {{"MESOS_QUORUM", "2"}, {"MESOS_PORT", "1"}});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->bind.ToString(), "127.0.0.1:6050");
  EXPECT_EQ(options->advertise.ToString(), "127.0.0.1:6050");
  EXPECT_EQ(options->hostname, "m1");
  EXPECT_EQ(options->quorum, 2);
  EXPECT_EQ(options->zk->path, "/mesos");
  EXPECT_EQ(options->zk->credentials, "u:p");
  EXPECT_EQ(options->flags.at("zk_session_timeout"), "10secs");
}

TEST(MasterOptions, AdvertisesWhatItIsTold) {
  auto options =
      Master({"--ip=10.0.0.1", "--advertise_ip=192.168.0.1",
              "--advertise_port=80", "--hostname=m1", "--work_dir=/w"});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->bind.ToString(), "10.0.0.1:5050");
  EXPECT_EQ(options->advertise.ToString(), "192.168.0.1:80");
}

// Each with a part of the message that tells the operator what is wrong.
TEST(MasterOptions, RefusesWhatCannotBeMeant) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{}, "work_dir"},
      {{"--work_dir=relative"}, "absolute path"},
      {{"--work_dir=/w", "--zk=zk://h:2181/mesos"}, "--quorum"},
      {{"--work_dir=/w", "--quorum=2"}, "--zk"},
      {{"--work_dir=/w", "--quorum=0"}, "majority"},
      {{"--work_dir=/w", "--zk=http://h:2181/mesos", "--quorum=2"}, "zk://"},
      {{"--work_dir=/w", "--zk=zk://h:2181", "--quorum=2"}, "no path"},
      {{"--work_dir=/w", "--ip=here"}, "IPv4"},
      {{"--work_dir=/w", "--agent_reregister_timeout=1mins"}, "10mins"},
      {{"--work_dir=/w", "--agent_ping_timeout=1hrs"}, "15mins"},
      {{"--work_dir=/w", "--port=70000"}, "port"},
      {{"--work_dir=/w", "--quorun=2"}, "quorum"},
      {{"--work_dir=/w", "--work_dir=/x"}, "work_dir"},
  };
  for (const auto& [arguments, part] : cases) {
    auto options = Master(arguments);
    ASSERT_FALSE(options.ok()) << arguments.back();
    EXPECT_NE(options.status().message().find(part), std::string::npos)
        << options.status();
  }
}

TEST(AgentOptions, DetectsWhatIsNotGiven) {
  const Machine machine{
      .cpus = 8, .memory = uint64_t{4} << 30, .disk = uint64_t{8} << 30};
  EXPECT_EQ(*CompleteResources("", machine),
            "cpus:8;mem:3072;disk:4096;ports:[31000-32000]");
  EXPECT_EQ(*CompleteResources("mem:100;cpus(eng):1", machine),
            "mem:100;cpus(eng):1;disk:4096;ports:[31000-32000]");
  EXPECT_FALSE(CompleteResources("cpus:many", machine).ok());
}

TEST(AgentOptions, FromTheCommandLine) {
  AgentFlags values;
  flags::FlagSet flags(AgentProgram());
  values.AddTo(&flags);
  ASSERT_TRUE(
      flags
          .Load({.arguments = {"--master=127.0.0.1:5050", "--work_dir=/w",
                               "--ip=127.0.0.1", "--attributes=rack:a",
                               "--recover=cleanup"}})
          .ok());
  auto options = ToAgentOptions(
      values, flags, {.cpus = 1, .program_directory = "/usr/libexec"});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->master.masters,
            (std::vector<io::Endpoint>{{"127.0.0.1", 5050}}));
  EXPECT_EQ(options->launcher_dir, "/usr/libexec");
  EXPECT_FALSE(options->reconnect);
}

}  // namespace
}  // namespace quorate::options
