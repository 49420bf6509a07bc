#include "core/flags/flags.h"

#include <glog/logging.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace quorate::flags {
namespace {

constexpr absl::string_view kFilePrefix = "file://";
constexpr size_t kMaxFileBytes = 1 << 20;

// The edits (insert, remove, replace a letter) from one word to the other.
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);  // From a prefix of a to each of b.
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

absl::StatusOr<std::string> Resolve(const std::string& text,
                                    const Sources& sources) {
  if (!absl::StartsWith(text, kFilePrefix)) return text;
  const std::string path = text.substr(kFilePrefix.size());
  CHECK(sources.read_file != nullptr);
  absl::StatusOr<std::string> content = sources.read_file(path);
  if (!content.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot read ", path, ": ", content.status().message()));
  }
  if (content->size() > kMaxFileBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is larger than ", kMaxFileBytes, " bytes"));
  }
  while (absl::EndsWith(*content, "\n")) content->pop_back();
  return content;
}

// A mistake of the operator, blamed on what they wrote.
absl::Status Blame(absl::string_view origin, const absl::Status& status) {
  return absl::InvalidArgumentError(
      absl::StrCat(origin, ": ", status.message()));
}

}  // namespace

FlagSet::FlagSet(Program program) : program_(std::move(program)) {
  Add(&help_, "help", "Prints this text and exits.");
  Add(&version_, "version", "Prints the version and exits.");
}

Flag* FlagSet::AddFlag(std::string name, std::string help) {
  auto& flag = flags_[name];
  CHECK(flag == nullptr) << "flag " << name << " is added twice";
  flag = std::make_unique<Flag>();
  flag->name = std::move(name);
  flag->help = std::move(help);
  return flag.get();
}

Flag* FlagSet::Find(absl::string_view name) {
  for (const auto& [key, flag] : flags_) {
    if (key == name) return flag.get();
    for (const std::string& alias : flag->aliases) {
      if (alias == name) return flag.get();
    }
  }
  return nullptr;
}

absl::Status FlagSet::UnknownFlag(absl::string_view name) const {
  const std::string* nearest = nullptr;
  size_t best = std::max<size_t>(3, name.size() / 2);
  for (const auto& [key, flag] : flags_) {
    const size_t distance = EditDistance(name, key);
    if (distance < best) {
      best = distance;
      nearest = &key;
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "unknown flag --", name,
      nearest != nullptr
          ? absl::StrCat("; did you mean --", *nearest, "?")
          : absl::StrCat("; ", program_.name, " --help lists the flags")));
}

absl::StatusOr<FlagSet::GivenByName> FlagSet::FromArguments(
    const Sources& sources) {
  GivenByName given;
  for (const std::string& argument : sources.arguments) {
    absl::string_view name = argument;
    if (!absl::ConsumePrefix(&name, "--") || name.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("unexpected argument '", argument,
                       "': flags are written --name=value"));
    }
    std::optional<std::string> text;
    if (const size_t equals = name.find('='); equals != name.npos) {
      text = std::string(name.substr(equals + 1));
      name = name.substr(0, equals);
    }
    Flag* flag = Find(name);
    if (flag == nullptr && absl::ConsumePrefix(&name, "no-")) {
      flag = Find(name);
      if (flag == nullptr) return UnknownFlag(name);
      if (!flag->is_boolean || text) {
        return absl::InvalidArgumentError(absl::StrCat(
            argument, ": --no- is for boolean flags, without a value"));
      }
      text = "false";
    }
    if (flag == nullptr) return UnknownFlag(name);
    if (!text && flag->is_boolean) text = "true";
    const std::string origin = absl::StrCat("--", name);
    if (!text) {
      return absl::InvalidArgumentError(absl::StrCat(
          origin, " needs a value: ", origin, "=", flag->value_name));
    }
    if (flag->name != name) {
      warnings_.push_back(
          absl::StrCat(origin, " is deprecated: use --", flag->name));
    }
    if (!given.try_emplace(flag->name, Given{*text, origin}).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", flag->name, " is given more than once"));
    }
  }
  return given;
}

absl::StatusOr<FlagSet::GivenByName> FlagSet::FromEnvironment(
    const Sources& sources) {
  GivenByName given;
  for (const auto& [name, flag] : flags_) {
    std::vector<std::string> names = {name};
    names.insert(names.end(), flag->aliases.begin(), flag->aliases.end());
    for (const std::string& alias : names) {
      const std::string variable = absl::StrCat(program_.environment_prefix,
                                                absl::AsciiStrToUpper(alias));
      const auto found = sources.environment.find(variable);
      if (found == sources.environment.end()) continue;
      const auto [other, is_first] =
          given.try_emplace(name, Given{found->second, variable});
      if (!is_first) {
        return absl::InvalidArgumentError(
            absl::StrCat(other->second.origin, " and ", variable,
                         " are the same flag: set only one"));
      }
      if (alias != name) {
        warnings_.push_back(absl::StrCat(variable, " is deprecated: use ",
                                         program_.environment_prefix,
                                         absl::AsciiStrToUpper(name)));
      }
    }
  }
  return given;
}

absl::Status FlagSet::Load(const Sources& sources) {
  for (const std::string& argument : sources.arguments) {
    help_ = help_ || argument == "--help";
    version_ = version_ || argument == "--version";
  }
  if (help_ || version_) return absl::OkStatus();

  absl::StatusOr<GivenByName> given = FromArguments(sources);
  if (!given.ok()) return given.status();
  absl::StatusOr<GivenByName> environment = FromEnvironment(sources);
  if (!environment.ok()) return environment.status();
  given->insert(environment->begin(), environment->end());

  for (const auto& [name, source] : *given) {
    const absl::StatusOr<std::string> text = Resolve(source.text, sources);
    if (!text.ok()) return Blame(source.origin, text.status());
    const absl::Status status = Find(name)->parse(*text);
    if (!status.ok()) return Blame(source.origin, status);
  }
  for (const auto& [name, flag] : flags_) {
    const auto source = given->find(name);
    if (flag->required && source == given->end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", name, "=", flag->value_name, " is required"));
    }
    if (flag->check == nullptr) continue;
    const absl::Status status = flag->check();
    if (status.ok()) continue;
    return Blame(source != given->end() ? source->second.origin
                                        : absl::StrCat("--", name),
                 status);
  }
  return absl::OkStatus();
}

std::map<std::string, std::string> FlagSet::Effective() const {
  std::map<std::string, std::string> texts;
  for (const auto& [name, flag] : flags_) {
    std::optional<std::string> text = flag->to_text();
    if (text) texts[name] = *std::move(text);
  }
  return texts;
}

}  // namespace quorate::flags
