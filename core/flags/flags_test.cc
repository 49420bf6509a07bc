#include "core/flags/flags.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace quorate::flags {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

template <typename T>
std::string Reparsed(absl::string_view text) {
  T value{};
  const absl::Status status = ParseValue(text, &value);
  return status.ok() ? ValueToText(value) : std::string(status.message());
}

TEST(FlagValuesTest, Durations) {
  for (const char* text : {"0ns", "1ns", "90us", "10ms", "15secs", "90secs",
                           "10mins", "6hrs", "1days", "2weeks", "36hrs"}) {
    EXPECT_EQ(Reparsed<Duration>(text), text);
  }
  EXPECT_EQ(Reparsed<Duration>("60secs"), "1mins");
  EXPECT_EQ(Reparsed<Duration>("1.5hrs"), "90mins");
  EXPECT_EQ(Reparsed<Duration>("0.5ms"), "500us");
  EXPECT_EQ(Reparsed<Duration>("0weeks"), "0ns");
  EXPECT_EQ(ValueToText(-seconds(5)), "-5secs");
  for (const char* bad : {"", "10", "secs", "10 secs", "-1secs", "1.2.3secs",
                          "1s", "1secs ", ".secs", "99999999999999weeks"}) {
    EXPECT_EQ(Reparsed<Duration>(bad).substr(0, 26),
              "expected a duration like 5")
        << bad;
  }
}

TEST(FlagValuesTest, Bytes) {
  for (const char* text : {"0B", "1B", "1KB", "1500B", "2GB", "1TB"}) {
    EXPECT_EQ(Reparsed<Bytes>(text), text);
  }
  EXPECT_EQ(Reparsed<Bytes>("4096B"), "4KB");
  EXPECT_EQ(Reparsed<Bytes>("1024GB"), "1TB");
  for (const char* bad : {"", "1", "1.5GB", "-1B", "1PB", "99999999999TB"}) {
    EXPECT_EQ(Reparsed<Bytes>(bad).substr(0, 20), "expected a size like")
        << bad;
  }
}

TEST(FlagValuesTest, NumbersAndBooleans) {
  EXPECT_EQ(Reparsed<uint16_t>("65535"), "65535");
  EXPECT_EQ(Reparsed<uint16_t>("65536"),
            "expected a whole number from 0 to 65535, not '65536'");
  EXPECT_EQ(Reparsed<int32_t>("-7"), "-7");
  EXPECT_NE(Reparsed<uint64_t>("-7"), "-7");
  EXPECT_NE(Reparsed<int64_t>("7x"), "7");
  EXPECT_EQ(Reparsed<double>("0.80"), "0.8");
  EXPECT_EQ(Reparsed<double>("100000"), "100000");
  EXPECT_EQ(Reparsed<double>("inf"), "expected a number, not 'inf'");
  EXPECT_EQ(Reparsed<bool>("1"), "true");
  EXPECT_EQ(Reparsed<bool>("yes"), "expected true or false, not 'yes'");
}

// A small program, and what its operator gives it.
struct Fixture {
  uint16_t port = 5050;
  bool quiet = false;
  bool hostname_lookup = true;
  std::optional<std::string> zk;
  std::string work_dir;
  Duration ping_timeout = seconds(15);
  std::optional<uint64_t> quorum;

  FlagSet flags{
      {.name = "mesos-test",
       .summary = "a program for tests",
       .synopsis = "mesos-test --work_dir=PATH [flags]\nmesos-test --help",
       .description = "First paragraph.\n\nSecond paragraph.",
       .version = "1.2.3"}};

  Fixture() {
    flags.Add(&port, "port", "Port to listen on.");
    flags.Add(&quiet, "quiet", "Logs nothing.");
    flags.Add(&hostname_lookup, "hostname_lookup", "Asks the resolver.");
    flags.Add(&zk, "zk", "ZooKeeper.").ValueName("URL");
    flags.Add(&work_dir, "work_dir", "Where state is kept.")
        .ValueName("PATH")
        .Required();
    flags.Add(&ping_timeout, "agent_ping_timeout", "Patience with agents.")
        .Alias("slave_ping_timeout")
        .Check([](const Duration& timeout) {
          return timeout >= seconds(1) && timeout <= minutes(15)
                     ? absl::OkStatus()
                     : absl::InvalidArgumentError("must be 1secs to 15mins");
        });
    flags.Add(&quorum, "quorum", "Size of a quorum.")
        .Check([](const uint64_t& size) {
          return size > 0 ? absl::OkStatus()
                          : absl::InvalidArgumentError("must be at least 1");
        });
  }

