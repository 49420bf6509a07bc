#include "scenarios/show.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "scenarios/variation.h"
#include "sim/report/chrome_trace.h"
#include "sim/report/timeline_page.h"

namespace quorate::scenarios {
namespace {

[[noreturn]] void Refuse(const std::string& path) {
  std::fprintf(stderr, "cannot write %s: %s\n", path.c_str(),
               std::strerror(errno));
  std::_Exit(kExitUsage);
}

std::FILE* Open(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) Refuse(path);
  return file;
}

void WriteFile(const std::string& path, const std::string& text) {
  std::FILE* file = Open(path);
  const size_t written = std::fwrite(text.data(), 1, text.size(), file);
  if (std::fclose(file) != 0 || written != text.size()) Refuse(path);
  std::fprintf(stderr, "wrote %s\n", path.c_str());
}

}  // namespace

void Show::Closed::operator()(std::FILE* file) const {
  if (std::fclose(file) != 0) Refuse("the events");
}

Show::Show(const Options& options, sim::Audience& audience)
    : options_(options) {
  if (options.trace || options.html) audience.Add(&recording_);
  if (!options.events) return;
  events_file_.reset(Open(*options.events));
  events_ = std::make_unique<sim::EventLog>(
      [file = events_file_.get(),
       path = *options.events](absl::string_view lines) {
        if (std::fwrite(lines.data(), 1, lines.size(), file) != lines.size()) {
          Refuse(path);
        }
      });
  audience.Add(events_.get());
}

void Show::Write(const Outcome& outcome, const Scenario& scenario,
                 uint64_t seed, Ending ending) {
  WriteFiles(io::Instant(outcome.simulated), scenario, seed, ending,
             outcome.cause);
}

void Show::Write(const sim::World& world, const Scenario& scenario,
                 Ending ending, const std::string& cause) {
  WriteFiles(world.now(), scenario, world.seed(), ending, cause);
}

void Show::WriteFiles(io::Instant end, const Scenario& scenario, uint64_t seed,
                      Ending ending, const std::string& cause) {
  recording_.Close(end);
  if (options_.trace) {
    WriteFile(*options_.trace, sim::ChromeTrace(recording_));
  }
  if (options_.html) {
    WriteFile(*options_.html,
              sim::TimelinePage(
                  recording_,
                  {.title = scenario.name,
                   .seed = seed,
                   .failed = ending != Ending::kPassed,
                   .verdict = NameOf(ending),
                   .cause = cause,
                   .replay = absl::StrCat(ReplayCommand(scenario.name, seed),
                                          FlagsOf(options_))}));
  }
  if (!events_) return;
  events_->Flush();
  events_file_.reset();
  std::fprintf(stderr, "wrote %s\n", options_.events->c_str());
}

}  // namespace quorate::scenarios
