// Another program at an address that clients know as somebody else's: silent,
// talkative, or of another cluster.
//
//   host.Start("squatter", SquatterAt({host.ip(), 5050}, "SSH-2.0\r\n"));
//
// It ends when the address is in use.

#ifndef QUORATE_SIM_SQUATTER_H_
#define QUORATE_SIM_SQUATTER_H_

#include <memory>
#include <string>
#include <vector>

#include "core/wire/port.h"
#include "io/network.h"
#include "io/random.h"
#include "sim/machine.h"

namespace quorate::sim {

// Answers whoever connects with some bytes, or with none.
ProgramFactory SquatterAt(const io::Endpoint& at, const std::string& answer);

// What a squatter may answer.
const std::vector<std::string>& SquatterAnswers();

// A program that speaks our protocol, of another cluster.
class Stranger final : public Program {
 public:
  Stranger(io::Environment& environment, const io::Endpoint& at);

  // Whether any link came about.
  bool fooled() const { return !links_.empty(); }

 private:
  std::vector<std::unique_ptr<wire::Link>> links_;
  std::unique_ptr<wire::Port> port_;
};

// One of all these, under a name of its own.
Process& StartSquatter(Host& host, const io::Endpoint& at, io::Random& random);
// Whether such a one runs there.
bool IsSquatted(const Host& host);

}  // namespace quorate::sim

#endif  // QUORATE_SIM_SQUATTER_H_
