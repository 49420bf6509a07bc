// The agent's memory: what it must find again after a crash of its process or
// of the machine. Blocking; used on the agent's lane only.
//
//   meta/boot_id
//   meta/lock
//   meta/slaves/latest -> <agent id>
//   meta/slaves/<agent id>/slave.info
//   meta/slaves/<agent id>/reign
//   meta/slaves/<agent id>/frameworks/<framework id>/framework.info
//     .../executors/<executor id>/executor.info
//       .../runs/latest -> <container id>
//       .../runs/<container id>/executor.sentinel    when it is over
//         .../pids/forked.pid
//         .../tasks/<task id>/task.info
//         .../tasks/<task id>/task.updates
//   slaves/<agent id>/frameworks/.../runs/<container id>/   the sandbox
//
// Files hold records: little-endian u32 length, u32 CRC-32C of the payload,
// payload. task.updates holds many, all others one and are replaced as a
// whole. When a call returns OK, what it wrote survives a power loss. After an
// error nothing is known: the process must end.

#ifndef QUORATE_CORE_AGENT_CHECKPOINT_H_
#define QUORATE_CORE_AGENT_CHECKPOINT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/agent/checkpoint.pb.h"
#include "io/disk.h"

namespace quorate::agent {

// One run of one executor. The parts are valid ids (ValidateId).
struct Run {
  std::string agent_id;
  std::string framework_id;
  std::string executor_id;
  std::string container_id;
};

// Ids become file names: not empty, at most 255 bytes, neither "." nor "..",
// no '/', '\' or control characters.
absl::Status ValidateId(absl::string_view id);

class Paths {
 public:
  explicit Paths(std::string work_dir) : work_dir_(std::move(work_dir)) {}

  const std::string& work_dir() const { return work_dir_; }
  std::string Meta() const { return work_dir_ + "/meta"; }
  std::string MetaAgents() const { return Meta() + "/slaves"; }
  std::string MetaAgent(absl::string_view agent_id) const;
  std::string MetaFramework(const Run& run) const;
  std::string MetaExecutor(const Run& run) const;
  std::string MetaRun(const Run& run) const;
  std::string MetaTask(const Run& run, absl::string_view task_id) const;
  // "<work_dir>/slaves/.../executors/<executor id>/runs".
  std::string Runs(const Run& run) const;
  std::string Sandbox(const Run& run) const;

 private:
  std::string work_dir_;
};

// What a previous process of this agent left behind.
struct RecoveredTask {
  mesos::v1::TaskInfo info;
  std::vector<UpdateRecord> updates;
};
struct RecoveredExecutor {
  ExecutorRecord record;
  std::string container_id;
  std::vector<RecoveredTask> tasks;
};
struct RecoveredFramework {
  mesos::v1::FrameworkInfo info;
  std::vector<RecoveredExecutor> executors;  // Whose run is not over.
};
struct RecoveredAgent {
  std::string boot_id;  // Of the machine then; empty if it is not known.
  AgentRecord record;
  std::optional<wire::Reign> reign;
  std::vector<RecoveredFramework> frameworks;
  // What was damaged and has been given up.
  std::vector<std::string> errors;
};

class Checkpoints {
 public:
  // `disk` outlives the object.
  Checkpoints(io::Disk& disk, std::string work_dir);

  const Paths& paths() const { return paths_; }

  // Keeps other agents off this working directory as long as this object
  // lives. FailedPrecondition when one is there.
  absl::Status Lock();

  // Nothing when no agent has registered yet, or after Forget. A record at the
  // end of task.updates that a crash has torn is cut off: nobody was told of
  // it. Any other damage is DataLoss, which names the file, if `strict`;
  // otherwise what the file described is given up and listed in errors.
  absl::StatusOr<std::optional<RecoveredAgent>> Recover(bool strict);

  absl::Status WriteBootId(absl::string_view boot_id);
  absl::Status WriteAgent(const AgentRecord& record);
  absl::Status WriteReign(absl::string_view agent_id, const wire::Reign& reign);
  absl::Status WriteFramework(const Run& run,
                              const mesos::v1::FrameworkInfo& info);
  // Begins the run.
  absl::Status WriteExecutor(const Run& run, const ExecutorRecord& record);
  absl::Status WritePid(const Run& run, int64_t pid);
  absl::Status WriteTask(const Run& run, const mesos::v1::TaskInfo& info);
  absl::Status AppendUpdate(const Run& run, absl::string_view task_id,
                            const UpdateRecord& record);
  // The run is over and nothing of it waits: it is not recovered again.
  absl::Status WriteSentinel(const Run& run);
  // The next process begins as a new agent.
  absl::Status Forget();

  // Directories of a run's sandbox, and runs/latest. Not durable.
  absl::Status MakeSandbox(const Run& run);

 private:
  absl::Status MakeDirectories(const std::string& path);
  void Remember(const std::string& path);
  absl::Status WriteFile(const std::string& directory, absl::string_view name,
                         absl::string_view content);
  absl::Status WriteLink(const std::string& directory,
                         absl::string_view target);

  io::Disk& disk_;
  const Paths paths_;
  // Entries of directories that this process has made durable; a cache.
  std::set<std::string> durable_;
  std::unique_ptr<io::FileLock> lock_;
};

}  // namespace quorate::agent

#endif  // QUORATE_CORE_AGENT_CHECKPOINT_H_
