// What `./dev sim` is asked to do.

#ifndef QUORATE_SCENARIOS_OPTIONS_H_
#define QUORATE_SCENARIOS_OPTIONS_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/flags/flags.h"

namespace quorate::scenarios {

struct Options {
  std::string scenario;
  std::optional<uint64_t> seed;
  std::optional<uint64_t> first_seed;
  uint64_t seeds = 200;
  std::string set;
  std::string extra_fault;
  uint64_t extra_fault_steps = 0;
  std::string seeds_file;
  std::optional<uint32_t> shrink_seconds;
  std::optional<uint32_t> minutes;
  std::optional<uint32_t> jobs;
  flags::Duration run_timeout = std::chrono::minutes(10);
  bool keep_going = false;
  bool check_determinism = false;
  bool list = false;
  bool verbose = false;
  bool json = false;
  std::optional<std::string> trace;
  std::optional<std::string> html;
  std::optional<std::string> events;
  std::optional<std::string> hashes;
  std::optional<std::string> diff;

  // Whether a run is to be shown in a file.
  bool shows() const { return trace || html || events; }
};

flags::Program SimProgram();
void AddFlags(Options& options, flags::FlagSet& flags);

// "Log,Storm.Of": whether the name begins with one of these; "all": any.
bool Chosen(const std::string& name, const std::string& wanted);

}  // namespace quorate::scenarios

#endif  // QUORATE_SCENARIOS_OPTIONS_H_
