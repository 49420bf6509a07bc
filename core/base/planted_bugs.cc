#include "core/base/planted_bugs.h"

namespace quorate {
namespace {
Bug planted = Bug::kNone;
}  // namespace

bool Planted(Bug bug) { return bug == planted; }
void Plant(Bug bug) { planted = bug; }

}  // namespace quorate
