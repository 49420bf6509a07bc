// The least that a replicated log can cost on this machine, with nothing else
// on the way: the leader sends each batch of records to its followers over
// loopback TCP, and all of them write it and wait for the disk at once. A batch
// is acknowledged when the leader and enough followers for a majority have it.
// With one replica it is the cost of append and fdatasync alone.
//
//   log_floor --folder=DIR --replicas=3 --size=BYTES --outstanding=K
//             --seconds=S [--leveldb]
//
// Each replica is a process, and writes either into a file whose blocks were
// written before, over and over, or, with --leveldb, each batch as one
// synchronous LevelDB write.

#include <arpa/inet.h>
#include <fcntl.h>
#include <leveldb/db.h>
#include <leveldb/write_batch.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "bench/floor/measure.h"

namespace quorate::bench {
namespace {

// Large enough that the journal of the file system hardly sees it grow old.
constexpr size_t kFileBytes = size_t{64} << 20;

struct Options {
  std::string folder;
  uint64_t replicas = 0;
  size_t size = 0;
  size_t outstanding = 0;
  Clock::duration seconds{};
  bool leveldb = false;
};

void Check(bool ok, absl::string_view what) {
  if (!ok) Die(absl::StrCat(what, ": ", strerror(errno)));
}

class Disk {
 public:
  virtual ~Disk() = default;
  // Durable when it returns. The batch is records of one size.
  virtual void Append(absl::string_view batch) = 0;
};

class FileDisk : public Disk {
 public:
  explicit FileDisk(const std::string& folder) {
    fd_ = open(absl::StrCat(folder, "/log").c_str(),
               O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    Check(fd_ >= 0, "open");
    const std::string zeros(size_t{1} << 20, '\0');
    for (size_t at = 0; at < kFileBytes; at += zeros.size()) Write(zeros, at);
    Check(fsync(fd_) == 0, "fsync");
  }

  ~FileDisk() override { close(fd_); }

  void Append(absl::string_view batch) override {
    if (next_ + batch.size() > kFileBytes) next_ = 0;
    Write(batch, next_);
    Check(fdatasync(fd_) == 0, "fdatasync");
    next_ += batch.size();
  }

 private:
  void Write(absl::string_view bytes, size_t at) {
    const ssize_t n =
        pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(at));
    Check(n == static_cast<ssize_t>(bytes.size()), "pwrite");
  }

  int fd_ = -1;
  size_t next_ = 0;
};

class LevelDbDisk : public Disk {
 public:
  LevelDbDisk(const std::string& folder, size_t record) : record_(record) {
    leveldb::Options options;
    options.create_if_missing = true;
    leveldb::DB* db = nullptr;
    const auto status = leveldb::DB::Open(options, folder + "/db", &db);
    if (!status.ok()) Die(status.ToString());
    db_.reset(db);
  }

  void Append(absl::string_view batch) override {
    leveldb::WriteBatch writes;
    for (size_t at = 0; at < batch.size(); at += record_) {
      char key[8];
      const uint64_t big_endian = __builtin_bswap64(next_++);
      std::memcpy(key, &big_endian, sizeof(key));
      writes.Put({key, sizeof(key)}, {batch.data() + at, record_});
    }
    leveldb::WriteOptions options;
    options.sync = true;
    const auto status = db_->Write(options, &writes);
    if (!status.ok()) Die(status.ToString());
  }

 private:
  size_t record_;
  uint64_t next_ = 0;
  std::unique_ptr<leveldb::DB> db_;
};

std::unique_ptr<Disk> OpenDisk(const Options& options, uint64_t replica) {
  const std::string folder = absl::StrCat(options.folder, "/", replica);
  Check(mkdir(folder.c_str(), 0755) == 0, folder);
  if (options.leveldb) {
    return std::make_unique<LevelDbDisk>(folder, options.size);
  }
  return std::make_unique<FileDisk>(folder);
}

sockaddr_in Loopback() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int NewSocket() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  Check(fd >= 0, "socket");
  return fd;
}

void SendSmallAtOnce(int fd) {
  const int on = 1;
  Check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0,
        "TCP_NODELAY");
}

// Records in the order they come, one byte for each batch that is durable.
void Follow(const Options& options, uint64_t replica,
            const sockaddr_in& leader) {
  const std::unique_ptr<Disk> disk = OpenDisk(options, replica);
  std::string batch(options.size * options.outstanding, '\0');
  const int fd = NewSocket();
  Check(connect(fd, reinterpret_cast<const sockaddr*>(&leader),
                sizeof(leader)) == 0,
        "connect");
  SendSmallAtOnce(fd);
  while (recv(fd, batch.data(), batch.size(), MSG_WAITALL) ==
         static_cast<ssize_t>(batch.size())) {
    disk->Append(batch);
    if (send(fd, "+", 1, MSG_NOSIGNAL) != 1) break;
  }
}

