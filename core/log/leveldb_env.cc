#include "core/log/leveldb_env.h"

#include <glog/logging.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "core/log/fixed_bytes.h"

namespace quorate::log {
namespace {

constexpr size_t kWriteBufferBytes = 64 << 10;
// Of a table: two places of blocks, as varints, padded; and a number.
constexpr uint64_t kFooterBytes = 48;
constexpr uint64_t kTableMagic = 0xdb4775248b80fb57;

std::optional<uint64_t> TakeVarint(absl::string_view* in) {
  uint64_t value = 0;
  for (int shift = 0; shift <= 63 && !in->empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(in->front());
    in->remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  return std::nullopt;
}

// The one part of a table without a checksum. LevelDB would believe it, and
// allocate whatever size it names.
bool IsFooter(absl::string_view footer, uint64_t file_bytes) {
  if (footer.size() != kFooterBytes ||
      GetFixed(footer, kFooterBytes - 8, 8) != kTableMagic) {
    return false;
  }
  for (int block = 0; block < 2; ++block) {
    const std::optional<uint64_t> offset = TakeVarint(&footer);
    const std::optional<uint64_t> size = TakeVarint(&footer);
    if (!offset || !size || *offset > file_bytes ||
        *size > file_bytes - *offset) {
      return false;
    }
  }
  return true;
}

std::string ParentOf(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

class Sequential final : public leveldb::SequentialFile {
 public:
  Sequential(LevelDbEnv::Errors& errors, std::unique_ptr<io::File> file)
      : errors_(errors), file_(std::move(file)) {}

  leveldb::Status Read(size_t size, leveldb::Slice* result,
                       char* scratch) override {
    std::string bytes;
    absl::Status status = file_->ReadAt(offset_, size, &bytes);
    if (!status.ok()) return errors_.Report(status);
    memcpy(scratch, bytes.data(), bytes.size());
    offset_ += bytes.size();
    *result = leveldb::Slice(scratch, bytes.size());
    return leveldb::Status::OK();
  }

  leveldb::Status Skip(uint64_t size) override {
    offset_ += size;
    return leveldb::Status::OK();
  }

 private:
  LevelDbEnv::Errors& errors_;
  std::unique_ptr<io::File> file_;
  uint64_t offset_ = 0;
};

class RandomAccess final : public leveldb::RandomAccessFile {
 public:
  RandomAccess(LevelDbEnv::Errors& errors, std::unique_ptr<io::File> file)
      : errors_(errors), file_(std::move(file)) {}

  leveldb::Status Read(uint64_t offset, size_t size, leveldb::Slice* result,
                       char* scratch) const override {
    std::string bytes;
    absl::Status status = file_->ReadAt(offset, size, &bytes);
    if (!status.ok()) return errors_.Report(status);
    memcpy(scratch, bytes.data(), bytes.size());
    *result = leveldb::Slice(scratch, bytes.size());
    return leveldb::Status::OK();
  }

 private:
  LevelDbEnv::Errors& errors_;
  std::unique_ptr<io::File> file_;
};

class Writable final : public leveldb::WritableFile {
 public:
  Writable(LevelDbEnv::Errors& errors, io::Disk& disk, std::string directory,
           std::unique_ptr<io::File> file, uint64_t size)
      : errors_(errors),
        disk_(disk),
        directory_(std::move(directory)),
        file_(std::move(file)),
        written_(size) {}

  leveldb::Status Append(const leveldb::Slice& data) override {
    buffer_.append(data.data(), data.size());
    return buffer_.size() < kWriteBufferBytes ? leveldb::Status::OK() : Flush();
  }

  leveldb::Status Flush() override {
    absl::Status status = file_->WriteAt(written_, buffer_);
    if (!status.ok()) return errors_.Report(status);
    written_ += buffer_.size();
    buffer_.clear();
    return leveldb::Status::OK();
  }

  leveldb::Status Sync() override {
    leveldb::Status flushed = Flush();
    if (!flushed.ok()) return flushed;
    if (absl::Status status = file_->Sync(); !status.ok()) {
      return errors_.Report(status);
    }
    if (!std::exchange(entry_synced_, true)) {
      return errors_.Report(disk_.SyncDirectory(directory_));
    }
    return leveldb::Status::OK();
  }

  leveldb::Status Close() override {
    leveldb::Status flushed = Flush();
    file_.reset();
    return flushed;
  }

 private:
  LevelDbEnv::Errors& errors_;
  io::Disk& disk_;
  const std::string directory_;
  std::unique_ptr<io::File> file_;
  uint64_t written_;
  std::string buffer_;
  bool entry_synced_ = false;
};

class Locked final : public leveldb::FileLock {
 public:
  explicit Locked(std::unique_ptr<io::FileLock> lock)
      : lock_(std::move(lock)) {}

 private:
  std::unique_ptr<io::FileLock> lock_;
};

class Silent final : public leveldb::Logger {
 public:
  void Logv(const char*, std::va_list) override {}
};

}  // namespace

leveldb::Status LevelDbEnv::Errors::Report(const absl::Status& status) {
  if (status.ok()) return leveldb::Status::OK();
  const std::string message(status.message());
  if (absl::IsNotFound(status)) return leveldb::Status::NotFound(message);
  if (absl::IsResourceExhausted(status)) {
    full_ = status;
  } else if (first_.ok()) {
    first_ = status;
  }
  return leveldb::Status::IOError(message);
}

absl::Status LevelDbEnv::Errors::Take() {
  return std::exchange(first_, absl::OkStatus());
}

absl::Status LevelDbEnv::Full() const { return errors_.full(); }

absl::Status LevelDbEnv::Take(const leveldb::Status& status) {
  // What has failed behind the back of a call that succeeded fails the next.
  if (status.ok()) return absl::OkStatus();
  absl::Status disk = errors_.Take();
  if (disk.ok()) disk = Full();
  return disk.ok() ? absl::DataLossError(status.ToString()) : disk;
}

void LevelDbEnv::Begin() {
  errors_ = {};
  made_.clear();
}

void LevelDbEnv::RemoveMade() {
  for (const std::string& path : std::exchange(made_, {})) {
    absl::Status removed = disk_.Remove(path);
    LOG_IF(WARNING, !removed.ok() && !absl::IsNotFound(removed)) << removed;
  }
}

void LevelDbEnv::Drain() {
  while (!scheduled_.empty()) {
    std::function<void()> work = std::move(scheduled_.front());
    scheduled_.pop_front();
    work();
  }
}

leveldb::Status LevelDbEnv::NewSequentialFile(
    const std::string& path, leveldb::SequentialFile** result) {
  *result = nullptr;
  auto file = disk_.Open(path, io::Disk::Mode::kRead);
  if (!file.ok()) return Report(file.status());
  *result = new Sequential(errors_, *std::move(file));
  return leveldb::Status::OK();
}

leveldb::Status LevelDbEnv::NewRandomAccessFile(
    const std::string& path, leveldb::RandomAccessFile** result) {
  *result = nullptr;
  auto file = disk_.Open(path, io::Disk::Mode::kRead);
  if (!file.ok()) return Report(file.status());
  auto size = (*file)->Size();
  if (!size.ok()) return Report(size.status());
  std::string footer;
  absl::Status read = (*file)->ReadAt(*size - std::min(*size, kFooterBytes),
                                      kFooterBytes, &footer);
  if (!read.ok()) return Report(read);
  if (!IsFooter(footer, *size)) {
    return leveldb::Status::Corruption(path, "no footer of a table");
  }
  *result = new RandomAccess(errors_, *std::move(file));
  return leveldb::Status::OK();
}

leveldb::Status LevelDbEnv::NewWritableFile(const std::string& path,
                                            leveldb::WritableFile** result) {
  *result = nullptr;
  auto file = disk_.Open(path, io::Disk::Mode::kCreateEmpty);
  if (!file.ok()) return Report(file.status());
  made_.push_back(path);
  *result = new Writable(errors_, disk_, ParentOf(path), *std::move(file), 0);
  return leveldb::Status::OK();
}

leveldb::Status LevelDbEnv::NewAppendableFile(const std::string& path,
                                              leveldb::WritableFile** result) {
  *result = nullptr;
  auto file = disk_.Open(path, io::Disk::Mode::kCreate);
  if (!file.ok()) return Report(file.status());
  auto size = (*file)->Size();
  if (!size.ok()) return Report(size.status());
  *result =
      new Writable(errors_, disk_, ParentOf(path), *std::move(file), *size);
  return leveldb::Status::OK();
}

bool LevelDbEnv::FileExists(const std::string& path) {
  return Report(disk_.Stat(path).status()).ok();
}

leveldb::Status LevelDbEnv::GetChildren(const std::string& path,
                                        std::vector<std::string>* result) {
  auto names = disk_.List(path);
  if (!names.ok()) return Report(names.status());
  *result = *std::move(names);
  return leveldb::Status::OK();
}

leveldb::Status LevelDbEnv::RemoveFile(const std::string& path) {
  return Report(disk_.Remove(path));
}

leveldb::Status LevelDbEnv::CreateDir(const std::string& path) {
  return Report(disk_.MakeDirectories(path));
}

leveldb::Status LevelDbEnv::RemoveDir(const std::string& path) {
  return Report(disk_.RemoveTree(path));
}

leveldb::Status LevelDbEnv::GetFileSize(const std::string& path,
                                        uint64_t* size) {
  auto info = disk_.Stat(path);
  if (!info.ok()) return Report(info.status());
  *size = info->size;
  return leveldb::Status::OK();
}

leveldb::Status LevelDbEnv::RenameFile(const std::string& from,
                                       const std::string& to) {
  absl::Status status = disk_.Rename(from, to);
  // From here on there may be references, whether it is durable or not.
  if (status.ok() && absl::EndsWith(to, "/CURRENT")) made_.clear();
  if (status.ok()) status = disk_.SyncDirectory(ParentOf(to));
  return Report(status);
}

leveldb::Status LevelDbEnv::LockFile(const std::string& path,
                                     leveldb::FileLock** lock) {
  *lock = nullptr;
  auto held = disk_.Lock(path);
  if (!held.ok()) return Report(held.status());
  *lock = new Locked(*std::move(held));
  return leveldb::Status::OK();
}

leveldb::Status LevelDbEnv::UnlockFile(leveldb::FileLock* lock) {
  delete lock;
  return leveldb::Status::OK();
}

void LevelDbEnv::Schedule(void (*function)(void*), void* argument) {
  scheduled_.push_back([function, argument] { function(argument); });
}

void LevelDbEnv::StartThread(void (*)(void*), void*) {
  LOG(FATAL) << "LevelDB must not start threads here";
}

leveldb::Status LevelDbEnv::GetTestDirectory(std::string*) {
  return leveldb::Status::NotSupported("no test directory");
}

leveldb::Status LevelDbEnv::NewLogger(const std::string&,
                                      leveldb::Logger** result) {
  *result = new Silent;
  return leveldb::Status::OK();
}

void LevelDbEnv::SleepForMicroseconds(int) {
  // LevelDB slows writers down while a compaction is behind; here it has
  // always been drained.
}

}  // namespace quorate::log
