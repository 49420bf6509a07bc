// What the clients of etcd and of ZooKeeper share: they keep a number of
// appends under way until their time or their count is over.

#ifndef QUORATE_BENCH_LOG_PEERS_LOAD_H_
#define QUORATE_BENCH_LOG_PEERS_LOAD_H_

#include <cstdint>
#include <string>

#include "bench/floor/measure.h"

namespace quorate::bench {

// --servers=HOST:PORT,.. the first that answers is used
// --size=BYTES --outstanding=K
// --seconds=S, or --count=N for that many appends
// --acks  a line with the monotonic time, in seconds, of each acknowledgement
// --patience=S  an append without an answer for so long is tried again
struct LoadOptions {
  explicit LoadOptions(const Arguments& arguments);

  std::string servers;
  std::string value;
  uint64_t outstanding;
  uint64_t count;
  Clock::duration seconds;
  Clock::duration patience;
  bool acks;
};

class Load {
 public:
  // `options` must outlive it.
  explicit Load(const LoadOptions& options);

  // Whether another append is due; if so, counts it and gives its number. The
  // clock starts with the first.
  bool Next(uint64_t* number);

  // The append that was started then is acknowledged.
  void Acknowledged(Clock::time_point started);

  // All that were begun are acknowledged, and no more are due.
  bool finished() const;

  // The result of the whole run, as one line of JSON.
  std::string Result();

 private:
  bool Over() const;

  const LoadOptions& options_;
  Samples samples_;
  Clock::time_point start_;
  Clock::time_point last_;
  uint64_t begun_ = 0;
};

}  // namespace quorate::bench

#endif  // QUORATE_BENCH_LOG_PEERS_LOAD_H_
