// `releaseIdleCode` returns code pages that only a start, a join or a request needed: the Swift runtime and the JSON
// coders touch most of the program then. The daemons call it 2 seconds after a join and once a minute. Pages in use
// come back from the page cache.

internal import CLinux

/// Lets go of the code and constants that this process has in memory, its libraries' too: what is in use comes back at once, from
/// the kernel's cache of the files, and the rest is not resident any more.
///
/// Takes less than half a millisecond, and what runs meanwhile a page fault for each 64 KiB that it uses; from any thread.
public func releaseIdleCode() {
  clinux_release_code()
}
