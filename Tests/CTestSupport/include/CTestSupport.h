// Counts allocations, for tests that promise none; runs what a test must not do to its own process in another one.

#ifndef CTESTSUPPORT_H
#define CTESTSUPPORT_H

#include <stdbool.h>

/// How many pieces of memory the calling thread has asked for so far.
unsigned long ctest_allocations(void);

/// Whether allocations are counted in this build: not under a sanitizer, which has an allocator of its own.
bool ctest_counts_allocations(void);

/// Runs `body` in a forked process and waits for it. Its result, 0 to 99; or 100 and the number of the signal that ended
/// the process, which is SIGALRM after 20 seconds; or -errno.
int ctest_fork(int (*body)(void *), void *context);

#endif
