// LevelDB over io::Disk, on one thread, in production and in the simulator.
//
// LevelDB wants a background thread for compactions. Here Schedule only
// queues them; whoever uses the database drains the queue after each operation
// and before closing, so that LevelDB never waits for one:
//
//   LevelDbEnv env(disk);
//   options.env = &env;
//   leveldb::DB::Open(options, path, &db);   env.Drain();
//   db->Write(...);                          env.Drain();

#ifndef QUORATE_CORE_LOG_LEVELDB_ENV_H_
#define QUORATE_CORE_LOG_LEVELDB_ENV_H_

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "io/disk.h"
#include "leveldb/env.h"

namespace quorate::log {

// In the message of an error that a full disk has caused.
inline constexpr char kDiskFullMark[] = "disk full: ";

// New files, and new names of files, are durable when they are synced: where
// LevelDB leaves that to the file system, the directory is synced with them.
class LevelDbEnv final : public leveldb::Env {
 public:
  // Remembers the first error of the disk, and that it was full.
  class Errors {
   public:
    leveldb::Status Report(const absl::Status& status);
    absl::Status Take();
    const absl::Status& full() const { return full_; }

   private:
    absl::Status first_;
    absl::Status full_;
  };

  explicit LevelDbEnv(io::Disk& disk) : disk_(disk) {}

  // Before a database is opened.
  void Begin();
  // After an Open that failed: nothing refers to the files that it has made,
  // and they would fill the disk further with each attempt.
  void RemoveMade();
  // Runs the compactions that were asked for, and those they ask for.
  void Drain();

  // ResourceExhausted from the time on when the disk was full, until Begin.
  // What LevelDB would write behind a write that was cut short nobody could
  // read.
  absl::Status Full() const;

  // The result of an operation of LevelDB: an error of the disk since the last
  // call as the disk told it, any other one as DataLoss.
  absl::Status Take(const leveldb::Status& status);

  leveldb::Status NewSequentialFile(const std::string& path,
                                    leveldb::SequentialFile** result) override;
  leveldb::Status NewRandomAccessFile(
      const std::string& path, leveldb::RandomAccessFile** result) override;
  leveldb::Status NewWritableFile(const std::string& path,
                                  leveldb::WritableFile** result) override;
  leveldb::Status NewAppendableFile(const std::string& path,
                                    leveldb::WritableFile** result) override;
  bool FileExists(const std::string& path) override;
  leveldb::Status GetChildren(const std::string& path,
                              std::vector<std::string>* result) override;
  leveldb::Status RemoveFile(const std::string& path) override;
  leveldb::Status CreateDir(const std::string& path) override;
  leveldb::Status RemoveDir(const std::string& path) override;
  leveldb::Status GetFileSize(const std::string& path, uint64_t* size) override;
  leveldb::Status RenameFile(const std::string& from,
                             const std::string& to) override;
  leveldb::Status LockFile(const std::string& path,
                           leveldb::FileLock** lock) override;
  leveldb::Status UnlockFile(leveldb::FileLock* lock) override;
  void Schedule(void (*function)(void*), void* argument) override;
  void StartThread(void (*function)(void*), void* argument) override;
  leveldb::Status GetTestDirectory(std::string* path) override;
  leveldb::Status NewLogger(const std::string& path,
                            leveldb::Logger** result) override;
  // LevelDB only measures compactions with it.
  uint64_t NowMicros() override { return 0; }
  void SleepForMicroseconds(int micros) override;

 private:
  leveldb::Status Report(const absl::Status& status) {
    return errors_.Report(status);
  }

  io::Disk& disk_;
  Errors errors_;
  std::deque<std::function<void()>> scheduled_;
  // Files made since Begin, and since CURRENT was replaced.
  std::vector<std::string> made_;
};

}  // namespace quorate::log

#endif  // QUORATE_CORE_LOG_LEVELDB_ENV_H_
