// Flags: the configuration of a program, from its command line, its
// environment and files.
//
//   struct MasterFlags {
//     uint16_t port = 5050;
//     std::optional<std::string> zk;
//     std::string work_dir;
//   } values;
//   flags::FlagSet flags({.program = "mesos-master", ...});
//   flags.Add(&values.port, "port", "Port to listen on.");
//   flags.Add(&values.zk, "zk", "ZooKeeper: zk://host:port,.../path.");
//   flags.Add(&values.work_dir, "work_dir", "Where to keep state.").Required();
//   absl::Status status = flags.Load(sources);
//
// On the command line a flag is --name=value; a boolean also --name and
// --no-name. In the environment it is MESOS_NAME=value. A value file:///path
// stands for the content of that file, without trailing newlines. The command
// line counts before the environment, and that before the default, which is
// what the variable holds when it is added.

#ifndef QUORATE_CORE_FLAGS_FLAGS_H_
#define QUORATE_CORE_FLAGS_FLAGS_H_

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/flags/values.h"

namespace quorate::flags {

// What a program is, for --help and --version.
struct Program {
  std::string name;     // "mesos-master"
  std::string summary;  // One line, without a full stop.
  // A line for each way to call it: "mesos-master --work_dir=PATH [flags]".
  std::string synopsis;
  // Paragraphs, separated by empty lines.
  std::string description;
  std::string version;
  // Of the environment variables.
  std::string environment_prefix = "MESOS_";
};

// Where values come from. Nothing else is read.
struct Sources {
  // Without the program's name.
  std::vector<std::string> arguments;
  std::map<std::string, std::string> environment;
  // The content of a file; only called for values that begin with file://.
  std::function<absl::StatusOr<std::string>(const std::string& path)> read_file;
};

// One flag, without its type.
struct Flag {
  std::string name;
  std::string help;
  std::vector<std::string> aliases;
  // "PATH" in "--work_dir=PATH".
  std::string value_name;
  // "15secs"; absent for a flag without a default.
  std::optional<std::string> default_text;
  bool is_boolean = false;
  bool required = false;

  std::function<absl::Status(absl::string_view text)> parse;
  // Absent while the flag has no value.
  std::function<std::optional<std::string>()> to_text;
  std::function<absl::Status()> check;
};

class FlagSet {
 public:
  // The flag just added, for what only some flags need.
  template <typename T>
  class Added {
   public:
    Added(Flag* flag, std::function<const T*()> get)
        : flag_(flag), get_(std::move(get)) {}

    // Load fails unless a source gives the flag.
    Added& Required() {
      flag_->required = true;
      flag_->default_text.reset();
      return *this;
    }
    // A further name, out of favour: its use leads to a warning.
    Added& Alias(std::string name) {
      flag_->aliases.push_back(std::move(name));
      return *this;
    }
    // What --help shows for the value in place of the type's name.
    Added& ValueName(std::string name) {
      flag_->value_name = std::move(name);
      return *this;
    }
    // Load fails with the message of `check`, prefixed with the flag's name.
    // Not asked while the flag has no value.
    Added& Check(std::function<absl::Status(const T&)> check) {
      flag_->check = [get = get_, check = std::move(check)] {
        const T* value = get();
        return value == nullptr ? absl::OkStatus() : check(*value);
      };
      return *this;
    }

   private:
    Flag* flag_;
    std::function<const T*()> get_;
  };

  explicit FlagSet(Program program);

  FlagSet(const FlagSet&) = delete;
  FlagSet& operator=(const FlagSet&) = delete;

  // Adds a flag whose value is kept in `value`, which must outlive this. The
  // types are those of values.h. `help` is prose, without the default.
  template <typename T>
  Added<T> Add(T* value, std::string name, std::string help) {
    Flag* flag = NewFlag(std::move(name), std::move(help), *value);
    flag->default_text = ValueToText(*value);
    flag->parse = [value](absl::string_view text) {
      return ParseValue(text, value);
    };
    flag->to_text = [value] { return ValueToText(*value); };
    return Added<T>(flag, [value] { return value; });
  }

  // A flag without a default.
  template <typename T>
  Added<T> Add(std::optional<T>* value, std::string name, std::string help) {
    Flag* flag = NewFlag(std::move(name), std::move(help), T());
    flag->parse = [value](absl::string_view text) {
      T parsed{};
      absl::Status status = ParseValue(text, &parsed);
      if (status.ok()) *value = std::move(parsed);
      return status;
    };
    flag->to_text = [value]() -> std::optional<std::string> {
      if (!value->has_value()) return std::nullopt;
      return ValueToText(**value);
    };
    return Added<T>(
        flag, [value] { return value->has_value() ? &**value : nullptr; });
  }

  // Sets the variables; call it once. InvalidArgument, with a message for the
  // operator, for an unknown flag, one given twice or without a value, a value
  // that does not parse or fails its check, a required flag that is missing.
  // Unknown environment variables are ignored. With --help or --version
  // nothing else is looked at.
  absl::Status Load(const Sources& sources);

  // After Load.
  bool help_requested() const { return help_; }
  bool version_requested() const { return version_; }
  // For the log: names that are out of favour.
  const std::vector<std::string>& warnings() const { return warnings_; }

  // The manual, 80 columns wide.
  std::string HelpText() const;
  // "mesos-master 1.12.0\n".
  std::string VersionText() const;

  // Name to text of all flags that have a value, as /flags shows them.
  std::map<std::string, std::string> Effective() const;

 private:
  // The name of the type for --help comes from an example value.
  static std::string TypeName(const std::string&) { return "TEXT"; }
  static std::string TypeName(bool) { return ""; }
  static std::string TypeName(Duration) { return "DURATION"; }
  static std::string TypeName(Bytes) { return "SIZE"; }
  template <typename Number>
  static std::string TypeName(Number) {
    return "NUMBER";
  }

  template <typename T>
  Flag* NewFlag(std::string name, std::string help, const T& example) {
    Flag* flag = AddFlag(std::move(name), std::move(help));
    flag->value_name = TypeName(example);
    flag->is_boolean = std::is_same_v<T, bool>;
    return flag;
  }

  // A flag and the text it was given.
  struct Given {
    std::string text;
    std::string origin;  // "--zk", "MESOS_ZK"
  };
  using GivenByName = std::map<std::string, Given>;

  Flag* AddFlag(std::string name, std::string help);
  Flag* Find(absl::string_view name);
  absl::StatusOr<GivenByName> FromArguments(const Sources& sources);
  absl::StatusOr<GivenByName> FromEnvironment(const Sources& sources);
  absl::Status UnknownFlag(absl::string_view name) const;

  Program program_;
  std::map<std::string, std::unique_ptr<Flag>> flags_;
  bool help_ = false;
  bool version_ = false;
  std::vector<std::string> warnings_;
};

}  // namespace quorate::flags

#endif  // QUORATE_CORE_FLAGS_FLAGS_H_
