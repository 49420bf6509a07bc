#include "scenarios/http_framework.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/http/client.h"
#include "core/http/recordio.h"
#include "core/json/value.h"
#include "core/json/writer.h"

namespace quorate::scenarios {
namespace {

constexpr uint16_t kMasterPort = 5050;
constexpr char kTaskId[] = "over-http";

using Memory = HttpFramework::Memory;

std::string Quoted(absl::string_view text) {
  std::string quoted;
  json::JsonWriter(&quoted).String(text);
  return quoted;
}

class Subscriber final : public sim::Program {
 public:
  Subscriber(io::Environment& environment, const io::Endpoint& master,
             std::string command, std::shared_ptr<Memory> memory,
             sim::TaskTruth& truth)
      : command_(std::move(command)),
        memory_(std::move(memory)),
        truth_(truth),
        events_(environment.clock(), environment.network(), master, {}),
        calls_(environment.clock(), environment.network(), master, {}) {
    const std::string id =
        memory_->id.empty()
            ? ""
            : absl::StrCat(R"(,"id":{"value":)", Quoted(memory_->id), "}");
    http::Request request = Call(absl::StrCat(
        R"({"type":"SUBSCRIBE",)",
        memory_->id.empty() ? ""
                            : absl::StrCat(R"("framework_id":{"value":)",
                                           Quoted(memory_->id), "},"),
        R"("subscribe":{"framework_info":{"user":"root","name":"over-http",)",
        R"("roles":["*"],"failover_timeout":3600,"checkpoint":true,)",
        R"("capabilities":[{"type":"MULTI_ROLE"}])", id, "}}}"));
    events_.SendForStream(
        std::move(request),
        {.on_head =
             [this](const http::Response& head) {
               memory_->connected = head.status == 200;
               memory_->stream_id =
                   head.headers.Get("Mesos-Stream-Id").value_or("");
             },
         .on_data = [this](absl::string_view bytes) { OnData(bytes); },
         .on_closed =
             [this](const absl::Status&) { memory_->connected = false; }});
  }

  ~Subscriber() override { memory_->connected = false; }

 private:
  static http::Request Call(std::string body) {
    http::Request request;
    request.method = "POST";
    request.target = "/api/v1/scheduler";
    request.headers = {{"Content-Type", "application/json"},
                       {"Accept", "application/json"}};
    request.body = std::move(body);
    return request;
  }

  void Send(absl::string_view type, absl::string_view body) {
    http::Request request =
        Call(absl::StrCat(R"({"type":")", type, R"(","framework_id":{"value":)",
                          Quoted(memory_->id), "},", body, "}"));
    request.headers.Add("Mesos-Stream-Id", memory_->stream_id);
    calls_.Send(std::move(request), [](const auto&) {});
  }

  void OnData(absl::string_view bytes) {
    const absl::Status decoded =
        decoder_.Feed(bytes, [this](absl::string_view record) {
          if (auto event = json::Parse(record); event.ok()) OnEvent(*event);
        });
    if (!decoded.ok()) memory_->connected = false;
  }

  void OnEvent(const json::Value& event) {
    const absl::string_view type = event["type"].AsString();
    if (type == "SUBSCRIBED") {
      memory_->id =
          std::string(event["subscribed"]["framework_id"]["value"].AsString());
    } else if (type == "OFFERS") {
      for (const json::Value& offer : event["offers"]["offers"].items()) {
        OnOffer(offer);
      }
    } else if (type == "UPDATE") {
      OnUpdate(event["update"]["status"]);
    }
  }

  void OnOffer(const json::Value& offer) {
    const std::string offer_id = Quoted(offer["id"]["value"].AsString());
    if (std::exchange(memory_->launched, true)) {
      return Send("DECLINE",
                  absl::StrCat(R"("decline":{"offer_ids":[{"value":)", offer_id,
                               "}]}"));
    }
    truth_.Asked(memory_->id, kTaskId);
    Send("ACCEPT",
         absl::StrCat(
             R"("accept":{"offer_ids":[{"value":)", offer_id,
             R"(}],"operations":[{"type":"LAUNCH","launch":{"task_infos":[)",
             R"({"name":"t","task_id":{"value":")", kTaskId,
             R"("},"agent_id":{"value":)",
             Quoted(offer["agent_id"]["value"].AsString()),
             R"(},"command":{"shell":true,"value":)", Quoted(command_),
             R"(},"resources":[)", Scalar("cpus", 0.1), ",", Scalar("mem", 32),
             "]}]}}]}"));
  }

  static std::string Scalar(absl::string_view name, double value) {
    return absl::StrCat(R"({"name":")", name,
                        R"(","type":"SCALAR","scalar":{"value":)", value,
                        R"(},"allocation_info":{"role":"*"}})");
  }

  void OnUpdate(const json::Value& status) {
    memory_->states.emplace_back(status["state"].AsString());
    truth_.Told(memory_->id, kTaskId, memory_->states.back());
    if (!status["uuid"].is_string()) return;
    Send("ACKNOWLEDGE",
         absl::StrCat(R"("acknowledge":{"agent_id":{"value":)",
                      Quoted(status["agent_id"]["value"].AsString()),
                      R"(},"task_id":{"value":")", kTaskId, R"("},"uuid":)",
                      Quoted(status["uuid"].AsString()), "}"));
  }

  const std::string command_;
  const std::shared_ptr<Memory> memory_;
  sim::TaskTruth& truth_;
  http::RecordDecoder decoder_;
  http::ClientConnection events_;
  http::ClientConnection calls_;
};

}  // namespace

HttpFramework::HttpFramework(sim::World& world, sim::Network& network,
                             sim::TaskTruth& truth)
    : host_(world, network, "http-framework", "10.0.9.2"), truth_(truth) {}

void HttpFramework::Subscribe(const sim::Host& master,
                              const std::string& command) {
  host_.Start(
      absl::StrCat("subscriber", ++subscriptions_),
      [to = io::Endpoint{master.ip(), kMasterPort}, command, memory = memory_,
       &truth = truth_](io::Environment& environment) {
        return std::make_unique<Subscriber>(environment, to, command, memory,
                                            truth);
      });
}

bool HttpFramework::Reached(const std::string& state) const {
  return std::count(memory_->states.begin(), memory_->states.end(), state) > 0;
}

}  // namespace quorate::scenarios
