// The production world for the contract suites: two environments on one event
// loop, at 127.0.0.1 and 127.0.0.2.

#ifndef QUORATE_PROD_CONTRACT_WORLD_H_
#define QUORATE_PROD_CONTRACT_WORLD_H_

#include <memory>

#include "io/contract/world.h"

namespace quorate::prod {

// Coordination needs a ZooKeeper server of its own, whose tree is emptied for
// each world: its ip:port is in the environment variable
// QUORATE_TEST_ZOOKEEPER.
std::unique_ptr<io::contract::ContractWorld> NewContractWorld();

}  // namespace quorate::prod

#endif  // QUORATE_PROD_CONTRACT_WORLD_H_
