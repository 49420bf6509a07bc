// For tests: chooses which bug is planted.

#ifndef QUORATE_CORE_BASE_PLANTED_BUGS_H_
#define QUORATE_CORE_BASE_PLANTED_BUGS_H_

#include "core/base/planted.h"

namespace quorate {

// Plants `bug`, in place of an earlier one; kNone removes it.
void Plant(Bug bug);

}  // namespace quorate

#endif  // QUORATE_CORE_BASE_PLANTED_BUGS_H_
