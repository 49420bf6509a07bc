// What all parts of the leading master share.

#ifndef QUORATE_CORE_MASTER_CONTEXT_H_
#define QUORATE_CORE_MASTER_CONTEXT_H_

#include <functional>
#include <optional>

#include "absl/status/status.h"
#include "core/api/mesos.pb.h"
#include "core/master/cluster.h"
#include "core/master/master.h"
#include "core/metrics/metrics.h"
#include "core/registry/registrar.h"
#include "core/wire/agent.pb.h"
#include "io/environment.h"

namespace quorate::master {

// The registry, as the leader writes it.
class RegistryWriter {
 public:
  using OnApplied = std::function<void(const absl::Status&)>;

  virtual ~RegistryWriter() = default;
  // `done` gets what is then durable: OK, or AlreadyExists or NotFound for an
  // operation that changed nothing. Anything else says that it was not tried,
  // and why (Registrar::Apply), from inside the call: it may be tried again.
  // When the outcome cannot be known the process ends instead, or this master
  // stops leading and `done` is not called.
  virtual void Apply(registry::Operation operation, OnApplied done) = 0;
  virtual const registry::RegistryState& state() const = 0;

  // Whether an outcome is a durable fact.
  static bool IsDurable(const absl::Status& outcome) {
    return outcome.ok() || absl::IsAlreadyExists(outcome) ||
           absl::IsNotFound(outcome);
  }
};

struct Context {
  Context(io::Environment& environment, const MasterOptions& options)
      : environment(environment), options(options) {}

  io::Clock& clock() { return environment.clock(); }
  const std::string& id() const { return info.id(); }

  io::Environment& environment;
  const MasterOptions& options;
  metrics::Metrics metrics;

  mesos::v1::MasterInfo info;
  io::WallTime start_time;
  std::optional<io::WallTime> elected_time;
  // Set when elected, together.
  wire::Reign reign;
  RegistryWriter* registry = nullptr;

  Cluster cluster;
};

}  // namespace quorate::master

#endif  // QUORATE_CORE_MASTER_CONTEXT_H_
