// One link from an agent, registered or not. For the parts of Agents only.
//
// It asks for one thing: to be registered anew, or again under one id. What it
// asks for is true from the first message on, also while the registry has yet
// to answer, so that no two agents can be attached to one link.

#ifndef QUORATE_CORE_MASTER_AGENT_CONNECTION_H_
#define QUORATE_CORE_MASTER_AGENT_CONNECTION_H_

#include <glog/logging.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/hash/hash.h"
#include "core/master/agents.h"

namespace quorate::master {

class Agents::Connection final : public AgentPeer, public wire::Link::Listener {
 public:
  Connection(Agents& agents, uint64_t id, std::unique_ptr<wire::Link> link)
      : agents_(agents), id_(id), link_(std::move(link)) {}

  void Start() { link_->Start(this); }

  uint64_t id() const { return id_; }
  // Where the agent itself can be reached.
  io::Endpoint address() const { return link_->peer().address; }
  // Empty until it is registered.
  const std::string& agent_id() const { return agent_id_; }
  void set_agent_id(std::string id) { agent_id_ = std::move(id); }

  // True when it asks for nothing else: to be registered under `id`, which is
  // empty for a new one.
  bool Claim(const std::string& id) {
    if (!claim_) claim_ = id;
    return *claim_ == id || (!agent_id_.empty() && agent_id_ == id);
  }

  // Of the message that is being handled.
  size_t fingerprint() const { return fingerprint_; }
  // The registration of that fingerprint is done: when the agent repeats it,
  // there is nothing to do but to say so.
  void set_done(size_t fingerprint) { done_ = fingerprint; }

  void Send(const wire::AgentMessage& message) override {
    if (broken_ || link_->Send(message.SerializeAsString())) return;
    Break(absl::ResourceExhaustedError("the agent does not read"));
  }

  void OnMessage(absl::string_view payload) override {
    if (broken_) return;
    fingerprint_ = absl::HashOf(payload);
    if (done_ == fingerprint_ && agents_.AnswerAgain(*this)) return;
    wire::AgentMessage message;
    if (!message.ParseFromArray(payload.data(), payload.size())) {
      return Break(absl::InvalidArgumentError("not a message of an agent"));
    }
    agents_.OnMessage(*this, message);
  }

  void OnClosed(const absl::Status& reason) override { Break(reason); }

  // Whoever sends may be in the middle of something that a disconnection
  // changes: told at the next turn of the loop.
  void Break(const absl::Status& reason) {
    if (std::exchange(broken_, true)) return;
    timer_ = agents_.context_.clock().RunAfter(
        io::Duration::zero(),
        [this, reason] { agents_.OnClosed(*this, reason); });
  }

 private:
  Agents& agents_;
  const uint64_t id_;
  std::string agent_id_;
  std::optional<std::string> claim_;
  size_t fingerprint_ = 0;
  std::optional<size_t> done_;
  bool broken_ = false;
  io::Timer timer_;
  const std::unique_ptr<wire::Link> link_;
};

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_AGENT_CONNECTION_H_
