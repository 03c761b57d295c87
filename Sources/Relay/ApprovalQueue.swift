internal import Admission
internal import Synchronization
internal import SystemIO
internal import Wire

/// Devices that wait for an operator's approval, and those that an operator denied. For any thread.
final class ApprovalQueue: Sendable {
  private let state = Mutex(State())

  private struct State {
    var pending: [PublicKey: Entry] = [:]
    var denied: [PublicKey: (deviceID: String, since: Instant)] = [:]
  }

  struct Entry {
    let request: AdmissionRequest
    let session: Session
    let since: Instant

    var device: PendingDevice {
      PendingDevice(
        deviceID: request.deviceID, fingerprint: request.fingerprint, outerAddress: session.origin.name,
        waiting: Instant.now().since(since))
    }
  }

  private static let maximumPending = 256
  private static let maximumPendingOfOneHost = 64
  private static let maximumDenied = 1024
  /// How long a denied device is refused.
  private static let deniedFor = Duration.seconds(3600)

  private static var denialRefusal: Refusal {
    Refusal(.denied, "an operator of the relay has turned this device away; ask why before you try again")
  }

  // MARK: Pending devices

  /// Adds a device in place of an older session of it. False: too many devices wait.
  func add(_ session: Session, _ request: AdmissionRequest) -> Bool {
    let former: Session?? = state.withLock { state in
      let former = state.pending[request.key]?.session
      let neighbours = state.pending.values.count { $0.request.host == request.host }
      guard former != nil || state.pending.count < Self.maximumPending && neighbours < Self.maximumPendingOfOneHost
      else { return nil }
      state.pending[request.key] = Entry(request: request, session: session, since: .now())
      return .some(former)
    }
    guard let former else { return false }
    former?.settle(refusing: Refusal(.sessionReplaced, "the device has connected anew"))
    return true
  }

  func remove(_ session: Session, _ request: AdmissionRequest) {
    state.withLock { state in
      if state.pending[request.key]?.session === session { state.pending[request.key] = nil }
    }
  }

  /// Longest waiting first.
  var devices: [PendingDevice] {
    state.withLock { state in state.pending.values.sorted { $0.since < $1.since }.map(\.device) }
  }

  /// The pending device with this device ID, host name or beginning of a fingerprint.
  func entry(named name: String) throws(OperatorError) -> Entry {
    let all = state.withLock { Array($0.pending.values) }
    let found = DeviceNames.matches(name, all, id: \.request.deviceID, fingerprint: \.request.fingerprint).devices
    guard let first = found.first else { throw .nobodyWaits(name, waiting: all.map(\.request.deviceID)) }
    guard found.count == 1 else {
      throw .name(.ambiguous(name, found, id: \.request.deviceID, fingerprint: \.request.fingerprint))
    }
    return first
  }

  // MARK: Denials

  /// Refuses a pending device, now and for an hour.
  func deny(_ name: String) throws(OperatorError) -> PendingDevice {
    let entry = try entry(named: name)
    let now = Instant.now()
    state.withLock { state in
      state.denied = state.denied.filter { now.since($0.value.since) < Self.deniedFor }
      if state.denied.count >= Self.maximumDenied,
        let oldest = state.denied.min(by: { $0.value.since < $1.value.since })?.key
      {
        state.denied[oldest] = nil
      }
      state.denied[entry.request.key] = (entry.request.deviceID, now)
    }
    remove(entry.session, entry.request)
    entry.session.settle(refusing: Self.denialRefusal)
    return entry.device
  }

  /// The refusal of a denied device.
  func denial(of request: AdmissionRequest) -> Refusal? {
    state.withLock { state in
      guard let denial = state.denied[request.key] else { return nil }
      if Instant.now().since(denial.since) < Self.deniedFor { return Self.denialRefusal }
      state.denied[request.key] = nil
      return nil
    }
  }

  var denied: [DeniedDevice] {
    let now = Instant.now()
    return state.withLock { state in
      state.denied.values.compactMap { denial in
        let rest = Self.deniedFor - now.since(denial.since)
        return rest > .zero ? DeniedDevice(deviceID: denial.deviceID, refusedFor: rest) : nil
      }
    }
  }
}

/// A device that waits for an operator.
public struct PendingDevice: Sendable {
  public var deviceID: String
  public var fingerprint: String
  public var outerAddress: String
  public var waiting: Duration
}

/// A device that an operator has denied.
public struct DeniedDevice: Sendable {
  public var deviceID: String
  /// How long the relay still refuses its key.
  public var refusedFor: Duration
}
