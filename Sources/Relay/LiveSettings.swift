internal import Synchronization
public import Wire

/// What may be changed while a relay runs, as plain values.
public struct RelayChanges: Sendable {
  public var admission: AdmissionMode
  public var keepalive: Duration
  public var idleKeepalive: Duration
  /// In bytes, for each destination.
  public var queueLimit: Int

  public init(admission: AdmissionMode, keepalive: Duration, idleKeepalive: Duration, queueLimit: Int) {
    self.admission = admission
    self.keepalive = keepalive
    self.idleKeepalive = idleKeepalive
    self.queueLimit = queueLimit
  }
}

/// The settings as they are now. For any thread.
final class LiveSettings: Sendable {
  private let current: Mutex<RelaySettings>

  init(_ settings: RelaySettings) {
    current = Mutex(settings)
  }

  var now: RelaySettings { current.withLock { $0 } }

  func change(_ changes: RelayChanges) {
    current.withLock { settings in
      settings.admission = changes.admission
      settings.keepalive = changes.keepalive
      settings.idleKeepalive = changes.idleKeepalive
      settings.queueLimit = changes.queueLimit
    }
  }
}

extension Relay {
  /// Takes other settings over without touching a session; the devices are told what concerns them. From any thread.
  public func apply(_ changes: RelayChanges) {
    let former = settings
    live.change(changes)
    admission.setMode(changes.admission)
    if changes.queueLimit != former.queueLimit {
      for loop in loops { loop.setQueueLimit(changes.queueLimit) }
    }
    if (changes.keepalive, changes.idleKeepalive) != (former.keepalive, former.idleKeepalive) { presence.renewTerms() }
  }
}
