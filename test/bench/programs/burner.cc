// Keeps one processor busy until its parent ends, or for SECONDS at most:
//   burner CPU SECONDS
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int count, char** words) {
  if (count != 3) return 2;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(atoi(words[1])), &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) perror("sched_setaffinity");
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The default of this signal ends the program.
  alarm(static_cast<unsigned>(atoi(words[2])));
  puts("busy");
  fflush(stdout);
  for (volatile unsigned long turns = 0;; turns = turns + 1) {
  }
}
