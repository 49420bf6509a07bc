// Planted bugs: deliberate mistakes that prove that the simulator's checkers
// bite. A production program links the definition that answers false; only a
// test that depends on //core/base:planted_bugs can plant one.

#ifndef QUORATE_CORE_BASE_PLANTED_H_
#define QUORATE_CORE_BASE_PLANTED_H_

namespace quorate {

enum class Bug {
  kNone,
  // The acceptor answers a promise before the promise is durable.
  kPromiseBeforeDurable,
  // The acceptor answers a write before the record is durable.
  kWriteAckBeforeDurable,
  // Accepting a write does not raise the acceptor's promise.
  kAcceptKeepsPromise,
};

// Whether `bug` is planted in this process.
bool Planted(Bug bug);

}  // namespace quorate

#endif  // QUORATE_CORE_BASE_PLANTED_H_
