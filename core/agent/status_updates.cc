#include "core/agent/status_updates.h"

#include <glog/logging.h>

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace quorate::agent {

using Kind = StatusUpdates::Output::Kind;

const StatusUpdates::Pending* StatusUpdates::FindPending(
    const State& state, absl::string_view uuid) {
  for (const Pending& pending : state.pending) {
    if (pending.update.uuid == uuid) return &pending;
  }
  return nullptr;
}

bool StatusUpdates::IsAcknowledged(const State& state, absl::string_view uuid) {
  return std::find(state.acknowledged.begin(), state.acknowledged.end(),
                   uuid) != state.acknowledged.end();
}

uint64_t StatusUpdates::Persist(const Stream& stream, State& state,
                                const Update& update, bool is_acknowledgement,
                                Outputs* out) {
  if (!state.checkpointed) return 0;
  state.last_write = ++last_write_;
  out->push_back(
      {.kind = is_acknowledgement ? Kind::kPersistAcknowledgement
                                  : Kind::kPersistUpdate,
       .stream = stream,
       .uuid = update.uuid,
       .content = is_acknowledgement ? std::string() : update.content,
       .write = state.last_write});
  return state.last_write;
}

absl::Status StatusUpdates::OnUpdate(io::Instant now, const Stream& stream,
                                     const Update& update, bool checkpointed,
                                     Outputs* out) {
  const auto [it, is_new] = streams_.try_emplace(stream);
  State& state = it->second;
  if (is_new) state.checkpointed = checkpointed;
  uint64_t write = state.last_write;
  if (const Pending* known = FindPending(state, update.uuid)) {
    write = known->write;
  } else if (!state.ended && !IsAcknowledged(state, update.uuid)) {
    if (state.pending.size() >= kMaxPending && !update.terminal) {
      return absl::ResourceExhaustedError(
          absl::StrCat("task '", stream.task_id, "' has ", kMaxPending,
                       " status updates that wait for acknowledgement"));
    }
    write = Persist(stream, state, update, false, out);
    state.pending.push_back({update, write});
    state.ended = update.terminal;
    if (state.pending.size() == 1 && !paused_) {
      Forward(now, stream, state, out);
    }
  }
  out->push_back({.kind = Kind::kAccepted,
                  .stream = stream,
                  .uuid = update.uuid,
                  .after = write});
  return absl::OkStatus();
}

absl::Status StatusUpdates::OnAcknowledgement(io::Instant now,
                                              const Stream& stream,
                                              absl::string_view uuid,
                                              Outputs* out) {
  const auto it = streams_.find(stream);
  if (it == streams_.end() || it->second.pending.empty() ||
      it->second.pending.front().update.uuid != uuid) {
    return absl::NotFoundError("no update waits for this acknowledgement");
  }
  State& state = it->second;
  const Update& front = state.pending.front().update;
  const bool finished = front.terminal;
  const uint64_t write = Persist(stream, state, front, true, out);
  PopFront(state);
  SetDue(stream, state, std::nullopt);
  if (finished) {
    out->push_back({.kind = Kind::kFinished, .stream = stream, .after = write});
    streams_.erase(it);
  } else if (!state.pending.empty() && !paused_) {
    Forward(now, stream, state, out);
  }
  return absl::OkStatus();
}

void StatusUpdates::PopFront(State& state) {
  state.acknowledged.push_back(std::move(state.pending.front().update.uuid));
  if (state.acknowledged.size() > kMaxRemembered) {
    state.acknowledged.pop_front();
  }
  state.pending.pop_front();
  state.retry = kMinRetry;
}

void StatusUpdates::Forward(io::Instant now, const Stream& stream, State& state,
                            Outputs* out) {
  const Pending& front = state.pending.front();
  // Everything of this stream so far: an acknowledgement that is not durable
  // yet must not be overtaken.
  out->push_back({.kind = Kind::kForward,
                  .stream = stream,
                  .uuid = front.update.uuid,
                  .content = front.update.content,
                  .after = state.last_write});
  SetDue(stream, state, now + state.retry);
  state.retry = std::min(2 * state.retry, kMaxRetry);
}

void StatusUpdates::SetDue(const Stream& stream, State& state,
                           std::optional<io::Instant> due) {
  if (state.due.has_value()) due_.erase({*state.due, stream});
  state.due = due;
  if (due.has_value()) due_.insert({*due, stream});
}

void StatusUpdates::Resume(io::Instant now, Outputs* out) {
  paused_ = false;
  for (auto& [stream, state] : streams_) {
    if (state.pending.empty()) continue;
    state.retry = kMinRetry;
    Forward(now, stream, state, out);
  }
}

void StatusUpdates::Pause() {
  paused_ = true;
  for (auto& [stream, state] : streams_) SetDue(stream, state, std::nullopt);
}

void StatusUpdates::OnTimer(io::Instant now, Outputs* out) {
  while (!due_.empty() && due_.begin()->first <= now) {
    const Stream stream = due_.begin()->second;
    Forward(now, stream, streams_.at(stream), out);
  }
}

std::optional<io::Instant> StatusUpdates::NextRetry() const {
  if (due_.empty()) return std::nullopt;
  return due_.begin()->first;
}

bool StatusUpdates::Recover(const Stream& stream,
                            const std::vector<Record>& records) {
  State state;
  state.checkpointed = true;
  bool finished = false;
  for (const Record& record : records) {
    const Update& update = record.update;
    if (!record.is_acknowledgement) {
      if (state.ended || FindPending(state, update.uuid) != nullptr) continue;
      state.pending.push_back({update, 0});
      state.ended = update.terminal;
    } else if (!state.pending.empty() &&
               state.pending.front().update.uuid == update.uuid) {
      finished = state.pending.front().update.terminal;
      PopFront(state);
    }
  }
  if (!finished) streams_[stream] = std::move(state);
  return !finished;
}

void StatusUpdates::Remove(absl::string_view framework_id) {
  for (auto it = streams_.begin(); it != streams_.end();) {
    if (it->first.framework_id == framework_id) {
      SetDue(it->first, it->second, std::nullopt);
      it = streams_.erase(it);
    } else {
      ++it;
    }
  }
}

bool StatusUpdates::Knows(const Stream& stream, absl::string_view uuid) const {
  const auto it = streams_.find(stream);
  return it != streams_.end() && (FindPending(it->second, uuid) != nullptr ||
                                  IsAcknowledged(it->second, uuid));
}

bool StatusUpdates::HasPending(const Stream& stream) const {
  const auto it = streams_.find(stream);
  return it != streams_.end() && !it->second.pending.empty();
}

size_t StatusUpdates::longest() const {
  size_t longest = 0;
  for (const auto& [stream, state] : streams_) {
    longest = std::max(longest, state.pending.size());
  }
  return longest;
}

void StatusUpdates::CheckInvariants() const {
  size_t due = 0;
  for (const auto& [stream, state] : streams_) {
    CHECK_LE(state.pending.size(), kMaxPending + 1) << stream.task_id;
    CHECK_LE(state.acknowledged.size(), kMaxRemembered) << stream.task_id;
    CHECK_LE(state.last_write, last_write_) << stream.task_id;
    // What waits is forwarded again if, and only if, somebody listens.
    CHECK_EQ(state.due.has_value(), !paused_ && !state.pending.empty())
        << stream.task_id;
    if (state.due.has_value()) {
      ++due;
      CHECK(due_.count({*state.due, stream})) << stream.task_id;
    }
    // A terminal update is the last one, and keeps the stream until it is
    // acknowledged.
    for (size_t i = 0; i < state.pending.size(); ++i) {
      const bool last = i + 1 == state.pending.size();
      CHECK_EQ(state.pending[i].update.terminal, last && state.ended)
          << stream.task_id;
    }
    CHECK(!state.ended || !state.pending.empty()) << stream.task_id;
  }
  CHECK_EQ(due, due_.size());
}

}  // namespace quorate::agent
