internal import Synchronization
public import SystemIO
public import SystemPackage
public import Tun
public import Wire

/// A packet device without a kernel: a test injects packets on one side, and takes those written on the other.
///
/// What a test does and asks is for any thread; the rest is as with any packet device.
public final class MemoryPacketDevice: PacketDevice, Sendable {
  // Set once. A flag is up as long as its queue holds a packet; both change under the lock.
  public let takesJoinedDatagrams: Bool
  private let readable: WakeUp
  private let hasWritten: WakeUp

  // Guarded by its lock.
  private let state: Mutex<State>

  private struct State {
    var injected: [[UInt8]] = []
    var written: [[UInt8]] = []
    var name: String
    /// Shown from the next `restore` on.
    var newName: String?
    var configurations: [InterfaceConfiguration] = []
    var isConfigured = false
    var hostNetworks: [HostNetwork] = []
    var missingIPv6: MissingIPv6?
    var differences: [InterfaceRepair.Difference] = []
    /// Shown by the `restore` behind the next one.
    var laterDifferences: [InterfaceRepair.Difference] = []
    var restoreFailure: TunError?
    var registration: Registration?

    init(name: String) {
      self.name = name
    }
  }

  public init(name: String = "memory", takesJoinedDatagrams: Bool = false) throws(Errno) {
    state = Mutex(State(name: name))
    self.takesJoinedDatagrams = takesJoinedDatagrams
    readable = try WakeUp()
    hasWritten = try WakeUp()
  }

  // MARK: The test's side

  /// Lets `packet`, `OffloadHeader` in front, be read from the device.
  public func inject(_ packet: [UInt8]) {
    state.withLock { state in
      state.injected.append(packet)
      readable.raise()
    }
  }

  /// Lets several packets be read from the device, all of which wait before the first is read.
  public func inject(_ packets: [[UInt8]]) {
    guard !packets.isEmpty else { return }
    state.withLock { state in
      state.injected += packets
      readable.raise()
    }
  }

  /// Takes the packet that was written first, `OffloadHeader` in front; waits for one until `deadline`.
  public func takeWritten(until deadline: Instant) -> [UInt8]? {
    while true {
      let packet = state.withLock { state -> [UInt8]? in
        guard !state.written.isEmpty else { return nil }
        if state.written.count == 1 { hasWritten.lower() }
        return state.written.removeFirst()
      }
      if let packet { return packet }
      guard hasWritten.wait(until: deadline) else { return nil }
    }
  }

  /// As `takeWritten(until:)`, with the longest wait.
  public func takeWritten(within wait: Duration = .zero) -> [UInt8]? {
    takeWritten(until: Instant.now().advanced(by: wait))
  }

  /// What `configure` was last given; `nil` before, and once the addresses were taken away.
  public var configuration: InterfaceConfiguration? {
    state.withLock { $0.isConfigured ? $0.configurations.last : nil }
  }

  /// All that `configure` was given, in order.
  public var configurations: [InterfaceConfiguration] {
    state.withLock { $0.configurations }
  }

  /// Lets the host have these networks from now on.
  public func setHostNetworks(_ networks: [HostNetwork]) {
    state.withLock { $0.hostNetworks = networks }
  }

  /// Lets the host have no IPv6 from now on, for this reason; `nil`: it has it again.
  public func disableIPv6(_ reason: MissingIPv6?) {
    state.withLock { $0.missingIPv6 = reason }
  }

  /// Lets another program change the interface so, until it is restored or configured again.
  public func disturb(_ differences: [InterfaceRepair.Difference]) {
    state.withLock { $0.differences = differences }
  }

  /// Lets the kernel be slow: the next `restore` finds nothing wrong yet, the one behind it finds this.
  public func settle(into differences: [InterfaceRepair.Difference]) {
    state.withLock { $0.laterDifferences = differences }
  }

  /// Lets the kernel refuse what `restore` does from now on; `nil`: no more.
  public func refuseToRestore(_ failure: TunError?) {
    state.withLock { $0.restoreFailure = failure }
  }

  /// Lets another program give the interface this name.
  public func rename(to name: String) {
    state.withLock { $0.newName = name }
  }

  // MARK: The device's side

  public var name: String { state.withLock { $0.name } }

  public func register(with loop: EventLoop, handler: any EventHandler) throws(Errno) {
    let registration = try loop.register(readable.descriptor, for: .readable, handler: handler)
    state.withLock { $0.registration = registration }
  }

  public func deregister(from loop: EventLoop) {
    let registration = state.withLock { $0.registration.take() }
    if let registration { loop.deregister(readable.descriptor, registration) }
  }

  public func read(into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int? {
    state.withLock { state in
      guard !state.injected.isEmpty else { return nil }
      if state.injected.count == 1 { readable.lower() }
      let packet = state.injected.removeFirst()
      buffer.copyBytes(from: packet)
      return packet.count
    }
  }

  public func write(_ packet: UnsafeRawBufferPointer) -> Bool {
    guard packet.count > OffloadHeader.size else { return false }
    state.withLock { state in
      state.written.append(Array(packet))
      hasWritten.raise()
    }
    return true
  }

  @discardableResult public func configure(
    address: IPv4Address, in prefix: IPv4Prefix, and prefix6: IPv6Prefix?, mtu: Int
  ) throws(TunError) -> MissingIPv6? {
    state.withLock { state in
      state.configurations.append(InterfaceConfiguration(address: address, prefix: prefix, prefix6: prefix6, mtu: mtu))
      state.isConfigured = true
      state.differences = []
      return prefix6 == nil ? nil : state.missingIPv6
    }
  }

  public func restore() throws(TunError) -> InterfaceRepair {
    let repair = state.withLock { state -> Result<InterfaceRepair, TunError> in
      state.name = state.newName ?? state.name
      guard state.isConfigured, let configuration = state.configurations.last else {
        return .success(InterfaceRepair())
      }
      if let failure = state.restoreFailure { return .failure(failure) }
      var repair = InterfaceRepair(
        state.differences, missingIPv6: configuration.prefix6 == nil ? nil : state.missingIPv6)
      repair.isSettling = !state.laterDifferences.isEmpty
      state.differences = state.laterDifferences
      state.laterDifferences = []
      return .success(repair)
    }
    return try repair.get()
  }

  public func clearAddresses() throws(TunError) {
    state.withLock { $0.isConfigured = false }
  }

  public func hostNetworks() throws(TunError) -> [HostNetwork] {
    state.withLock { $0.hostNetworks }
  }
}