  // "ok" or the error.
  std::string Load(std::vector<std::string> arguments,
                   std::map<std::string, std::string> environment = {},
                   std::map<std::string, std::string> files = {}) {
    const absl::Status status = flags.Load(
        {.arguments = std::move(arguments),
         .environment = std::move(environment),
         .read_file =
             [&](const std::string& path) -> absl::StatusOr<std::string> {
           if (files.count(path) > 0) return files[path];
           return absl::NotFoundError("no such file");
         }});
    return status.ok() ? "ok" : std::string(status.message());
  }
};

std::string LoadError(std::vector<std::string> arguments) {
  arguments.push_back("--work_dir=/w");
  return Fixture().Load(std::move(arguments));
}

TEST(FlagsTest, CommandLineForms) {
  Fixture f;
  EXPECT_EQ(f.Load({"--port=7050", "--quiet", "--no-hostname_lookup",
                    "--zk=zk://a:1/b=c",
                    "--work_dir=", "--agent_ping_timeout=2secs"}),
            "ok");
  EXPECT_EQ(f.port, 7050);
  EXPECT_TRUE(f.quiet);
  EXPECT_FALSE(f.hostname_lookup);
  EXPECT_EQ(f.zk, "zk://a:1/b=c");
  EXPECT_EQ(f.work_dir, "");
  EXPECT_EQ(f.ping_timeout, seconds(2));
  EXPECT_FALSE(f.quorum.has_value());
}

TEST(FlagsTest, CommandLineBeatsEnvironmentBeatsDefault) {
  Fixture f;
  EXPECT_EQ(f.Load({"--port=1"}, {{"MESOS_PORT", "2"},
                                  {"MESOS_QUIET", "true"},
                                  {"MESOS_WORK_DIR", "/env"},
                                  {"MESOS_NATIVE_LIBRARY", "ignored"},
                                  {"PATH", "/bin"}}),
            "ok");
  EXPECT_EQ(f.port, 1);
  EXPECT_TRUE(f.quiet);
  EXPECT_EQ(f.work_dir, "/env");
  EXPECT_EQ(f.ping_timeout, seconds(15));
}

TEST(FlagsTest, FilesStandForTheirContent) {
  Fixture f;
  EXPECT_EQ(
      f.Load({"--work_dir=file:///etc/work", "--zk=file:///etc/zk"}, {},
             {{"/etc/work", "/var/lib/mesos\n"}, {"/etc/zk", "a\nb\n\n"}}),
      "ok");
  EXPECT_EQ(f.work_dir, "/var/lib/mesos");
  EXPECT_EQ(f.zk, "a\nb");
  EXPECT_EQ(LoadError({"--zk=file:///none"}),
            "--zk: cannot read /none: no such file");
  Fixture large;
  EXPECT_EQ(large.Load({"--work_dir=file:///l"}, {},
                       {{"/l", std::string(2 << 20, 'x')}}),
            "--work_dir: /l is larger than 1048576 bytes");
}

TEST(FlagsTest, RefusesWhatItCannotUnderstand) {
  EXPECT_EQ(LoadError({"--prot=1"}),
            "unknown flag --prot; did you mean --port?");
  EXPECT_EQ(LoadError({"--no-quite"}),
            "unknown flag --quite; did you mean --quiet?");
  EXPECT_EQ(LoadError({"--xyzzy-plugh"}),
            "unknown flag --xyzzy-plugh; mesos-test --help lists the flags");
  EXPECT_EQ(LoadError({"--zk", "zk://a"}), "--zk needs a value: --zk=URL");
  EXPECT_EQ(LoadError({"zk://a"}),
            "unexpected argument 'zk://a': flags are written --name=value");
  EXPECT_EQ(LoadError({"-p"}),
            "unexpected argument '-p': flags are written --name=value");
  EXPECT_EQ(LoadError({"--port=1", "--port=1"}),
            "--port is given more than once");
  EXPECT_EQ(LoadError({"--quiet", "--no-quiet"}),
            "--quiet is given more than once");
  EXPECT_EQ(LoadError({"--no-zk"}),
            "--no-zk: --no- is for boolean flags, without a value");
  EXPECT_EQ(LoadError({"--no-quiet=true"}),
            "--no-quiet=true: --no- is for boolean flags, without a value");
  EXPECT_EQ(LoadError({"--quiet=maybe"}),
            "--quiet: expected true or false, not 'maybe'");
  EXPECT_EQ(LoadError({"--port=x"}),
            "--port: expected a whole number from 0 to 65535, not 'x'");
}

