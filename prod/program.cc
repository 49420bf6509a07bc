#include "prod/program.h"

#include <glog/logging.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "absl/strings/str_cat.h"
#include "io/environment.h"

extern char** environ;

namespace quorate::prod {
namespace {

// More than any flag's value needs.
constexpr size_t kMaxFlagFileBytes = 1 << 20;

absl::StatusOr<std::string> ReadFlagFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return absl::NotFoundError(absl::StrCat("cannot read ", path));
  std::string content((std::istreambuf_iterator<char>(in)), {});
  if (content.size() > kMaxFlagFileBytes) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is too large"));
  }
  return content;
}

// The last component of argv[0].
std::string NameOf(const char* path) {
  return std::filesystem::path(path).filename().string();
}

}  // namespace

std::map<std::string, std::string> EnvironmentVariables() {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string::npos) {
      variables[text.substr(0, equals)] = text.substr(equals + 1);
    }
  }
  return variables;
}

void FailUsage(const std::string& program, absl::string_view message) {
  std::fprintf(stderr, "%s: %s\nTry '%s --help'.\n", program.c_str(),
               std::string(message).c_str(), program.c_str());
  std::exit(io::kExitFailure);
}

void LoadFlags(int argc, char** argv, flags::FlagSet* flags) {
  const std::string program = NameOf(argv[0]);
  absl::Status status =
      flags->Load({.arguments = std::vector<std::string>(argv + 1, argv + argc),
                   .environment = EnvironmentVariables(),
                   .read_file = ReadFlagFile});
  if (!status.ok()) FailUsage(program, status.message());
  if (flags->help_requested() || flags->version_requested()) {
    std::fputs(
        (flags->help_requested() ? flags->HelpText() : flags->VersionText())
            .c_str(),
        stdout);
    std::exit(io::kExitOk);
  }
  for (const std::string& warning : flags->warnings()) {
    std::fprintf(stderr, "%s: %s\n", program.c_str(), warning.c_str());
  }
}

std::string InitLogging(const std::string& program,
                        const options::LoggingFlags& flags) {
  FLAGS_minloglevel = flags.logging_level == "ERROR"     ? google::ERROR
                      : flags.logging_level == "WARNING" ? google::WARNING
                                                         : google::INFO;
  FLAGS_logtostderr = !flags.log_dir.has_value() && !flags.quiet;
  FLAGS_alsologtostderr = flags.log_dir.has_value() && !flags.quiet;
  FLAGS_stderrthreshold = flags.quiet ? google::FATAL : google::INFO;
  FLAGS_logbufsecs = 0;
  std::string file;
  if (flags.log_dir.has_value()) {
    std::error_code error;
    std::filesystem::create_directories(*flags.log_dir, error);
    if (error) {
      FailUsage(program, absl::StrCat("cannot create --log_dir=",
                                      *flags.log_dir, ": ", error.message()));
    }
    FLAGS_log_dir = *flags.log_dir;
    // The link that glog keeps at the newest file.
    file = absl::StrCat(*flags.log_dir, "/", program, ".INFO");
  }
  // glog keeps the pointer.
  static std::string& name = *new std::string(program);
  google::InitGoogleLogging(name.c_str());
  if (!flags.log_dir.has_value()) {
    for (auto severity : {google::INFO, google::WARNING, google::ERROR}) {
      google::SetLogDestination(severity, "");
    }
  }
  return file;
}

}  // namespace quorate::prod
