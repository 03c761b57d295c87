import SystemIO
import SystemPackage
import TestSupport
import Testing

@Suite struct EventLoopTests {
  /// Counts what its descriptor is ready for, and reads nothing.
  private final class Watcher: EventHandler {
    var seen: [Events] = []
    var body: (Events) -> Void = { _ in }

    func handle(_ events: Events) {
      seen.append(events)
      body(events)
    }
  }

  /// Runs `loop` on this thread until `stop` is called, or for a generous wait.
  private func run(_ loop: EventLoop) {
    loop.schedule(after: generousWait) { loop.stop() }
    loop.run()
  }

  @Test func `jobs of every thread run on the loop in each thread's order`() throws {
    let thread = try LoopThread()
    let ran = Mailbox<(thread: Int, number: Int)>()
    let posters = (0..<4).map { number in
      SystemThread.start(name: "poster") {
        for job in 0..<500 {
          thread.loop.post {
            precondition(thread.loop.isCurrent)
            ran.put((number, job))
          }
        }
      }
    }
    for poster in posters { poster.join() }
    thread.stop()
    #expect(ran.items.count == 2000)
    for number in 0..<4 {
      #expect(ran.items.filter { $0.thread == number }.map(\.number) == Array(0..<500))
    }
  }

  @Test func `a job may post another and stop the loop`() throws {
    let loop = try EventLoop()
    let ran = Mailbox<Int>()
    loop.post {
      ran.put(1)
      loop.post {
        ran.put(2)
        loop.stop()
      }
    }
    loop.run()
    #expect(ran.items == [1, 2])
  }

  @Test func `a loop that was stopped before it ran does what was posted and ends`() throws {
    let loop = try EventLoop()
    let ran = Mailbox<Int>()
    loop.post { ran.put(1) }
    loop.stop()
    loop.run()
    #expect(ran.items == [1])
  }

  @Test func `a loop belongs to its thread while it runs and to anybody otherwise`() throws {
    let thread = try LoopThread()
    #expect(thread.run { thread.loop.isCurrent } == true)
    #expect(!thread.loop.isCurrent)
    thread.stop()
    #expect(thread.loop.isCurrent)
  }

  // MARK: Timers

  @Test func `timers fire in the order of their deadlines and never early`() throws {
    let loop = try EventLoop()
    var fired: [Int] = []
    let start = Instant.now()
    for delay in [30, 5, 20, 0, 10] {
      loop.schedule(after: .milliseconds(delay)) {
        fired.append(delay)
        #expect(Instant.now().since(start) >= .milliseconds(delay))
        if delay == 30 { loop.stop() }
      }
    }
    run(loop)
    #expect(fired == [0, 5, 10, 20, 30])
  }

  @Test func `a cancelled timer does not fire, and cancelling what has fired does nothing`() throws {
    let loop = try EventLoop()
    var fired: [String] = []
    let first = loop.schedule(after: .milliseconds(1)) { fired.append("first") }
    let second = loop.schedule(after: .milliseconds(2)) { fired.append("second") }
    loop.schedule(after: .milliseconds(3)) {
      loop.cancel(first)
      fired.append("third")
      loop.stop()
    }
    loop.cancel(second)
    loop.cancel(second)
    run(loop)
    #expect(fired == ["first", "third"])
  }

  @Test func `a timer may cancel one that is due in the same round`() throws {
    let loop = try EventLoop()
    var fired: [Int] = []
    var later: SystemIO.Timer?
    loop.schedule(after: .zero) {
      fired.append(1)
      later.map(loop.cancel)
    }
    later = loop.schedule(after: .zero) { fired.append(2) }
    loop.schedule(after: .milliseconds(5)) { loop.stop() }
    run(loop)
    #expect(fired == [1])
  }

  @Test func `a timer that starts itself anew does not keep the loop from other work`() throws {
    let loop = try EventLoop()
    var rounds = 0
    func again() {
      rounds += 1
      loop.schedule(after: .zero, again)
    }
    again()
    loop.schedule(after: .milliseconds(5)) { loop.post { loop.stop() } }
    run(loop)
    #expect(rounds > 1)
  }

  @Test func `a timer for the end of time neither traps nor fires`() throws {
    let loop = try EventLoop()
    var fired = false
    loop.schedule(after: .seconds(Int64.max)) { fired = true }
    loop.schedule(after: .milliseconds(1)) { loop.stop() }
    run(loop)
    #expect(!fired)
  }

  @Test func `what a cancelled timer held may use the loop as it ends`() throws {
    final class Owner {
      let end: () -> Void
      init(end: @escaping () -> Void) { self.end = end }
      deinit { end() }
    }
    let loop = try EventLoop()
    let other = loop.schedule(after: .seconds(1)) {}
    let timer = {
      let owner = Owner { loop.cancel(other) }
      return loop.schedule(after: .seconds(1)) { withExtendedLifetime(owner) {} }
    }()
    loop.cancel(timer)
    loop.schedule(after: .zero) { loop.stop() }
    run(loop)
  }

  // MARK: Descriptors

