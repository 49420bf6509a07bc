// What every program does before and around its role: flags, logging, signals.

#ifndef QUORATE_PROD_PROGRAM_H_
#define QUORATE_PROD_PROGRAM_H_

#include <map>
#include <optional>
#include <string>

#include "core/flags/flags.h"
#include "prod/options/common.h"

namespace quorate::prod {

// Loads the flags from the command line, the environment and files. Shows
// --help and --version and ends with 0; ends with 1 and a message that says
// what to do for flags that cannot be used.
void LoadFlags(int argc, char** argv, flags::FlagSet* flags);

// Ends the process with 1 and "<program>: <message>" on standard error.
[[noreturn]] void FailUsage(const std::string& program,
                            absl::string_view message);

// Starts logging, to standard error and to a file below --log_dir. Returns the
// path of that file, or an empty string.
std::string InitLogging(const std::string& program,
                        const options::LoggingFlags& flags);

// This process' environment variables.
std::map<std::string, std::string> EnvironmentVariables();

}  // namespace quorate::prod

#endif  // QUORATE_PROD_PROGRAM_H_
