internal import CLinux
internal import Glibc
internal import Synchronization
public import SystemPackage

/// What a descriptor is ready for, or what is wanted of it.
public struct Events: OptionSet, Sendable {
  public let rawValue: UInt8

  public init(rawValue: UInt8) {
    self.rawValue = rawValue
  }

  public static let readable = Events(rawValue: 1)
  public static let writable = Events(rawValue: 2)
  /// The peer is gone or the socket failed. Always reported, wanted or not; a read or `socketError` tells which.
  public static let hangup = Events(rawValue: 4)
}

/// The loop calls it on its own thread: when a registered descriptor is ready, and, without any event, for a turn that
/// it has asked for (`standInLine`).
public protocol EventHandler: AnyObject {
  func handle(_ events: Events)
}

/// A descriptor's place in a loop; a stale one (already removed) is recognised and ignored.
public struct Registration: Sendable {
  fileprivate let slot: UInt32
  fileprivate let generation: UInt32

  fileprivate var token: UInt64 { UInt64(generation) << 32 | UInt64(slot) }
}

/// One thread's epoll loop: descriptors (level-triggered), timers, and jobs posted by other threads.
///
/// `run` makes the calling thread the loop's own. Everything but `post`, `stop`, `setInterest` and `isCurrent` belongs to
/// that thread, or to whoever sets the loop up before `run` or takes it down after.
public final class EventLoop: @unchecked Sendable {
  // Set once.
  private let epoll: Descriptor
  private let wakeup: Descriptor

  /// The thread that is in `run`; 0 if none is. Written by that thread, read by all.
  private let thread = Atomic<pthread_t>(0)

  // Owned by the loop's thread.
  private var slots: [Slot] = []
  private var freeSlots: [UInt32] = []
  private var timers = TimerQueue()
  /// Handlers that have asked for a turn; the first `turnsTaken` of them have had it.
  private var line: [any EventHandler] = []
  private var turnsTaken = 0
  private var running = true

  // Guarded by their lock.
  private let posted = Mutex<[@Sendable () -> Void]>([])

  private struct Slot {
    var generation: UInt32 = 0
    var handler: (any EventHandler)?
  }

  private static let wakeupToken = UInt64.max
  /// How long the loop gives turns before it looks for new events.
  private static let lineTime = Duration.microseconds(500)

  public init() throws(Errno) {
    epoll = Descriptor(owning: try checked { epoll_create1(CInt(EPOLL_CLOEXEC)) })
    wakeup = Descriptor(
      owning: try checked { eventfd(0, CInt(EFD_NONBLOCK | EFD_CLOEXEC)) })
    var event = epoll_event()
    event.events = EPOLLIN.rawValue
    event.data.u64 = Self.wakeupToken
    try checked { epoll_ctl(epoll.raw, EPOLL_CTL_ADD, wakeup.raw, &event) }
  }

  /// Whether the calling thread is the one that runs this loop, or none does. From any thread.
  public var isCurrent: Bool {
    let running = thread.load(ordering: .relaxed)
    return running == 0 || running == pthread_self()
  }

  /// Serves events until `stop`.
  public func run() {
    thread.store(pthread_self(), ordering: .relaxed)
    defer { thread.store(0, ordering: .relaxed) }
    var ready = [epoll_event](repeating: epoll_event(), count: 64)
    while running {
      let timeout = timers.nextDeadline.map { deadline -> CInt in
        // Rounded up, so that no timer is early.
        let (milliseconds, rest) = deadline.since(.now()).nanoseconds.quotientAndRemainder(dividingBy: 1_000_000)
        return CInt(clamping: milliseconds + rest.signum())
      }
      if isInterrupted() { continue }
      countCall(.wait)
      let count = epoll_wait(epoll.raw, &ready, CInt(ready.count), line.isEmpty ? timeout ?? -1 : 0)
      precondition(count >= 0 || errno == EINTR, "epoll_wait failed")
      for index in 0..<max(0, Int(count)) {
        let event = ready[index]
        if event.data.u64 == Self.wakeupToken {
          runPosted()
        } else {
          dispatch(event)
        }
        // A long round must not hold the timers up.
        if index % 8 == 7 { fireTimers() }
      }
      giveTurns()
      fireTimers()
    }
  }

  /// Calls the handlers in line, in order, for `lineTime`. A handler that asks again meanwhile goes to the end of the
  /// line.
  private func giveTurns() {
    guard !line.isEmpty else { return }
    let end = Instant.now().advanced(by: Self.lineTime)
    for _ in turnsTaken..<line.count {
      let handler = line[turnsTaken]
      turnsTaken += 1
      handler.handle([])
      if Instant.now() >= end { break }
    }
    guard turnsTaken == line.count || turnsTaken >= 64 else { return }
    line.removeFirst(turnsTaken)
    turnsTaken = 0
  }

