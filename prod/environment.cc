#include "prod/environment.h"

#include <glog/logging.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

namespace quorate::prod {

Environment::Environment(EventLoop* loop, const EnvironmentOptions& options)
    : loop_(loop),
      network_(loop),
      coordination_(loop),
      containers_(loop, options.container_folder) {}

void Environment::Exit(int code, absl::string_view message) {
  if (exit_code_.has_value()) return;
  exit_code_ = code;
  if (code == io::kExitOk) {
    LOG(INFO) << message;
  } else {
    LOG(ERROR) << message;
  }
  loop_->Stop();
}

void Environment::Run() {
  loop_->Run();
  coordination_.CloseSessions();
  google::FlushLogFiles(google::GLOG_INFO);
#ifdef __SANITIZE_ADDRESS__
  // _exit would skip it. What main still holds is no leak.
  __lsan_do_leak_check();
#endif
  _exit(exit_code_.value_or(io::kExitFailure));
}

}  // namespace quorate::prod
