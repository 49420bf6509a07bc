#include "core/agent/checkpoint.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/agent/records.h"

namespace quorate::agent {
namespace {

constexpr size_t kMaxIdBytes = 255;
// Of the cache: without it an entry is synced once more.
constexpr size_t kMaxDurablePaths = 4096;

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string OfExecutor(const Run& run) {
  return absl::StrCat("/slaves/", run.agent_id, "/frameworks/",
                      run.framework_id, "/executors/", run.executor_id);
}

}  // namespace

absl::Status ValidateId(absl::string_view id) {
  if (id.empty()) return absl::InvalidArgumentError("ID must not be empty");
  if (id.size() > kMaxIdBytes) {
    return absl::InvalidArgumentError("ID must not be longer than 255 bytes");
  }
  if (id == "." || id == "..") {
    return absl::InvalidArgumentError(
        absl::StrCat("'", id, "' is disallowed as an ID"));
  }
  for (const char c : id) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || c == '/' || c == '\\') {
      return absl::InvalidArgumentError(
          absl::StrCat("'", id, "' contains invalid characters"));
    }
  }
  return absl::OkStatus();
}

std::string Paths::MetaAgent(absl::string_view agent_id) const {
  return absl::StrCat(MetaAgents(), "/", agent_id);
}

std::string Paths::MetaFramework(const Run& run) const {
  return absl::StrCat(MetaAgent(run.agent_id), "/frameworks/",
                      run.framework_id);
}

std::string Paths::MetaExecutor(const Run& run) const {
  return Meta() + OfExecutor(run);
}

std::string Paths::MetaRun(const Run& run) const {
  return absl::StrCat(MetaExecutor(run), "/runs/", run.container_id);
}

std::string Paths::MetaTask(const Run& run, absl::string_view task_id) const {
  return absl::StrCat(MetaRun(run), "/tasks/", task_id);
}

std::string Paths::Runs(const Run& run) const {
  return absl::StrCat(work_dir_, OfExecutor(run), "/runs");
}

std::string Paths::Sandbox(const Run& run) const {
  return absl::StrCat(Runs(run), "/", run.container_id);
}

Checkpoints::Checkpoints(io::Disk& disk, std::string work_dir)
    : disk_(disk), paths_(std::move(work_dir)) {}

absl::Status Checkpoints::MakeDirectories(const std::string& path) {
  if (path == "/" || durable_.count(path)) return absl::OkStatus();
  const std::string parent = ParentOf(path);
  absl::Status status = MakeDirectories(parent);
  if (!status.ok()) return status;
  status = disk_.MakeDirectories(path);
  if (!status.ok()) return status;
  // Also when it was there: a previous process may have made it and died
  // before this. Above the working directory we may not be allowed to.
  status = disk_.SyncDirectory(parent);
  const bool ours = path.size() > paths_.work_dir().size();
  if (!status.ok() && (ours || !absl::IsPermissionDenied(status))) {
    return status;
  }
  Remember(path);
  return absl::OkStatus();
}

void Checkpoints::Remember(const std::string& path) {
  if (durable_.size() >= kMaxDurablePaths) durable_.clear();
  durable_.insert(path);
}

absl::Status Checkpoints::WriteFile(const std::string& directory,
                                    absl::string_view name,
                                    absl::string_view content) {
  const absl::Status made = MakeDirectories(directory);
  if (!made.ok()) return made;
  return disk_.WriteFileDurably(absl::StrCat(directory, "/", name), content);
}

absl::Status Checkpoints::WriteLink(const std::string& directory,
                                    absl::string_view target) {
  const absl::Status linked =
      disk_.Symlink(std::string(target), directory + "/latest");
  if (!linked.ok()) return linked;
  return disk_.SyncDirectory(directory);
}

absl::Status Checkpoints::Lock() {
  const absl::Status made = MakeDirectories(paths_.Meta());
  if (!made.ok()) return made;
  auto lock = disk_.Lock(paths_.Meta() + "/lock");
  if (absl::IsFailedPrecondition(lock.status())) {
    return absl::FailedPreconditionError(
        absl::StrCat("another agent runs with --work_dir=", paths_.work_dir()));
  }
  if (!lock.ok()) return lock.status();
  lock_ = *std::move(lock);
  return absl::OkStatus();
}

absl::Status Checkpoints::WriteBootId(absl::string_view boot_id) {
  return WriteFile(paths_.Meta(), "boot_id", boot_id);
}

absl::Status Checkpoints::WriteAgent(const AgentRecord& record) {
  const std::string& id = record.info().id().value();
  const absl::Status written =
      WriteFile(paths_.MetaAgent(id), "slave.info", EncodeRecord(record));
  if (!written.ok()) return written;
  return WriteLink(paths_.MetaAgents(), id);
}

absl::Status Checkpoints::WriteReign(absl::string_view agent_id,
                                     const wire::Reign& reign) {
  return WriteFile(paths_.MetaAgent(agent_id), "reign", EncodeRecord(reign));
}

absl::Status Checkpoints::WriteFramework(const Run& run,
                                         const mesos::v1::FrameworkInfo& info) {
  return WriteFile(paths_.MetaFramework(run), "framework.info",
                   EncodeRecord(info));
}

absl::Status Checkpoints::WriteExecutor(const Run& run,
                                        const ExecutorRecord& record) {
  absl::Status status = WriteFile(paths_.MetaExecutor(run), "executor.info",
                                  EncodeRecord(record));
  if (status.ok()) status = MakeDirectories(paths_.MetaRun(run));
  if (!status.ok()) return status;
  return WriteLink(paths_.MetaExecutor(run) + "/runs", run.container_id);
}

absl::Status Checkpoints::WritePid(const Run& run, int64_t pid) {
  return WriteFile(paths_.MetaRun(run) + "/pids", "forked.pid",
                   absl::StrCat(pid));
}

absl::Status Checkpoints::WriteTask(const Run& run,
                                    const mesos::v1::TaskInfo& info) {
  return WriteFile(paths_.MetaTask(run, info.task_id().value()), "task.info",
                   EncodeRecord(info));
}

absl::Status Checkpoints::AppendUpdate(const Run& run,
                                       absl::string_view task_id,
                                       const UpdateRecord& record) {
  const std::string directory = paths_.MetaTask(run, task_id);
  absl::Status status = MakeDirectories(directory);
  if (!status.ok()) return status;
  const std::string path = directory + "/task.updates";
  auto file = disk_.Open(path, io::Disk::Mode::kCreate);
  if (!file.ok()) return file.status();
  status = (*file)->Append(EncodeRecord(record));
  // One record per sync: a crash can only tear the last one.
  if (status.ok()) status = (*file)->Sync();
  if (!status.ok() || durable_.count(path)) return status;
  status = disk_.SyncDirectory(directory);
  if (status.ok()) Remember(path);
  return status;
}

absl::Status Checkpoints::WriteSentinel(const Run& run) {
  return WriteFile(paths_.MetaRun(run), "executor.sentinel", "");
}

absl::Status Checkpoints::Forget() {
  const absl::Status removed = disk_.Remove(paths_.MetaAgents() + "/latest");
  if (absl::IsNotFound(removed)) return absl::OkStatus();
  if (!removed.ok()) return removed;
  return disk_.SyncDirectory(paths_.MetaAgents());
}

absl::Status Checkpoints::MakeSandbox(const Run& run) {
  const absl::Status made = disk_.MakeDirectories(paths_.Sandbox(run));
  if (!made.ok()) return made;
  return disk_.Symlink(run.container_id, paths_.Runs(run) + "/latest");
}

}  // namespace quorate::agent
