// The half of LogNode::Core that gets entries from others, and repairs.

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/log/log_core.h"
#include "core/log/messages.h"

namespace quorate::log {
namespace {

constexpr io::Duration kFetchTimeout = std::chrono::seconds(1);
// Who was heard since may answer.
constexpr io::Duration kRecently = std::chrono::seconds(2);
constexpr size_t kScrubBytes = 1 << 20;

}  // namespace

void LogNode::Core::NoteCommit(uint64_t commit, const MemberId& from) {
  if (commit >= commit_seen_) {
    commit_seen_ = commit;
    commit_member_ = from;
  }
  CatchUp();
}

void LogNode::Core::CatchUp() {
  const uint64_t missing = WholeUpto();
  if (commit_seen_ <= missing) return;
  // Who was asked does not answer: another one may.
  if (fetch_sent_ && Now() - *fetch_sent_ >= kFetchTimeout) AskAnother();
  FetchFrom(commit_member_, missing, 0);
}

// The next one, in the order of ids, that was heard of and has more.
void LogNode::Core::AskAnother() {
  const auto has_more = [this](const std::pair<const MemberId, PeerFacts>& it) {
    return it.second.learned_upto > WholeUpto() &&
           Now() - it.second.heard < kRecently;
  };
  auto after = facts_.upper_bound(commit_member_);
  auto next = std::find_if(after, facts_.end(), has_more);
  if (next == facts_.end()) {
    next = std::find_if(facts_.begin(), after, has_more);
    if (next == after) return;
  }
  commit_member_ = next->first;
}

// One question at a time, and none while the disk is behind. Whether it was
// asked.
bool LogNode::Core::FetchFrom(const MemberId& from, uint64_t position,
                              uint64_t end) {
  const io::Instant now = Now();
  if (from == me() || (fetch_sent_ && now - *fetch_sent_ < kFetchTimeout) ||
      persistence_.backlog_bytes() >= kMaxBacklogBytes) {
    return false;
  }
  // On a full disk there is a limit to what waits in memory. That all of it
  // was truncated is welcome.
  if (persistence_.disk_full() &&
      persistence_.absorbed_bytes() >= kMaxBacklogBytes) {
    end = position;
  }
  fetch_sent_ = now;
  Outgoing message{from, {}, 0};
  message.message.mutable_fetch()->set_position(position);
  if (end > 0) message.message.mutable_fetch()->set_end(end);
  Transmit(std::move(message));
  return true;
}

void LogNode::Core::ServeFetch(const MemberId& from, const Fetch& fetch) {
  const uint64_t position = fetch.position();
  Outgoing answer{from, {}, 0};
  answer.message.mutable_fetch_reply()->set_position(position);
  if (position < acceptor_->base()) {
    *answer.message.mutable_fetch_reply()->mutable_base() = BaseInForce();
    return Transmit(std::move(answer));
  }
  uint64_t end = acceptor_->settled();
  if (fetch.end() > 0) end = std::min(end, fetch.end());
  if (position >= end) return Transmit(std::move(answer));
  if (fetches_served_ >= kMaxFetches) return;
  ++fetches_served_;
  persistence_.Read(
      position, end, kFetchBytes,
      [this, from, position](Storage::ReadResult read) {
        --fetches_served_;
        Outgoing answer{from, {}, 0};
        FetchReply& reply = *answer.message.mutable_fetch_reply();
        reply.set_position(position);
        for (const Entry& entry : read.entries) *reply.add_entries() = *entry;
        Transmit(std::move(answer));
        if (read.damaged && position + read.entries.size() >= applied_) {
          Settle();
          return;
        }
        if (read.damaged) NoteDamaged(position + read.entries.size());
        Settle();
      });
}

// Of the configurations that are kept the oldest is the one at the base.
Base LogNode::Core::BaseInForce() const {
  Base base;
  base.set_position(acceptor_->base());
  base.set_config_position(configs_.begin()->first);
  *base.mutable_config() = configs_.begin()->second;
  return base;
}

void LogNode::Core::OnFetchReply(const MemberId& from, FetchReply* reply) {
  fetch_sent_.reset();
  if (reply->has_base()) AdoptBase(reply->base());
  uint64_t position = reply->position();
  for (EntryProto& entry : *reply->mutable_entries()) {
    const uint64_t damaged = acceptor_->damaged();
    auto shared = std::make_shared<EntryProto>(std::move(entry));
    std::string hash = EntryHash(*shared);
    Check(acceptor_->OnLearned(position++, std::move(shared), hash));
    repaired_ += damaged - acceptor_->damaged();
    ++fetched_;
  }
  // The one that was asked does not have it: another one may.
  if (reply->entries_size() == 0 && !reply->has_base() &&
      from == commit_member_) {
    return AskAnother();
  }
  CatchUp();
}

// The peer has truncated what is missing here: its base takes the place.
void LogNode::Core::AdoptBase(const Base& base) {
  if (base.position() <= applied_) return TruncateTo(base.position());
  LOG(INFO) << "positions below " << base.position()
            << " were truncated before this replica had them";
  configs_.clear();
  configs_[base.config_position()] = base.config();
  applied_ = base.position();
  fresh_.erase(fresh_.begin(), fresh_.lower_bound(applied_));
  acceptor_->AdoptBase(base.position());
  persistence_.Truncate(base);
  OnConfigInForce(base.config_position());
  listener_->OnBase(base.position());
  if (!proposer_) return;
  Proposer::Output output;
  proposer_->OnLearned(applied_, MembersOf(config()), &output);
  Carry(std::move(output));
}

// On a full disk the record may only be waiting for space.
void LogNode::Core::NoteDamaged(uint64_t position) {
  if (persistence_.disk_full()) return;
  ++damaged_found_;
  acceptor_->OnDamaged(position);
}

// Asks one peer after another for what is damaged here.
void LogNode::Core::Repair() {
  const std::optional<uint64_t> damaged = acceptor_->FirstDamaged(0);
  // Of what nobody is known to have learned only an election can tell.
  if (!damaged || facts_.empty() || *damaged >= commit_seen_) return;
  auto peer = std::next(facts_.begin(),
                        static_cast<ptrdiff_t>(repair_next_ % facts_.size()));
  if (FetchFrom(peer->first, *damaged, *damaged + 1)) ++repair_next_;
}

// Reads every record once in a while: what is damaged on disk is found while
// there are others to repair it from.
void LogNode::Core::Scrub() {
  const io::Instant now = Now();
  if (scrubbing_ || applied_ == 0 ||
      (scrub_next_ == 0 && now - scrubbed_ < options_.scrub_interval)) {
    return;
  }
  const uint64_t from = std::max(scrub_next_, acceptor_->base());
  const uint64_t end = std::min(applied_, acceptor_->learned_upto());
  if (from >= end) {
    scrub_next_ = 0;
    scrubbed_ = now;
    return;
  }
  scrubbing_ = true;
  persistence_.Scrub(from, end, kScrubBytes,
                     [this](Storage::ScrubResult result) {
                       scrubbing_ = false;
                       scrub_next_ = result.next;
                       for (uint64_t position : result.damaged) {
                         LOG(WARNING) << "the record of position " << position
                                      << " is damaged on disk; fetching it";
                         NoteDamaged(position);
                       }
                       Settle();
                     });
}

void LogNode::Core::Read(uint64_t from, uint64_t to, LogNode::OnRead done) {
  if (!started_ || from < acceptor_->base() || to > applied_ || from > to) {
    return done(absl::OutOfRangeError(absl::StrCat(
        "positions ", from, " to ", to, " are not readable here; those from ",
        acceptor_ ? acceptor_->base() : 0, " to ", applied_, " are")));
  }
  if (from == to) return done(Range{{}, to});
  persistence_.Read(
      from, to, kFetchBytes,
      [this, from, done = std::move(done)](Storage::ReadResult read) {
        Range range;
        uint64_t position = from;
        for (const Entry& entry : read.entries) {
          if (entry->type() == APPEND) {
            for (const std::string& payload : entry->payload()) {
              range.entries.push_back({position, payload});
            }
          }
          ++position;
        }
        if (read.damaged) {
          NoteDamaged(position);
          Settle();
        }
        if (read.entries.empty() && persistence_.disk_full()) {
          return done(absl::UnavailableError(
              absl::StrCat("position ", position,
                           " cannot be read before the disk has space again")));
        }
        if (read.entries.empty()) {
          return done(absl::DataLossError(
              absl::StrCat("position ", position,
                           " is damaged on this disk, and being fetched")));
        }
        range.next = position;
        done(std::move(range));
      });
}

}  // namespace quorate::log
