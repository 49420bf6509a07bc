// Messages between replicas of the log: what passes the check cannot harm any
// machine.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/log/acceptor.h"
#include "core/log/formation.h"
#include "core/log/handshake.h"
#include "core/log/messages.h"
#include "core/log/proposer.h"
#include "fuzz/pieces.h"

namespace quorate::fuzz {
namespace {

using log::Acceptor;
using log::Acquaintances;
using log::EntryHash;
using log::EntryProto;
using log::Formation;
using log::FromProto;
using log::Handshake;
using log::LogMessage;
using log::MemberId;
using log::Outgoing;
using log::PromiseReply;
using log::Proposer;
using log::ReplicaState;
using log::SlotProto;
using log::ToProto;

const MemberId kMe(16, 'a');
const MemberId kOther(16, 'b');
const MemberId kThird(16, 'c');

// A proposer that has promised itself, and waits for the others.
Proposer Candidate() {
  Proposer proposer(kMe, {kMe, kOther, kThird}, {5, kMe}, 3);
  Proposer::Output output;
  proposer.Start(&output);
  PromiseReply own;
  *own.mutable_ballot() = ToProto({5, kMe});
  *own.mutable_promised() = ToProto({5, kMe});
  own.set_result(log::OK);
  own.set_end(3);
  own.set_from_position(3);
  own.mutable_slot()->set_state(SlotProto::NONE);
  proposer.OnPromiseReply(kMe, own, &output);
  return proposer;
}

void FeedAcceptor(LogMessage message) {
  ReplicaState state;
  state.promised = {4, kOther};
  state.settled = 2;
  state.holes[0] = 1;
  Acceptor acceptor(kMe, state);
  std::vector<Outgoing> answers;
  const MemberId from = message.from();
  if (message.has_promise()) {
    acceptor.OnPromise(from, message.promise(), &answers);
  } else if (message.has_slot_query()) {
    acceptor.OnSlotQuery(from, message.slot_query(), &answers);
  } else if (message.has_write()) {
    acceptor.OnWrite(from, message.mutable_write(), &answers);
  } else if (message.has_heartbeat()) {
    acceptor.OnHeartbeat(from, message.heartbeat(), &answers);
    acceptor.OnCommit(FromProto(message.heartbeat().ballot()),
                      message.heartbeat().epoch(),
                      message.heartbeat().commit());
  } else if (message.has_learned() && message.learned().has_entry()) {
    auto entry = std::make_shared<EntryProto>(message.learned().entry());
    const std::string hash = EntryHash(*entry);
    // Two values at one position are told as an error.
    acceptor.OnLearned(message.learned().position(), std::move(entry), hash)
        .IgnoreError();
  } else if (message.has_learned()) {
    acceptor
        .OnChosen(message.learned().position(),
                  FromProto(message.learned().ballot()),
                  message.learned().hash())
        .IgnoreError();
  }
  acceptor.TakeWrite();
  acceptor.TakeLearned();
  acceptor.CheckInvariants();
}

void FeedProposer(const LogMessage& message) {
  Proposer proposer = Candidate();
  Proposer::Output output;
  const MemberId& from = message.from();
  if (message.has_promise_reply()) {
    proposer.OnPromiseReply(from, message.promise_reply(), &output);
    proposer.OnPromiseReply(kOther, message.promise_reply(), &output);
  } else if (message.has_slot_reply()) {
    proposer.OnSlotReply(from, message.slot_reply(), &output);
  } else if (message.has_write_reply()) {
    proposer.OnWriteReply(from, message.write_reply(), &output);
  }
  proposer.OnRetry(&output);
  proposer.CheckInvariants();
}

void FeedOthers(const LogMessage& message) {
  Acquaintances acquaintances(kMe, {});
  acquaintances.OnHeader(message.from(), message.incarnation(),
                         message.boot_nonce());
  if (message.has_hello()) {
    Formation formation(kMe, {.quorum = 2}, std::nullopt);
    Formation::Output output;
    formation.OnHello(io::Instant(), message.from(),
                      {message.cluster_id(), message.generation()},
                      message.hello(), &output);
    formation.Explain();
  }
  if (message.has_hello_reply()) {
    Handshake handshake(kMe, {.incarnation = 2, .boot_nonce = 7},
                        {kMe, kOther, kThird});
    Handshake::Output output;
    handshake.OnReply(message.from(), message.hello_reply(), &output);
  }
}

}  // namespace
}  // namespace quorate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quorate;
  log::LogMessage message;
  if (!log::ParseMessage(fuzz::ToView(data, size), &message)) return 0;
  fuzz::FeedAcceptor(message);
  fuzz::FeedProposer(message);
  fuzz::FeedOthers(message);
  return 0;
}
