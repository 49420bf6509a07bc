// Reads what a previous process of the agent left behind.

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/agent/checkpoint.h"
#include "core/agent/records.h"

namespace quorate::agent {
namespace {

class Reader {
 public:
  Reader(io::Disk& disk, const Paths& paths, bool strict,
         RecoveredAgent* recovered)
      : disk_(disk), paths_(paths), strict_(strict), recovered_(*recovered) {}

  // False when there is nothing.
  absl::StatusOr<bool> ReadAgent();
  absl::Status ReadFrameworks();

 private:
  absl::Status ReadFramework(const Run& run);
  absl::Status ReadExecutor(const Run& run, RecoveredFramework* framework);
  absl::Status ReadRun(const Run& run, const ExecutorRecord& record,
                       RecoveredFramework* framework);
  absl::Status ReadTask(const Run& run, const std::string& task_id,
                        RecoveredExecutor* executor);
  absl::Status ReadUpdates(const std::string& directory, RecoveredTask* task);
  absl::Status Secure(const std::string& path, absl::string_view content);

  // A file of one record. False when there is none (the process died before
  // it was written), or when it is damaged and given up.
  absl::StatusOr<bool> ReadRecord(const std::string& path,
                                  google::protobuf::Message* message);
  // Names in a directory; none when it is missing.
  absl::StatusOr<std::vector<std::string>> List(const std::string& path);
  absl::StatusOr<bool> Exists(const std::string& path);
  // OK when the damage is given up.
  absl::Status GiveUp(const std::string& path, const absl::Status& damage);

  io::Disk& disk_;
  const Paths& paths_;
  const bool strict_;
  RecoveredAgent& recovered_;
};

absl::Status Reader::GiveUp(const std::string& path,
                            const absl::Status& damage) {
  const std::string error =
      absl::StrCat(path, " is damaged: ", damage.message());
  if (strict_) {
    return absl::DataLossError(absl::StrCat(
        error, ". Start with --no-strict to give up what it describes"));
  }
  recovered_.errors.push_back(error);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> Reader::List(const std::string& path) {
  auto names = disk_.List(path);
  if (absl::IsNotFound(names.status())) return std::vector<std::string>();
  return names;
}

absl::StatusOr<bool> Reader::Exists(const std::string& path) {
  const absl::Status status = disk_.Stat(path).status();
  if (status.ok() || absl::IsNotFound(status)) return status.ok();
  return status;
}

absl::StatusOr<bool> Reader::ReadRecord(const std::string& path,
                                        google::protobuf::Message* message) {
  const auto content = disk_.ReadFile(path);
  if (absl::IsNotFound(content.status())) return false;
  if (!content.ok()) return content.status();
  const absl::Status decoded = DecodeRecord(*content, message);
  if (decoded.ok()) return true;
  const absl::Status given_up = GiveUp(path, decoded);
  if (!given_up.ok()) return given_up;
  return false;
}

absl::StatusOr<bool> Reader::ReadAgent() {
  auto boot_id = disk_.ReadFile(paths_.Meta() + "/boot_id");
  if (boot_id.ok()) {
    recovered_.boot_id = *std::move(boot_id);
  } else if (!absl::IsNotFound(boot_id.status())) {
    // Without it the machine would seem to have restarted, which ends all
    // tasks.
    return boot_id.status();
  }
  const auto latest = disk_.ReadLink(paths_.MetaAgents() + "/latest");
  if (absl::IsNotFound(latest.status())) return false;
  if (!latest.ok()) return latest.status();
  const std::string directory = paths_.MetaAgent(*latest);
  auto found = ReadRecord(directory + "/slave.info", &recovered_.record);
  if (!found.ok() || !*found) return found;
  wire::Reign reign;
  found = ReadRecord(directory + "/reign", &reign);
  if (!found.ok()) return found;
  if (*found) recovered_.reign = std::move(reign);
  return true;
}

absl::Status Reader::ReadFrameworks() {
  Run run;
  run.agent_id = recovered_.record.info().id().value();
  const auto names = List(paths_.MetaAgent(run.agent_id) + "/frameworks");
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    run.framework_id = name;
    const absl::Status read = ReadFramework(run);
    if (!read.ok()) return read;
  }
  return absl::OkStatus();
}

absl::Status Reader::ReadFramework(const Run& run) {
  RecoveredFramework framework;
  const auto found = ReadRecord(paths_.MetaFramework(run) + "/framework.info",
                                &framework.info);
  if (!found.ok()) return found.status();
  if (!*found) return absl::OkStatus();
  const auto names = List(paths_.MetaFramework(run) + "/executors");
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    Run executor = run;
    executor.executor_id = name;
    const absl::Status read = ReadExecutor(executor, &framework);
    if (!read.ok()) return read;
  }
  if (!framework.executors.empty()) {
    recovered_.frameworks.push_back(std::move(framework));
  }
  return absl::OkStatus();
}

absl::Status Reader::ReadExecutor(const Run& run,
                                  RecoveredFramework* framework) {
  const auto names = List(paths_.MetaExecutor(run) + "/runs");
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    Run one = run;
    one.container_id = name;
    if (name == "latest") continue;
    const auto over = Exists(paths_.MetaRun(one) + "/executor.sentinel");
    if (!over.ok()) return over.status();
    if (*over) continue;
    ExecutorRecord record;
    const auto found =
        ReadRecord(paths_.MetaExecutor(run) + "/executor.info", &record);
    if (!found.ok()) return found.status();
    if (!*found) return absl::OkStatus();
    const absl::Status read = ReadRun(one, record, framework);
    if (!read.ok()) return read;
  }
  return absl::OkStatus();
}

