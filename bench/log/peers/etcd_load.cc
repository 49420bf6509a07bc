// Puts new keys into etcd over gRPC, on one connection. Options: see load.h.

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/channel_arguments.h>
#include <unistd.h>

#include <cstdint>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "bench/floor/measure.h"
#include "bench/log/peers/etcd.pb.h"
#include "bench/log/peers/load.h"

namespace quorate::bench {
namespace {

using etcdserverpb::PutRequest;
using etcdserverpb::PutResponse;

constexpr char kPut[] = "/etcdserverpb.KV/Put";
// After a refusal, before the next attempt.
constexpr std::chrono::milliseconds kRetry(5);
// gRPC would wait for a second before it tries a broken connection again.
constexpr int kReconnectMillis = 20;
constexpr int kLongestReconnectMillis = 100;

class EtcdLoad {
 public:
  explicit EtcdLoad(const LoadOptions& options)
      : options_(options), load_(options), stub_(Connect(options.servers)) {}

  std::string Run() {
    StartDue();
    while (!load_.finished()) {
      void* tag = nullptr;
      bool ok = false;
      if (!queue_.Next(&tag, &ok)) Die("the completion queue has ended");
      OnAnswer(std::unique_ptr<Call>(static_cast<Call*>(tag)));
      StartDue();
    }
    return load_.Result();
  }

 private:
  struct Call {
    uint64_t number;
    Clock::time_point started;
    std::optional<grpc::ClientContext> context;
    PutResponse response;
    grpc::Status status;
  };

  static std::shared_ptr<grpc::Channel> Connect(const std::string& servers) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMillis);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kReconnectMillis);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS,
                     kLongestReconnectMillis);
    return grpc::CreateCustomChannel(absl::StrCat("ipv4:", servers),
                                     grpc::InsecureChannelCredentials(),
                                     arguments);
  }

  void StartDue() {
    uint64_t number = 0;
    while (load_.Next(&number)) {
      auto call = std::make_unique<Call>();
      call->number = number;
      call->started = Clock::now();
      Send(std::move(call));
    }
  }

  void Send(std::unique_ptr<Call> call) {
    PutRequest request;
    request.set_key(absl::StrCat("bench/", getpid(), "/", call->number));
    request.set_value(options_.value);
    call->context.emplace();
    call->context->set_wait_for_ready(true);
    call->context->set_deadline(std::chrono::system_clock::now() +
                                options_.patience);
    auto reader =
        stub_.PrepareUnaryCall(&*call->context, kPut, request, &queue_);
    reader->StartCall();
    Call* tag = call.release();
    reader->Finish(&tag->response, &tag->status, tag);
  }

  void OnAnswer(std::unique_ptr<Call> call) {
    if (call->status.ok() && call->response.header().revision() > 0) {
      load_.Acknowledged(call->started);
      return;
    }
    if (!options_.acks)
      Die(absl::StrCat("etcd: ", call->status.error_message()));
    std::this_thread::sleep_for(kRetry);
    Send(std::move(call));
  }

  const LoadOptions& options_;
  Load load_;
  grpc::CompletionQueue queue_;
  grpc::TemplatedGenericStub<PutRequest, PutResponse> stub_;
};

}  // namespace
}  // namespace quorate::bench

int main(int argc, char** argv) {
  using namespace quorate::bench;
  const LoadOptions options{Arguments(argc, argv)};
  std::cout << EtcdLoad(options).Run() << std::endl;
  return 0;
}
