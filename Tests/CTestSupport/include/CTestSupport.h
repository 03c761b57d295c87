// Counts allocations, for tests that promise none.

#ifndef CTESTSUPPORT_H
#define CTESTSUPPORT_H

#include <stdbool.h>

/// How many pieces of memory the calling thread has asked for so far.
unsigned long ctest_allocations(void);

/// Whether allocations are counted in this build: not under a sanitizer, which has an allocator of its own.
bool ctest_counts_allocations(void);

#endif
