// One subscription to an event stream of the v1 APIs: a POST whose answer is
// RecordIO.
//
//   subscription_ = std::make_unique<Subscription>(
//       environment, master, "/api/v1/scheduler", api::MediaType::kJson, body,
//       Subscription::Callbacks{...});

#ifndef QUORATE_CORE_SCHEDULER_SUBSCRIPTION_H_
#define QUORATE_CORE_SCHEDULER_SUBSCRIPTION_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/api/media.h"
#include "core/http/client.h"
#include "core/http/recordio.h"
#include "io/environment.h"

namespace quorate::scheduler {

class Subscription {
 public:
  // Run from the event loop. Each may destroy the subscription.
  struct Callbacks {
    // Status 200: records follow.
    std::function<void(const http::Response& head)> on_open;
    // Valid during the call.
    std::function<void(absl::string_view record)> on_record;
    // Any other status, with the beginning of its text. The last callback.
    std::function<void(const http::Response& answer)> on_refused;
    // No answer, the end of the stream, or not RecordIO. The last callback.
    std::function<void(const absl::Status& reason)> on_closed;
  };

  // `environment` outlives the subscription. `body` is of type `media`, as the
  // events will be.
  Subscription(io::Environment& environment, const io::Endpoint& server,
               absl::string_view path, api::MediaType media, std::string body,
               Callbacks callbacks);

  // From now on no callback runs; the connection stays open, so that the server
  // has no reason to think that nobody listens.
  void Mute() { muted_ = true; }

 private:
  void OnHead(const http::Response& head);
  void OnData(absl::string_view bytes);
  void OnClosed(const absl::Status& reason);
  void Close(const absl::Status& reason);

  Callbacks callbacks_;
  // Of the answer; its body only when it is a refusal.
  http::Response answer_;
  bool answered_ = false;
  bool done_ = false;  // The last callback has run.
  bool muted_ = false;
  http::RecordDecoder decoder_;
  // Tells, after a callback, whether it has destroyed this object.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  http::ClientConnection connection_;
};

// A request with a message of one of the v1 APIs.
http::Request ApiRequest(absl::string_view path, api::MediaType media,
                         std::string body);

}  // namespace quorate::scheduler

#endif  // QUORATE_CORE_SCHEDULER_SUBSCRIPTION_H_
