#include "gtest/gtest.h"
#include "io/contract/suites.h"
#include "prod/contract_world.h"

namespace quorate::io::contract {

INSTANTIATE_TEST_SUITE_P(Prod, CoordinationContract,
                         testing::Values(&prod::NewContractWorld));

}  // namespace quorate::io::contract
