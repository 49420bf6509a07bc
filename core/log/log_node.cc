#include "core/log/log_node.h"

#include <utility>

#include "core/log/log_core.h"

namespace quorate::log {

LogNode::LogNode(io::Environment& environment, LogOptions options,
                 Listener* listener)
    : core_(std::make_unique<Core>(environment, std::move(options), listener)) {
}
LogNode::~LogNode() = default;

void LogNode::Start() { core_->Start(); }
void LogNode::SetPeers(const std::vector<io::Endpoint>& addresses) {
  core_->SetPeers(addresses);
}
void LogNode::CheckRecord(std::string cluster_id, OnDone done) {
  core_->CheckRecord(std::move(cluster_id), std::move(done));
}
void LogNode::Accept(std::unique_ptr<wire::Link> link) {
  core_->peers().Accept(std::move(link));
}
wire::Handshake LogNode::MyHandshake() const { return core_->MyHandshake(); }
void LogNode::Elect(OnElected done) { core_->Elect(std::move(done)); }
void LogNode::Resign() { core_->Resign(); }
void LogNode::TransferLeadership() { core_->TransferLeadership(); }
void LogNode::Append(std::string payload, OnAppended done) {
  core_->Append(std::move(payload), std::move(done));
}
void LogNode::Truncate(uint64_t to, OnAppended done) {
  core_->Truncate(to, std::move(done));
}
void LogNode::Read(uint64_t from, uint64_t to, OnRead done) {
  core_->Read(from, to, std::move(done));
}
void LogNode::Barrier(OnDone done) { core_->Barrier(std::move(done)); }
void LogNode::ChangeMembers(const MemberChange& change, OnDone done) {
  core_->ChangeMembers(change, std::move(done));
}
LogStatus LogNode::status() const { return core_->status(); }
size_t LogNode::queued_appends() const { return core_->queued_appends(); }

}  // namespace quorate::log
