// The journey of a frame through the relay:
//
//   Acceptor              takes the connection and gives it to one of the loops
//   RelayLoop             has the thread, and the buffer that its sessions read into
//   Session               reads, checks the frame, writes the sender's address into it
//   Forwarder             finds the destination's session, gathers a run of frames for it
//   FrameConnection.send  hands the run to the kernel, whichever loop the destination belongs to
//
// `Presence` says who is in, the store who has which address, `ForwardingTable` who is reached under it.

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
  /// Where it listens, with the ports that the kernel chose.
  public let addresses: [SocketAddress]
  let presence: Presence
  let admission: AdmissionController
  let loops: [RelayLoop]
  private let bounds: RelayBounds

  // For any thread.
  let draining = Mutex<DrainProgress?>(nil)

  // Owned by the first loop's thread once that runs.
  private let acceptors: [Acceptor]

  // Owned by whoever starts and stops.
  private var threads: [SystemThread] = []

  /// Nobody is served before `start`.
  public init(_ settings: RelaySettings, _ listeners: RelayListeners, logger: Logger) throws(Errno) {
    precondition(settings.threads >= 1)
    let live = LiveSettings(settings)
    self.live = live
    let presence = Presence(settings: live)
    self.presence = presence
    let admission = AdmissionController(
      settings.store, LeaseAllocator(presence: presence, age: settings.leaseAge, returnTime: settings.returnTime),
      mode: settings.admission, logger: logger)
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

  /// What is in force now.
  public var settings: RelaySettings { live.now }

  /// The network that it serves now.
  public var network: RelayNetwork { presence.network }

  /// Begins to serve, on threads of its own.
  public func start() {
    doubtClock()
    watchClock()
    threads = loops.enumerated().map { index, loop in
      loop.startChecking()
      loop.noteWhoIsIn(every: settings.seenInterval)
      return SystemThread.start(name: "relay-\(index)") { loop.events.run() }
    }
  }

  /// Tells the devices, ends every session and all threads. Once only.
  public func stop() {
    loops[0].events.post { [self] in
      stopListening()
      let hint = Pacing.retryAfter(presence.occupancy.online)
      for loop in loops { loop.stop(Refusal(.shuttingDown, "the relay is shutting down", retryAfter: hint)) }
    }
    for thread in threads { thread.join() }
  }

  /// Closes the listening sockets. On the first loop's thread.
  func stopListening() {
    for acceptor in acceptors { acceptor.stop() }
  }

  /// Makes a connection to this relay within the process, for the device that the relay host itself is.
  public func connectLocally() throws(Errno) -> Descriptor {
    let pair = try SocketPair()
    return pair.split { loops[0].adopt($0, from: .relayHost) }
  }

  /// Gathers the relay's state from its loops and gives it to `reply`, on the thread of `events`, so that frames do not wait
  /// for what is made of it; without, on one of the loops' threads.
  public func status(on events: EventLoop? = nil, _ reply: @escaping @Sendable (RelayStatus) -> Void) {
    let (online, capacity) = presence.occupancy
    let network = presence.network
    var empty = RelayStatus(
      pool: network.pool.prefix, pool6: network.pool6, address: network.pool.relayAddress, online: online,
      capacity: capacity)
    empty.isDraining = isDraining
    empty.sendMemory = bounds.sendMemory.used
    empty.sendMemoryLimit = bounds.sendMemory.limit
    let gathered = Gathering(empty, parts: loops.count)
    for loop in loops {
      loop.status { part in
        guard let gathered = gathered.add(part) else { return }
        let finish = { @Sendable in
          var whole = gathered
          whole.sessions.sort { $0.address < $1.address }
          reply(whole)
        }
        if let events { events.post(finish) } else { finish() }
      }
    }
  }
}

/// A status that the loops add their parts to.
private final class Gathering: Sendable {
  private let state: Mutex<(status: RelayStatus, missing: Int)>

  init(_ empty: RelayStatus, parts: Int) {
    state = Mutex((empty, parts))
  }

  /// Adds a part; the last one gets the whole.
  func add(_ part: RelayLoop.Status) -> RelayStatus? {
    state.withLock { state in
      state.status.add(part)
      state.missing -= 1
      return state.missing == 0 ? state.status : nil
    }
  }
}
