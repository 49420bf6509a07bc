#include "gtest/gtest.h"
#include "io/contract/suites.h"
#include "prod/contract_world.h"

namespace quorate::io::contract {

using testing::Values;

INSTANTIATE_TEST_SUITE_P(Prod, ClockContract, Values(&prod::NewContractWorld));
INSTANTIATE_TEST_SUITE_P(Prod, ContainersContract,
                         Values(&prod::NewContractWorld));
INSTANTIATE_TEST_SUITE_P(Prod, DiskContract, Values(&prod::NewContractWorld));
INSTANTIATE_TEST_SUITE_P(Prod, LaneContract, Values(&prod::NewContractWorld));
INSTANTIATE_TEST_SUITE_P(Prod, NetworkContract,
                         Values(&prod::NewContractWorld));
INSTANTIATE_TEST_SUITE_P(Prod, RandomContract, Values(&prod::NewContractWorld));

}  // namespace quorate::io::contract
