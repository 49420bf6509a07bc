// The last notes of a run, in memory that a process shares with its parent:
// they are there when the process is not any more, however it died.
//
//   BlackBox box;  // before the fork
//   ...            // in the child: world.spectator = &box
//   box.LastNotes();

#ifndef QUORATE_SIM_REPORT_BLACK_BOX_H_
#define QUORATE_SIM_REPORT_BLACK_BOX_H_

#include <cstddef>
#include <string>
#include <vector>

#include "sim/world.h"

namespace quorate::sim {

class BlackBox final : public Spectator {
 public:
  BlackBox();
  ~BlackBox() override;
  BlackBox(const BlackBox&) = delete;
  BlackBox& operator=(const BlackBox&) = delete;

  // A run begins.
  void Clear();
  void OnNote(const Note& note) override;

  // As World::LastNotes has them; long names are cut.
  std::vector<std::string> LastNotes() const;

 private:
  struct Shared;

  Shared* const shared_;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_REPORT_BLACK_BOX_H_