TEST(FlagsTest, RequiredAndChecked) {
  EXPECT_EQ(Fixture().Load({}), "--work_dir=PATH is required");
  EXPECT_EQ(LoadError({"--agent_ping_timeout=1hrs"}),
            "--agent_ping_timeout: must be 1secs to 15mins");
  EXPECT_EQ(LoadError({"--quorum=0"}), "--quorum: must be at least 1");
  EXPECT_EQ(Fixture().Load({"--work_dir=/w"}, {{"MESOS_QUORUM", "0"}}),
            "MESOS_QUORUM: must be at least 1");
}

TEST(FlagsTest, AliasesWarn) {
  Fixture f;
  EXPECT_EQ(f.Load({"--work_dir=/w", "--slave_ping_timeout=3secs"}), "ok");
  EXPECT_EQ(f.ping_timeout, seconds(3));
  ASSERT_EQ(f.flags.warnings().size(), 1);
  EXPECT_EQ(f.flags.warnings()[0],
            "--slave_ping_timeout is deprecated: use --agent_ping_timeout");

  EXPECT_EQ(
      LoadError({"--slave_ping_timeout=3secs", "--agent_ping_timeout=3secs"}),
      "--agent_ping_timeout is given more than once");
  EXPECT_EQ(Fixture().Load({"--work_dir=/w"},
                           {{"MESOS_SLAVE_PING_TIMEOUT", "3secs"},
                            {"MESOS_AGENT_PING_TIMEOUT", "4secs"}}),
            "MESOS_AGENT_PING_TIMEOUT and MESOS_SLAVE_PING_TIMEOUT are the "
            "same flag: set only one");
}

TEST(FlagsTest, EffectiveValuesAsText) {
  Fixture f;
  EXPECT_EQ(f.Load({"--work_dir=/w", "--quorum=2"}), "ok");
  const std::map<std::string, std::string> expected = {
      {"agent_ping_timeout", "15secs"},
      {"help", "false"},
      {"hostname_lookup", "true"},
      {"port", "5050"},
      {"quiet", "false"},
      {"quorum", "2"},
      {"version", "false"},
      {"work_dir", "/w"}};
  EXPECT_EQ(f.flags.Effective(), expected);
}

TEST(FlagsTest, HelpAndVersionComeFirst) {
  Fixture f;
  EXPECT_EQ(f.Load({"--bogus", "--help"}), "ok");
  EXPECT_TRUE(f.flags.help_requested());
  Fixture g;
  EXPECT_EQ(g.Load({"--version"}), "ok");
  EXPECT_TRUE(g.flags.version_requested());
  EXPECT_EQ(g.flags.VersionText(), "mesos-test 1.2.3\n");
}

TEST(FlagsTest, HelpReadsLikeAManual) {
  Fixture f;
  bool unused = false;
  f.flags.Add(&unused, "verbose",
              "Says a great deal about each and every little thing that "
              "happens, so much that the line has to be wrapped, and more.");
  const std::string help = f.flags.HelpText();
  EXPECT_EQ(help.substr(0, help.find("\n    --[no-]hostname")),
            "NAME\n"
            "    mesos-test - a program for tests\n"
            "\n"
            "SYNOPSIS\n"
            "    mesos-test --work_dir=PATH [flags]\n"
            "    mesos-test --help\n"
            "\n"
            "DESCRIPTION\n"
            "    First paragraph.\n"
            "\n"
            "    Second paragraph.\n"
            "\n"
            "FLAGS\n"
            "    --agent_ping_timeout=DURATION\n"
            "        Patience with agents. Default: 15secs.\n"
            "\n"
            "    --help\n"
            "        Prints this text and exits.\n");
  EXPECT_NE(help.find("    --[no-]quiet\n"
                      "        Logs nothing. Default: false.\n"),
            std::string::npos);
  EXPECT_NE(help.find("    --work_dir=PATH\n"
                      "        Where state is kept. Required.\n"),
            std::string::npos);
  EXPECT_NE(help.find("    --zk=URL\n        ZooKeeper.\n"), std::string::npos);
  for (absl::string_view line : absl::StrSplit(help, '\n')) {
    EXPECT_LE(line.size(), 80) << line;
  }
}

}  // namespace
}  // namespace quorate::flags