// The connections to the followers.
class Followers {
 public:
  explicit Followers(const Options& options) {
    const int listener = NewSocket();
    sockaddr_in address = Loopback();
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t length = sizeof(address);
    Check(bind(listener, generic, length) == 0, "bind");
    Check(getsockname(listener, generic, &length) == 0, "getsockname");
    // A follower that fails before it connects ends the leader too.
    const timeval patience{.tv_sec = 60, .tv_usec = 0};
    Check(setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &patience,
                     sizeof(patience)) == 0,
          "SO_RCVTIMEO");
    const int waiting = static_cast<int>(options.replicas);
    Check(listen(listener, waiting) == 0, "listen");
    const pid_t leader = getpid();
    for (uint64_t i = 1; i < options.replicas; ++i) {
      const pid_t pid = fork();
      Check(pid >= 0, "fork");
      if (pid == 0) {
        close(listener);
        // Not even a killed leader leaves followers behind.
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != leader) _exit(1);
        Follow(options, i, address);
        _exit(0);
      }
    }
    for (uint64_t i = 1; i < options.replicas; ++i) {
      const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      Check(fd >= 0, "accept");
      SendSmallAtOnce(fd);
      sockets_.push_back({fd, POLLIN, 0});
    }
    close(listener);
    acknowledged_.resize(sockets_.size());
  }

  ~Followers() {
    for (const pollfd& socket : sockets_) close(socket.fd);
    while (wait(nullptr) > 0 || errno == EINTR) {
    }
  }

  void Send(absl::string_view batch) {
    for (const pollfd& socket : sockets_) {
      absl::string_view rest = batch;
      while (!rest.empty()) {
        const ssize_t n =
            send(socket.fd, rest.data(), rest.size(), MSG_NOSIGNAL);
        Check(n > 0, "send");
        rest.remove_prefix(static_cast<size_t>(n));
      }
    }
    ++sent_;
  }

  // Until that many followers have all that was sent.
  void Await(size_t needed) {
    while (UpToDate() < needed) {
      Check(poll(sockets_.data(), sockets_.size(), -1) > 0, "poll");
      for (size_t i = 0; i < sockets_.size(); ++i) {
        if (sockets_[i].revents == 0) continue;
        char answers[64];
        const ssize_t n = recv(sockets_[i].fd, answers, sizeof(answers), 0);
        if (n <= 0) Die("a follower has ended");
        acknowledged_[i] += static_cast<uint64_t>(n);
      }
    }
  }

 private:
  size_t UpToDate() const {
    return static_cast<size_t>(
        std::count(acknowledged_.begin(), acknowledged_.end(), sent_));
  }

  std::vector<pollfd> sockets_;
  std::vector<uint64_t> acknowledged_;
  uint64_t sent_ = 0;
};

void Lead(const Options& options) {
  Followers followers(options);
  const std::unique_ptr<Disk> disk = OpenDisk(options, 0);
  const std::string batch(options.size * options.outstanding, 'x');
  Samples samples;
  const Clock::time_point start = Clock::now();
  Clock::time_point now = start;
  while (now - start < options.seconds) {
    const Clock::time_point sent = now;
    followers.Send(batch);
    disk->Append(batch);
    followers.Await(options.replicas / 2);
    now = Clock::now();
    samples.Add(now - sent, options.outstanding);
  }
  std::cout << samples.Json(now - start) << std::endl;
}

}  // namespace
}  // namespace quorate::bench

int main(int argc, char** argv) {
  using namespace quorate::bench;
  const Arguments arguments(argc, argv);
  Options options;
  options.folder = arguments.Text("folder");
  options.replicas = arguments.Number("replicas", 1);
  options.size = arguments.Number("size", 128);
  options.outstanding = arguments.Number("outstanding", 1);
  options.seconds = arguments.Seconds("seconds", 3);
  options.leveldb = arguments.Has("leveldb");
  const size_t batch = options.size * options.outstanding;
  if (options.replicas == 0 || batch == 0 || batch > kFileBytes) {
    Die("replicas, size and outstanding: at least 1, and 64 MiB in all");
  }
  Lead(options);
  return 0;
}