  private func dispatch(_ event: epoll_event) {
    let slot = Int(event.data.u64 & 0xFFFF_FFFF)
    let generation = UInt32(event.data.u64 >> 32)
    // A handler called earlier in this round may have removed this one.
    guard slot < slots.count, slots[slot].generation == generation, let handler = slots[slot].handler else { return }
    var events: Events = []
    if event.events & EPOLLIN.rawValue != 0 { events.insert(.readable) }
    if event.events & EPOLLOUT.rawValue != 0 { events.insert(.writable) }
    if event.events & (EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 { events.insert(.hangup) }
    handler.handle(events)
  }

  private func fireTimers() {
    guard timers.nextDeadline != nil else { return }
    let now = Instant.now()
    while let body = timers.popDue(until: now) { body() }
  }

  private func runPosted() {
    var count: UInt64 = 0
    countCall(.wakeUp)
    _ = Glibc.read(wakeup.raw, &count, 8)
    let jobs = posted.withLock { jobs in
      defer { jobs.removeAll() }
      return jobs
    }
    for job in jobs { job() }
  }

  // MARK: From any thread

  /// Runs `job` on the loop's thread, soon. From any thread; jobs of one thread run in order.
  public func post(_ job: @escaping @Sendable () -> Void) {
    let first = posted.withLock { jobs in
      jobs.append(job)
      return jobs.count == 1
    }
    guard first else { return }
    var one: UInt64 = 1
    countCall(.wakeUp)
    _ = Glibc.write(wakeup.raw, &one, 8)
  }

  /// Ends `run` after the events in hand. From any thread.
  public func stop() {
    post { self.running = false }
  }

  /// Changes what is wanted of a registered descriptor. From any thread that knows the descriptor to be open and
  /// registered.
  public func setInterest(_ events: Events, of descriptor: borrowing Descriptor, _ registration: Registration) {
    var event = Self.event(events, registration)
    countCall(.interest)
    let result = epoll_ctl(epoll.raw, EPOLL_CTL_MOD, descriptor.raw, &event)
    precondition(result == 0, "the descriptor is not registered with this loop")
  }

  // MARK: On the loop's thread

  /// Calls `handler`, which the loop keeps, whenever `descriptor` is ready for one of `events`.
  public func register(
    _ descriptor: borrowing Descriptor, for events: Events, handler: any EventHandler
  ) throws(Errno) -> Registration {
    precondition(isCurrent)
    let slot = freeSlots.popLast() ?? UInt32(slots.count)
    if slot == slots.count { slots.append(Slot()) }
    let registration = Registration(slot: slot, generation: slots[Int(slot)].generation)
    var event = Self.event(events, registration)
    do {
      countCall(.interest)
      try checked { epoll_ctl(epoll.raw, EPOLL_CTL_ADD, descriptor.raw, &event) }
    } catch {
      freeSlots.append(slot)
      throw error
    }
    slots[Int(slot)].handler = handler
    return registration
  }

  /// Forgets a descriptor; must come before it is closed. Removing twice does nothing.
  public func deregister(_ descriptor: borrowing Descriptor, _ registration: Registration) {
    precondition(isCurrent)
    let slot = Int(registration.slot)
    guard slots[slot].generation == registration.generation, let handler = slots[slot].handler else { return }
    slots[slot].handler = nil
    slots[slot].generation &+= 1
    freeSlots.append(registration.slot)
    countCall(.interest)
    _ = epoll_ctl(epoll.raw, EPOLL_CTL_DEL, descriptor.raw, nil)
    // Let go of last: its end may call this loop again.
    withExtendedLifetime(handler) {}
  }

  /// Has `handler` called once, without an event, after the handlers of all descriptors that are ready now, so that
  /// handlers with a lot of work take turns. A handler that asks twice is called twice.
  public func standInLine(_ handler: any EventHandler) {
    precondition(isCurrent)
    line.append(handler)
  }

  /// Calls `body` once, on the loop's thread, when `delay` has passed (to the millisecond, never early).
  @discardableResult
  public func schedule(after delay: Duration, _ body: @escaping () -> Void) -> Timer {
    precondition(isCurrent)
    return timers.add(at: Instant.now().advanced(by: delay), body)
  }

  /// Cancels a timer; one that has fired already is ignored.
  public func cancel(_ timer: Timer) {
    precondition(isCurrent)
    let body = timers.cancel(timer)
    // Let go of last: what it held may call this loop again as it ends.
    withExtendedLifetime(body) {}
  }

  private static func event(_ events: Events, _ registration: Registration) -> epoll_event {
    var event = epoll_event()
    if events.contains(.readable) { event.events |= EPOLLIN.rawValue }
    if events.contains(.writable) { event.events |= EPOLLOUT.rawValue }
    event.data.u64 = registration.token
    return event
  }
}
