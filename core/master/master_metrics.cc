#include "core/master/master_metrics.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace quorate::master {
namespace {

constexpr const char* kCounters[] = {
    "dropped_messages",
    "invalid_framework_to_executor_messages",
    "invalid_status_update_acknowledgements",
    "invalid_status_updates",
    "messages_decline_offers",
    "messages_executor_to_framework",
    "messages_exited_executor",
    "messages_framework_to_executor",
    "messages_kill_task",
    "messages_launch_tasks",
    "messages_reconcile_operations",
    "messages_reconcile_tasks",
    "messages_register_framework",
    "messages_register_slave",
    "messages_reregister_framework",
    "messages_reregister_slave",
    "messages_resource_request",
    "messages_revive_offers",
    "messages_status_update",
    "messages_status_update_acknowledgement",
    "messages_suppress_offers",
    "messages_unregister_framework",
    "messages_unregister_slave",
    "recovery_slave_removals",
    "slave_registrations",
    "slave_removals",
    "slave_removals/reason_registered",
    "slave_removals/reason_unhealthy",
    "slave_removals/reason_unregistered",
    "slave_reregistrations",
    "slave_unreachable_canceled",
    "slave_unreachable_completed",
    "slave_unreachable_scheduled",
    "tasks_dropped",
    "tasks_error",
    "tasks_failed",
    "tasks_finished",
    "tasks_gone",
    "tasks_gone_by_operator",
    "tasks_killed",
    "tasks_lost",
    "valid_framework_to_executor_messages",
    "valid_status_update_acknowledgements",
    "valid_status_updates",
};

class Gauges {
 public:
  explicit Gauges(Context& context) : context_(context) {}

  void Add(absl::string_view name, std::function<double()> gauge) {
    context_.metrics.AddGauge(absl::StrCat("master/", name), std::move(gauge));
  }

  // Two complementary numbers.
  void AddAgents(absl::string_view yes, absl::string_view no) {
    const auto count = [&cluster = context_.cluster](bool connected) {
      double count = 0;
      for (const auto& [id, agent] : cluster.agents()) {
        count += agent->connected() == connected;
      }
      return count;
    };
    Add(yes, [count] { return count(true); });
    Add(no, [count] { return count(false); });
  }

  void AddFrameworks(absl::string_view yes, absl::string_view no) {
    const auto count = [&cluster = context_.cluster](bool connected) {
      double count = 0;
      for (const auto& [id, framework] : cluster.frameworks()) {
        count += framework->connected() == connected;
      }
      return count;
    };
    Add(yes, [count] { return count(true); });
    Add(no, [count] { return count(false); });
  }

  void AddTasks(absl::string_view name, mesos::v1::TaskState state) {
    Add(name, [&cluster = context_.cluster, state] {
      double count = 0;
      for (const auto& [id, framework] : cluster.frameworks()) {
        for (const auto& [task_id, task] : framework->tasks) {
          count += task.info.state() == state;
        }
      }
      return count;
    });
  }

  void AddResource(const std::string& name) {
    const auto sum = [&cluster = context_.cluster,
                      name](const Resources Agent::* amount) {
      double sum = 0;
      for (const auto& [id, agent] : cluster.agents()) {
        sum += ((*agent).*amount).Scalar(name);
      }
      return sum;
    };
    Add(name + "_total", [sum] { return sum(&Agent::total); });
    Add(name + "_used", [sum] { return sum(&Agent::used); });
    Add(name + "_percent", [sum] {
      const double total = sum(&Agent::total);
      return total > 0 ? sum(&Agent::used) / total : 0;
    });
  }

 private:
  Context& context_;
};

}  // namespace

void RegisterMetrics(Context& context, std::function<bool()> leads) {
  for (const char* name : kCounters) {
    context.metrics.AddCounter(absl::StrCat("master/", name));
  }
  Gauges gauges(context);
  gauges.Add("elected", [leads = std::move(leads)] { return leads() ? 1 : 0; });
  gauges.Add("uptime_secs", [&context] {
    return std::chrono::duration<double>(context.clock().WallNow() -
                                         context.start_time)
        .count();
  });
  gauges.AddAgents("slaves_connected", "slaves_disconnected");
  gauges.AddAgents("slaves_active", "slaves_inactive");
  gauges.Add("slaves_unreachable", [&context]() -> double {
    if (context.registry == nullptr) return 0;
    return static_cast<double>(context.registry->state().unreachable().size());
  });
  gauges.AddFrameworks("frameworks_connected", "frameworks_disconnected");
  gauges.AddFrameworks("frameworks_active", "frameworks_inactive");
  gauges.Add("outstanding_offers", [&context] {
    return static_cast<double>(context.cluster.offers().size());
  });
  gauges.AddTasks("tasks_staging", mesos::v1::TASK_STAGING);
  gauges.AddTasks("tasks_starting", mesos::v1::TASK_STARTING);
  gauges.AddTasks("tasks_running", mesos::v1::TASK_RUNNING);
  gauges.AddTasks("tasks_killing", mesos::v1::TASK_KILLING);
  gauges.Add("tasks_unreachable", [&context] {
    double count = 0;
    for (const auto& [id, framework] : context.cluster.frameworks()) {
      count += static_cast<double>(framework->unreachable_tasks.size());
    }
    return count;
  });
  for (const char* name : {"cpus", "gpus", "mem", "disk"}) {
    gauges.AddResource(name);
  }
}

}  // namespace quorate::master
