#include "core/scheduler/subscription.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace quorate::scheduler {
namespace {

// What is kept of the text of a refusal.
constexpr size_t kMaxRefusalBytes = 4096;

}  // namespace

http::Request ApiRequest(absl::string_view path, api::MediaType media,
                         std::string body) {
  http::Request request;
  request.method = "POST";
  request.target = std::string(path);
  request.headers.Set("Content-Type", api::MediaTypeName(media));
  request.headers.Set("Accept", api::MediaTypeName(media));
  request.body = std::move(body);
  return request;
}

Subscription::Subscription(io::Environment& environment,
                           const io::Endpoint& server, absl::string_view path,
                           api::MediaType media, std::string body,
                           Callbacks callbacks)
    : callbacks_(std::move(callbacks)),
      connection_(environment.clock(), environment.network(), server, {}) {
  connection_.SendForStream(
      ApiRequest(path, media, std::move(body)),
      {.on_head = [this](const http::Response& head) { OnHead(head); },
       .on_data = [this](absl::string_view bytes) { OnData(bytes); },
       .on_closed = [this](const absl::Status& reason) { OnClosed(reason); }});
}

void Subscription::OnHead(const http::Response& head) {
  answer_ = head;
  answer_.body.clear();
  answered_ = true;
  if (answer_.status == 200 && !muted_) callbacks_.on_open(answer_);
}

void Subscription::OnData(absl::string_view bytes) {
  if (done_ || muted_) return;
  if (answer_.status != 200) {
    const size_t room = kMaxRefusalBytes - answer_.body.size();
    answer_.body.append(bytes.data(), std::min(room, bytes.size()));
    return;
  }
  std::vector<std::string> records;
  const absl::Status decoded = decoder_.Feed(
      bytes,
      [&records](absl::string_view record) { records.emplace_back(record); });
  const std::weak_ptr<bool> alive = alive_;
  for (const std::string& record : records) {
    callbacks_.on_record(record);
    if (alive.expired() || muted_) return;
  }
  if (!decoded.ok()) Close(decoded);
}

void Subscription::OnClosed(const absl::Status& reason) {
  if (done_ || muted_) return;
  if (answered_ && answer_.status != 200) {
    done_ = true;
    return callbacks_.on_refused(http::Response(answer_));
  }
  Close(reason.ok() ? absl::UnavailableError("the server ended the stream")
                    : reason);
}

void Subscription::Close(const absl::Status& reason) {
  done_ = true;
  callbacks_.on_closed(reason);
}

}  // namespace quorate::scheduler
