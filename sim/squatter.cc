#include "sim/squatter.h"

#include <algorithm>
#include <utility>

namespace quorate::sim {
namespace {

constexpr char kName[] = "squatter";

class Squatter final : public Program, public io::Connection::Listener {
 public:
  Squatter(io::Environment& environment, const io::Endpoint& at,
           std::string answer)
      : answer_(std::move(answer)) {
    auto acceptor = environment.network().Listen(
        at, [this](std::unique_ptr<io::Connection> connection) {
          connection->Start(this);
          if (!answer_.empty()) connection->Write(answer_);
          connections_.push_back(std::move(connection));
        });
    if (!acceptor.ok()) environment.Exit(1, acceptor.status().message());
    if (acceptor.ok()) acceptor_ = *std::move(acceptor);
  }

  void OnData(absl::string_view) override {}
  void OnClosed(const absl::Status&) override {}

 private:
  const std::string answer_;
  std::vector<std::unique_ptr<io::Connection>> connections_;
  std::unique_ptr<io::Acceptor> acceptor_;
};

}  // namespace

ProgramFactory SquatterAt(const io::Endpoint& at, const std::string& answer) {
  return [at, answer](io::Environment& environment) {
    return std::make_unique<Squatter>(environment, at, answer);
  };
}

const std::vector<std::string>& SquatterAnswers() {
  static const auto& answers = *new std::vector<std::string>{
      "",
      "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
      "SSH-2.0-OpenSSH_9.2p1\r\n",
      std::string(wire::kGreeting),
      std::string(wire::kGreeting) + std::string(200, '\xff'),
  };
  return answers;
}

Stranger::Stranger(io::Environment& environment, const io::Endpoint& at) {
  auto port = wire::OpenPort(
      environment.clock(), environment.network(), at,
      {.on_http = [](std::unique_ptr<io::Connection>, std::string) {},
       .on_link =
           [this](std::unique_ptr<wire::Link> link) {
             links_.push_back(std::move(link));
           },
       .handshake =
           [at](const wire::Handshake&) -> absl::StatusOr<wire::Handshake> {
         return wire::Handshake{.cluster_id = std::string(16, 'x'),
                                .node_id = std::string(16, 'y'),
                                .address = at};
       }});
  if (!port.ok()) environment.Exit(1, port.status().message());
  if (port.ok()) port_ = *std::move(port);
}

Process& StartSquatter(Host& host, const io::Endpoint& at, io::Random& random) {
  const std::vector<std::string>& answers = SquatterAnswers();
  const uint64_t drawn = random.Below(answers.size() + 1);
  if (drawn < answers.size()) {
    return host.Start(kName, SquatterAt(at, answers[drawn]));
  }
  return host.Start(kName, [at](io::Environment& environment) {
    return std::make_unique<Stranger>(environment, at);
  });
}

bool IsSquatted(const Host& host) {
  return std::any_of(host.processes().begin(), host.processes().end(),
                     [](const std::unique_ptr<Process>& process) {
                       return process->alive() && process->name() == kName;
                     });
}

}  // namespace quorate::sim
