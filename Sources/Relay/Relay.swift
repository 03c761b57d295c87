// The journey of a frame through the relay:
//
//   Acceptor              takes the connection and gives it to one of the loops
//   RelayLoop             has the thread, and the buffer that its sessions read into
//   Session               reads, checks the frame, writes the sender's address into it
//   Forwarder             finds the destination's outlet, gathers a run of frames for it
//   FrameConnection.send  hands the run to the kernel, whichever loop the destination belongs to
//
// The store knows which device has which address, `Presence` which devices are connected, `ForwardingTable` the outlet
// of each address.

public import Admission
internal import Link
public import Logging
internal import Store
internal import Synchronization
public import SystemIO
public import SystemPackage
internal import Wire

/// A relay: admits devices, leases virtual addresses, forwards frames, announces peers. For any thread.
public final class Relay: @unchecked Sendable {
  // Set once.
  let live: LiveSettings
  /// The listening addresses, with the ports that the kernel chose.
  public let addresses: [SocketAddress]
  let presence: Presence
  let admission: AdmissionController
  let loops: [RelayLoop]
  private let bounds: RelayBounds

  // For any thread.
  let draining = Mutex<DrainProgress?>(nil)

  // Owned by the first loop's thread once that runs.
  private let acceptors: [Acceptor]

  // Owned by the thread that calls `start` and `stop`.
  private var threads: [SystemThread] = []

  /// Serves from `start` on.
  public init(_ settings: RelaySettings, _ listeners: RelayListeners, logger: Logger) throws(Errno) {
    precondition(settings.threads >= 1)
    let live = LiveSettings(settings)
    self.live = live
    let presence = Presence(settings: live)
    self.presence = presence
    let admission = AdmissionController(settings, presence, logger: logger)
    self.admission = admission
    var events: [EventLoop] = []
    for _ in 0..<settings.threads { events.append(try EventLoop()) }
    let announcer = Announcer(on: events[0]) { presence.sendChanges() }
    let bounds = RelayBounds(settings)
    let loops = events.map { events in
      RelayLoop(events, bounds, settings: live, presence: presence, admission: admission, logger: logger) {
        announcer.trigger()
      }
    }
    self.bounds = bounds
    self.loops = loops
    acceptors = listeners.sockets.map { Acceptor($0, loops: loops, LoopChoice(few: settings.sharedLoop)) }
    addresses = acceptors.map(\.address)
    for acceptor in acceptors { try acceptor.start() }
  }

  /// The settings in force.
  public var settings: RelaySettings { live.now }

  public var network: RelayNetwork { presence.network }

  /// Begins to serve, on its own threads.
  public func start() {
    checkClock()
    watchClock()
    threads = loops.enumerated().map { index, loop in
      loop.startChecking()
      loop.noteConnectedDevices(every: settings.seenInterval)
      return SystemThread.start(name: "relay-\(index)") { loop.events.run() }
    }
  }

  /// Ends every session, with a refusal for its device, and all threads. Once only.
  public func stop() {
    loops[0].events.post { [self] in
      stopListening()
      let hint = RelaySettings.retryAfter(presence.occupancy.online)
      for loop in loops { loop.stop(Refusal(.shuttingDown, "the relay is shutting down", retryAfter: hint)) }
    }
    for thread in threads { thread.join() }
  }

  /// Closes the listening sockets. On the first loop's thread.
  func stopListening() {
    for acceptor in acceptors { acceptor.stop() }
  }

  /// Connects to this relay within the process, for the relay host's own device.
  public func connectLocally() throws(Errno) -> Descriptor {
    let pair = try SocketPair()
    return pair.split { loops[0].adopt($0, from: .relayHost) }
  }

  /// Gathers the relay's state from its loops and gives it to `reply`, on the thread of `events`, so that frames do not
  /// wait for `reply`; without `events`, on one of the loops' threads.
  public func status(on events: EventLoop? = nil, _ reply: @escaping @Sendable (RelayStatus) -> Void) {
    let (online, capacity) = presence.occupancy
    let network = presence.network
    var empty = RelayStatus(
      pool: network.pool.prefix, pool6: network.pool6, address: network.pool.relayAddress, online: online,
      capacity: capacity)
    empty.isDraining = isDraining
    empty.sendMemory = bounds.sendMemory.used
    empty.sendMemoryLimit = bounds.sendMemory.limit
    let gathering = Gathering(empty, parts: loops.count)
    for loop in loops {
      loop.status(empty) { part in
        guard let gathered = gathering.add({ $0.add(part) }) else { return }
        let finish = { @Sendable in
          var whole = gathered
          whole.sessions.sort { $0.address < $1.address }
          reply(whole)
        }
        if let events { events.post(finish) } else { finish() }
      }
    }
  }

  /// Calls `reply`, on one of the loops' threads, with the number of connected devices, once each loop has taken a
  /// turn; never while a loop hangs. From any thread.
  public func prove(_ reply: @escaping @Sendable (_ online: Int) -> Void) {
    let gathering = Gathering((), parts: loops.count)
    for loop in loops {
      loop.events.post { [self] in
        if gathering.add({ _ in }) != nil { reply(presence.occupancy.online) }
      }
    }
  }
}

/// A value to which each loop adds its part.
private final class Gathering<Value: Sendable>: Sendable {
  private let state: Mutex<(value: Value, missing: Int)>

  init(_ empty: Value, parts: Int) {
    state = Mutex((empty, parts))
  }

  /// Adds a part. The last part returns the whole value.
  func add(_ change: (inout Value) -> Void) -> Value? {
    state.withLock { state in
      change(&state.value)
      state.missing -= 1
      return state.missing == 0 ? state.value : nil
    }
  }
}
