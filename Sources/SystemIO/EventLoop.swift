internal import CLinux
internal import Glibc
internal import Synchronization
public import SystemPackage

/// What a descriptor is ready for, or what a handler waits for.
public struct Events: OptionSet, Sendable {
  public let rawValue: UInt8

  public init(rawValue: UInt8) {
    self.rawValue = rawValue
  }

  public static let readable = Events(rawValue: 1)
  public static let writable = Events(rawValue: 2)
  /// The peer is gone or the socket failed. Always reported; a read or `takeSocketError` tells which.
  public static let hangup = Events(rawValue: 4)
}

public protocol EventHandler: AnyObject {
  /// The loop calls this on its own thread: when a registered descriptor is ready, and, without any event, for a turn
  /// that the handler has asked for (`standInLine`).
  func handle(_ events: Events)
}

/// A descriptor's place in a loop. The loop ignores a stale one.
public struct Registration: Sendable {
  fileprivate let slot: UInt32
  fileprivate let generation: UInt32

  fileprivate var token: UInt64 { UInt64(generation) << 32 | UInt64(slot) }
}

/// One thread's epoll loop: descriptors (level-triggered), timers, and jobs posted by other threads.
///
/// `run` makes the calling thread the loop's own. Before and after `run`, any one thread may use the loop; during
/// `run`, other threads may call `post`, `stop`, `setInterest` and `isCurrent` only.
public final class EventLoop: @unchecked Sendable {
  // Set once.
  private let epoll: Descriptor
  private let wakeUp: WakeUp

  /// The thread in `run`, or 0. Written by that thread, read by all.
  private let thread = Atomic<pthread_t>(0)

  // Owned by the loop's thread.
  private var slots: [Slot] = []
  private var freeSlots: [UInt32] = []
  private var timers = TimerQueue()
  /// Handlers that have asked for a turn; the first `turnsTaken` of them have had theirs.
  private var line: [any EventHandler] = []
  private var turnsTaken = 0
  private var running = true

  // Guarded by their lock.
  private let posted = Mutex<[@Sendable () -> Void]>([])

  private struct Slot {
    var generation: UInt32 = 0
    var handler: (any EventHandler)?
  }

  private static let wakeUpToken = UInt64.max
  /// How long the loop gives turns before it looks for new events.
  private static let lineTime = Duration.microseconds(500)

  public init() throws(Errno) {
    epoll = try Descriptor { epoll_create1(CInt(EPOLL_CLOEXEC)) }
    wakeUp = try WakeUp()
    var event = Self.event(.readable, Self.wakeUpToken)
    try checked { epoll_ctl(epoll.raw, EPOLL_CTL_ADD, wakeUp.descriptor.raw, &event) }
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
        if event.data.u64 == Self.wakeUpToken {
          runPosted()
        } else {
          dispatch(event)
        }
        // Many events must not delay the timers.
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
    // An earlier event's handler may have deregistered this one.
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
    wakeUp.lower()
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
    if first { wakeUp.raise() }
  }

  /// Ends `run` after the events in hand. From any thread.
  public func stop() {
    post { self.running = false }
  }

  /// Changes the events that a handler waits for. From any thread, while the descriptor is open and registered.
  public func setInterest(_ events: Events, of descriptor: borrowing Descriptor, _ registration: Registration) {
    var event = Self.event(events, registration.token)
    countCall(.interest)
    let result = epoll_ctl(epoll.raw, EPOLL_CTL_MOD, descriptor.raw, &event)
    precondition(result == 0, "the descriptor is not registered with this loop")
  }

  // MARK: On the loop's thread

  /// Calls `handler`, which the loop retains, whenever `descriptor` is ready for one of `events`.
  public func register(
    _ descriptor: borrowing Descriptor, for events: Events, handler: any EventHandler
  ) throws(Errno) -> Registration {
    precondition(isCurrent)
    let slot = freeSlots.popLast() ?? UInt32(slots.count)
    if slot == slots.count { slots.append(Slot()) }
    let registration = Registration(slot: slot, generation: slots[Int(slot)].generation)
    var event = Self.event(events, registration.token)
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

  /// Forgets a descriptor, which must still be open. Does nothing the second time.
  public func deregister(_ descriptor: borrowing Descriptor, _ registration: Registration) {
    precondition(isCurrent)
    let slot = Int(registration.slot)
    guard slots[slot].generation == registration.generation, let handler = slots[slot].handler else { return }
    slots[slot].handler = nil
    slots[slot].generation &+= 1
    freeSlots.append(registration.slot)
    countCall(.interest)
    _ = epoll_ctl(epoll.raw, EPOLL_CTL_DEL, descriptor.raw, nil)
    // Release it last: its deinit may call this loop again.
    withExtendedLifetime(handler) {}
  }

  /// Calls `handler` once, without an event, after the handlers of all descriptors that are ready now, so that handlers
  /// with a lot of work take turns. A handler that asks twice is called twice.
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
    // Release it last: the deinit of what it holds may call this loop again.
    withExtendedLifetime(body) {}
  }

  private static func event(_ events: Events, _ token: UInt64) -> epoll_event {
    var event = epoll_event()
    if events.contains(.readable) { event.events |= EPOLLIN.rawValue }
    if events.contains(.writable) { event.events |= EPOLLOUT.rawValue }
    event.data.u64 = token
    return event
  }
}

/// A value of a loop's thread that a closure carries through other threads and back.
public struct LoopBound<Value>: @unchecked Sendable {
  // `@unchecked`: only the loop's thread makes and uses the value.
  public let value: Value

  public init(_ value: Value) {
    self.value = value
  }
}
