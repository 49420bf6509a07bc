#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "prod/disk.h"

namespace quorate::prod {
namespace {

struct Job {
  std::function<void()> work;
  std::function<void()> done;
};

class ThreadLane final : public io::Lane {
 public:
  ThreadLane(EventLoop* loop, absl::string_view name)
      : loop_(loop),
        alive_(std::make_shared<bool>(true)),
        thread_([this] { Work(); }) {
    // The kernel keeps 15 characters of a thread's name.
    const std::string short_name(name.substr(0, 15));
    pthread_setname_np(thread_.native_handle(), short_name.c_str());
  }

  ~ThreadLane() override {
    *alive_ = false;
    std::deque<std::shared_ptr<Job>> dropped;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      dropped.swap(jobs_);
      stopping_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }

  void Run(std::function<void()> work, std::function<void()> done) override {
    auto job = std::make_shared<Job>(Job{std::move(work), std::move(done)});
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      jobs_.push_back(std::move(job));
    }
    changed_.notify_one();
  }

 private:
  void Work() {
    while (true) {
      std::shared_ptr<Job> job;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
        if (stopping_) return;
        job = std::move(jobs_.front());
        jobs_.pop_front();
      }
      job->work();
      // The job goes back with all that it holds: what is made on the loop is
      // destroyed there.
      loop_->Post([alive = alive_, job = std::move(job)] {
        if (*alive) job->done();
      });
    }
  }

  EventLoop* const loop_;
  // Of the loop's thread only; says whether `done` may still run.
  const std::shared_ptr<bool> alive_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Job>> jobs_;  // Guarded by mutex_.
  bool stopping_ = false;                  // Guarded by mutex_.
  std::thread thread_;                     // Last: begins when all is there.
};

}  // namespace

std::unique_ptr<io::Lane> NewThreadLane(EventLoop* loop,
                                        absl::string_view name) {
  return std::make_unique<ThreadLane>(loop, name);
}

}  // namespace quorate::prod
