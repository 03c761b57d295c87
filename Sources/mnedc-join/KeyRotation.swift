import Control
import DaemonKit
import Device
import Identity
import Logging
import Noise
import SystemIO
import Wire

/// Replaces the device's key: stores a new one beside the old one, tells the relay, and puts the new one in its place
/// once the relay has accepted it. The next start completes a rotation that a crash interrupted. Owned by the main
/// thread (`@unchecked`: the device's thread hands back to it).
final class KeyRotation: @unchecked Sendable {
  // Set once.
  private let daemon: Daemon
  private let file: KeyFile
  private let deviceID: String

  /// The answer that waits for the end of the rotation.
  private var answer: (@Sendable (ControlAnswer) -> Void)?
  private var rotations = 0

  private static let patience = Duration.seconds(15)

  init(_ daemon: Daemon, _ state: StateDirectory, deviceID: String) {
    self.daemon = daemon
    self.deviceID = deviceID
    file = .device(in: state)
  }

  /// Calls `answer` when the rotation is over, or after `patience`.
  func begin(_ device: Device?, isJoined: Bool, _ answer: @escaping @Sendable (ControlAnswer) -> Void) {
    guard isJoined, let device else {
      return answer(
        .failed(
          ControlError(
            .failed, "this device has not joined, and the relay has to hear of a new key; try again once it has")))
    }
    guard self.answer == nil else {
      return answer(.failed(ControlError(.busy, "the key is being replaced already")))
    }
    do {
      guard let key = PrivateKey(try file.loadOrCreateNext { PrivateKey().bytes }) else {
        preconditionFailure("any 32 bytes are a key")
      }
      daemon.noteWriting("a new key", nil)
      self.answer = answer
      device.replaceKey(with: key) { [self] hasBegun in
        guard !hasBegun else { return }
        daemon.events.post { self.settle(.failed(ControlError(.busy, "the key is being replaced already"))) }
      }
    } catch {
      daemon.noteWriting("a new key", error)
      return answer(.failed(ControlError(.failed, "this device keeps its key: \(error)")))
    }
    rotations += 1
    let rotation = rotations
    daemon.events.schedule(after: Self.patience) { [self] in
      guard rotation == rotations else { return }
      settle(
        .failed(ControlError(.busy, "the relay has not answered yet; the new key takes its place as soon as it has")))
    }
  }

  /// The relay knows this device only by the new key, so the file must have it.
  func end(with key: PublicKey) {
    do {
      try file.promoteNext()
      daemon.logger.notice("this device has the key \(key.fingerprint) from now on")
      settle(
        .report(
          KeyReport(
            role: .device, deviceId: deviceID, key: KeyText.device.text(key.bytes), fingerprint: key.fingerprint)))
    } catch {
      daemon.logger.error("the new key \(key.fingerprint) is in use, but not in its file: \(error)")
      settle(.failed(ControlError(.failed, "the new key is in use, but not in its file: \(error)")))
    }
  }

  /// The relay has refused the new key.
  func end(_ refusal: Refusal) {
    daemon.logger.warning("the relay does not take the new key, so this device keeps its own: \(refusal.text)")
    do {
      try file.removeNext()
    } catch {
      daemon.logger.error("\(error)")
    }
    settle(.failed(ControlError(.failed, "the relay does not take the new key: \(refusal.text)")))
  }

  private func settle(_ result: ControlAnswer) {
    answer?(result)
    answer = nil
  }
}
