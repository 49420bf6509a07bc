// What may be wrong with a simulated disk, beyond what a loss of power does.
//
//   DiskFaults faults;
//   faults.under = "/var/lib/mesos/replicated_log";
//   faults.write_lost = 0.01;
//   host.files().SetFaults(faults);
//   ...
//   host.files().Damage(Fault::kBitFlipped);  // now and then
//
// Everything is off by default, and what is off draws no random number. All
// numbers come from a stream of the disk's own.
//
// A replicated log survives what is wrong on a minority of its replicas. Faults
// of the medium (lost and misdirected writes, Damage) are faults of one host's
// disk, and no two replicas share a disk. So whoever gives them, over a whole
// run, to f of 2f+1 replicas only knows that no record is damaged on more than
// f of them, and that the log has to survive it all; a disk that was repaired
// still counts, as nothing tells when all that was damaged has been read. The
// other faults harm nothing that was acknowledged: every disk may have them.

#ifndef QUORATE_SIM_DISK_FAULTS_H_
#define QUORATE_SIM_DISK_FAULTS_H_

#include <string>

#include "io/clock.h"

namespace quorate::sim {

struct DiskFaults {
  // Only files below this directory, and calls that concern them; empty: all.
  std::string under;

  // The medium: how likely a write is not to be there though its sync
  // succeeds, and to be elsewhere instead: in another place of the same file
  // or in another file. Half of these show at once, the others when the page
  // cache is gone, after a loss of power.
  double write_lost = 0;
  double write_misdirected = 0;

  // How likely a call is to fail with an input or output error. Of a write
  // that fails some first bytes may have been written; what a failed sync
  // should have kept is as uncertain as before, for ever.
  double read_fails = 0;
  double write_fails = 0;
  double sync_fails = 0;
  // How likely such a failure is to last: a read's until the sectors are
  // written anew, another's for all later writes and syncs of the disk.
  double lasting = 0;
  // How likely a write that needs space is to find none.
  double no_space = 0;

  // How likely a call is to take long: between these, short times being more
  // frequent. Concerns the whole disk.
  double stall = 0;
  io::Duration min_stall = std::chrono::milliseconds(10);
  io::Duration max_stall = std::chrono::seconds(30);

  // Whether what was synced may get lost.
  bool media() const { return write_lost > 0 || write_misdirected > 0; }
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_DISK_FAULTS_H_