absl::Status Reader::ReadRun(const Run& run, const ExecutorRecord& record,
                             RecoveredFramework* framework) {
  RecoveredExecutor executor;
  executor.record = record;
  executor.container_id = run.container_id;
  const auto names = List(paths_.MetaRun(run) + "/tasks");
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    const absl::Status read = ReadTask(run, name, &executor);
    if (!read.ok()) return read;
  }
  framework->executors.push_back(std::move(executor));
  return absl::OkStatus();
}

absl::Status Reader::ReadTask(const Run& run, const std::string& task_id,
                              RecoveredExecutor* executor) {
  const std::string directory = paths_.MetaTask(run, task_id);
  RecoveredTask task;
  const auto found = ReadRecord(directory + "/task.info", &task.info);
  if (!found.ok()) return found.status();
  if (!*found) return absl::OkStatus();
  const absl::Status read = ReadUpdates(directory, &task);
  if (!read.ok()) return read;
  executor->tasks.push_back(std::move(task));
  return absl::OkStatus();
}

absl::Status Reader::ReadUpdates(const std::string& directory,
                                 RecoveredTask* task) {
  const std::string path = directory + "/task.updates";
  const auto content = disk_.ReadFile(path);
  if (absl::IsNotFound(content.status())) return absl::OkStatus();
  if (!content.ok()) return content.status();
  RecordLog log;
  absl::Status status = SplitRecords(*content, &log);
  for (const absl::string_view payload : log.payloads) {
    UpdateRecord record;
    if (!record.ParseFromArray(payload.data(),
                               static_cast<int>(payload.size()))) {
      status = absl::DataLossError("a record is not an update");
      break;
    }
    task->updates.push_back(std::move(record));
  }
  if (!status.ok()) {
    const absl::Status given_up = GiveUp(path, status);
    if (!given_up.ok()) return given_up;
  }
  status = Secure(path, absl::string_view(*content).substr(0, log.valid_bytes));
  return status.ok() ? disk_.SyncDirectory(directory) : status;
}

// The process before may have died between writing the last record and syncing
// it, or of a sync that failed: what the page cache shows is not durable then,
// and a later sync alone would not make it so.
absl::Status Reader::Secure(const std::string& path,
                            absl::string_view content) {
  auto file = disk_.Open(path, io::Disk::Mode::kReadWrite);
  if (!file.ok()) return file.status();
  absl::Status status = (*file)->Truncate(content.size());
  if (status.ok()) status = (*file)->WriteAt(0, content);
  return status.ok() ? (*file)->Sync() : status;
}

}  // namespace

absl::StatusOr<std::optional<RecoveredAgent>> Checkpoints::Recover(
    bool strict) {
  RecoveredAgent recovered;
  Reader reader(disk_, paths_, strict, &recovered);
  const auto found = reader.ReadAgent();
  if (!found.ok()) return found.status();
  if (!*found) return std::optional<RecoveredAgent>();
  const absl::Status read = reader.ReadFrameworks();
  if (!read.ok()) return read;
  return std::optional<RecoveredAgent>(std::move(recovered));
}

}  // namespace quorate::agent
