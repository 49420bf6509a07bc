#include "core/master/leadership.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "sim/machine.h"
#include "sim/network.h"
#include "sim/world.h"

namespace quorate::master {
namespace {

using std::chrono::seconds;

registry::Operation Admit(size_t bytes) {
  registry::Operation operation;
  mesos::v1::AgentInfo& info = *operation.mutable_admit_agent()->mutable_info();
  info.set_hostname(std::string(bytes, 'x'));
  info.mutable_id()->set_value("a");
  return operation;
}

// A master that is its own quorum, and does nothing but lead.
class Alone final : public sim::Program, public Leadership::Listener {
 public:
  Alone(io::Environment& environment, MasterOptions options)
      : options_(std::move(options)), leadership_(environment, options_, this) {
    leadership_.Start();
    mesos::v1::MasterInfo me;
    me.set_id("alone");
    me.set_ip(0);
    me.set_port(5050);
    leadership_.Contend(me);
  }

  bool leads() const {
    return leadership_.standing().phase == Standing::Phase::kLeading;
  }
  Leadership& leadership() { return leadership_; }

  void OnLeading(uint64_t) override {}
  void OnStandby() override {}
  void OnLeaderKnown() override {}

 private:
  const MasterOptions options_;
  Leadership leadership_;
};

class LeadershipTest : public testing::Test {
 protected:
  LeadershipTest() {
    MasterOptions options;
    options.advertise = {"10.0.0.1", 5050};
    options.work_dir = "/work";
    options.on_lost_leadership = LostLeadership::kStandby;
    process_ = &host_.Start("master", [options](io::Environment& environment) {
      return std::make_unique<Alone>(environment, options);
    });
    world_.RunUntil([this] { return master().leads(); }, seconds(30));
  }

  Alone& master() { return *static_cast<Alone*>(process_->program()); }
  // What an operation is answered; null for nothing.
  std::optional<absl::Status> Apply(registry::Operation operation) {
    auto answer = std::make_shared<std::optional<absl::Status>>();
    process_->Run([&] {
      master().leadership().Apply(
          std::move(operation),
          [answer](const absl::Status& outcome) { *answer = outcome; });
    });
    world_.RunUntil([&] { return answer->has_value() || !master().leads(); },
                    seconds(5));
    return *answer;
  }

  sim::World world_{1};
  sim::Network network_{world_, sim::NetworkOptions{}};
  sim::Host host_{world_, network_, "master", "10.0.0.1"};
  sim::Process* process_ = nullptr;
};

// Otherwise whoever finds one ends one leader after the other.
TEST_F(LeadershipTest, AnOperationThatIsNotTriedIsAnsweredAndNothingElse) {
  ASSERT_TRUE(master().leads());
  const auto refused = Apply(Admit(9 << 20));
  ASSERT_TRUE(refused);
  EXPECT_TRUE(absl::IsInvalidArgument(*refused)) << *refused;
  EXPECT_FALSE(RegistryWriter::IsDurable(*refused));
  EXPECT_TRUE(master().leads());
  for (const bool first : {true, false}) {
    const auto applied = Apply(Admit(10));
    ASSERT_TRUE(applied);
    EXPECT_EQ(applied->ok(), first) << *applied;
    EXPECT_TRUE(RegistryWriter::IsDurable(*applied)) << *applied;
  }
}

TEST_F(LeadershipTest, WhoLeadsNoMoreDoesNotAnswer) {
  ASSERT_TRUE(master().leads());
  process_->Run([this] { master().leadership().log().Resign(); });
  EXPECT_FALSE(Apply(Admit(10)));
  EXPECT_FALSE(master().leads());
}

}  // namespace
}  // namespace quorate::master