  @Test func `every ready descriptor is told apart in one round`() throws {
    let loop = try EventLoop()
    let pairs = [try Pair(), try Pair(), try Pair(), try Pair()]
    let watchers = pairs.map { _ in Watcher() }
    var registrations: [Registration] = []
    for (pair, watcher) in zip(pairs, watchers) {
      registrations.append(try pair.register(on: loop, for: .readable, watcher))
    }
    for index in [0, 2, 3] { try pairs[index].writeToPeer() }
    loop.post { loop.stop() }
    run(loop)
    #expect(watchers.map { $0.seen.isEmpty } == [false, true, false, false])
    #expect(watchers[0].seen.first == .readable)
    for (pair, registration) in zip(pairs, registrations) { pair.deregister(from: loop, registration) }
  }

  @Test func `a hang-up is reported whatever was asked for`() throws {
    let loop = try EventLoop()
    let pair = try Pair()
    let watcher = Watcher()
    let registration = try pair.register(on: loop, for: [], watcher)
    watcher.body = { _ in
      pair.deregister(from: loop, registration)
      loop.stop()
    }
    pair.closePeer()
    run(loop)
    #expect(watcher.seen == [.hangup])
  }

  @Test func `a handler removed by another one of the same round is not called`() throws {
    let loop = try EventLoop()
    let pairs = [try Pair(), try Pair()]
    let watchers = [Watcher(), Watcher()]
    let registrations = try (0..<2).map { try pairs[$0].register(on: loop, for: .readable, watchers[$0]) }
    let replacement = Watcher()
    let fresh = try Pair()
    for index in 0..<2 {
      watchers[index].body = { _ in
        // The other one's slot is taken by a newcomer, to which its event must not go either.
        pairs[1 - index].deregister(from: loop, registrations[1 - index])
        pairs[index].deregister(from: loop, registrations[index])
        _ = try? fresh.register(on: loop, for: .readable, replacement)
        loop.stop()
      }
      try pairs[index].writeToPeer()
    }
    run(loop)
    #expect(watchers[0].seen.count + watchers[1].seen.count == 1)
    #expect(replacement.seen.isEmpty)
  }

  @Test func `removing twice leaves the slot's next owner alone`() throws {
    let loop = try EventLoop()
    let first = try Pair()
    let second = try Pair()
    let stale = try first.register(on: loop, for: .readable, Watcher())
    first.deregister(from: loop, stale)
    let watcher = Watcher()
    let registration = try second.register(on: loop, for: .readable, watcher)
    watcher.body = { _ in
      second.deregister(from: loop, registration)
      loop.stop()
    }
    first.deregister(from: loop, stale)
    try second.writeToPeer()
    run(loop)
    #expect(watcher.seen == [.readable])
  }

  @Test func `a handler that ends when it is removed may use the loop`() throws {
    final class Parting: EventHandler {
      let last: () -> Void
      init(_ last: @escaping () -> Void) { self.last = last }
      deinit { last() }
      func handle(_ events: Events) {}
    }
    let loop = try EventLoop()
    let pairs = [try Pair(), try Pair()]
    let other = try pairs[1].register(on: loop, for: .readable, Watcher())
    let registration = try pairs[0].register(
      on: loop, for: .readable, Parting { pairs[1].deregister(from: loop, other) })
    pairs[0].deregister(from: loop, registration)
  }

  @Test func `a registration that fails leaves no trace`() throws {
    let loop = try EventLoop()
    let pair = try Pair()
    let watcher = Watcher()
    let registration = try pair.register(on: loop, for: .readable, watcher)
    #expect(throws: Errno.fileExists) { try pair.register(on: loop, for: .readable, Watcher()) }
    watcher.body = { _ in
      pair.deregister(from: loop, registration)
      loop.stop()
    }
    try pair.writeToPeer()
    run(loop)
    #expect(watcher.seen == [.readable])
  }

  @Test func `another thread may change what is wanted while the loop sleeps`() throws {
    let loop = try EventLoop()
    let pair = try Pair()
    let watcher = Watcher()
    let registration = try pair.register(on: loop, for: .readable, watcher)
    watcher.body = { _ in
      pair.setInterest(.readable, of: loop, registration)
      loop.stop()
    }
    let other = SystemThread.start(name: "other") {
      pair.setInterest([.readable, .writable], of: loop, registration)
    }
    run(loop)
    other.join()
    #expect(watcher.seen == [.writable])
    pair.deregister(from: loop, registration)
  }
}

/// A socket pair whose second end the test holds.
private final class Pair: Sendable {
  private let own: Descriptor
  private let peer: Descriptor

  init() throws {
    let pair = try SocketPair()
    own = pair.first
    peer = pair.second
  }

  func register(on loop: EventLoop, for events: Events, _ handler: any EventHandler) throws(Errno) -> Registration {
    try loop.register(own, for: events, handler: handler)
  }

  func deregister(from loop: EventLoop, _ registration: Registration) { loop.deregister(own, registration) }

  func setInterest(_ events: Events, of loop: EventLoop, _ registration: Registration) {
    loop.setInterest(events, of: own, registration)
  }

  func writeToPeer() throws {
    _ = try [UInt8(1)].withUnsafeBytes { try peer.send($0) }
  }

  func closePeer() { peer.shutDown() }
}
