import CommandLine
import DaemonKit
import Device
import Logging
import Noise
import SystemIO
import Wire

/// Shows the steps of a join on a terminal: a line with the time of each step, and, after a second, what the device
/// waits for. Does not repeat lines of an earlier attempt. Owned by the main thread.
final class JoinProgress {
  // Set once.
  private let daemon: Daemon
  private let deviceID: String
  private let width: Int?

  /// The start of the step under way, and the number of steps before it in all attempts.
  private var current: Step?
  private var since = Instant.now()
  private var steps = 0
  /// The name that the device looks up, and the address that it dials.
  private var host = ""
  private var place = ""
  private var shown: Set<String> = []

  private enum Step: String {
    case resolve, connect, handshake, admission, address, interface
    case echo = "first echo"
  }

  /// `nil` if standard error is no terminal, or the log level hides notices.
  init?(_ daemon: Daemon, deviceID: String) {
    guard Terminal.isOne(.error), daemon.output.level <= .notice else { return nil }
    self.daemon = daemon
    self.deviceID = deviceID
    width = Terminal.width(.error)
  }

  func take(_ step: JoinStep, at time: Instant) {
    switch step {
    case .lookingUp(let host):
      self.host = host
      begin(.resolve, at: time, "looking up \(host)")
    case .connecting(let address):
      if case .resolve? = current {
        end(.resolve, at: time, host == address.host ? "\(host) is an address" : "\(host) is \(address.host)")
      }
      begin(.connect, at: time, "no answer from \(address) yet")
      place = "\(address)"
    case .greeting:
      end(.connect, at: time, "connected to \(place)")
      begin(.handshake, at: time, "waiting for the relay to prove who it is")
    case .asking(let key):
      end(.handshake, at: time, key.fingerprint)
      begin(.admission, at: time, "waiting for the relay to let this device in")
    case .admitted:
      end(.admission, at: time, "let in as \(deviceID)")
      begin(.address, at: time)
    case .address(let address, let pool):
      end(.address, at: time, "\(address) in \(pool)")
      begin(.interface, at: time)
    case .interface(let name):
      end(.interface, at: time, "\(name) is up")
      begin(.echo, at: time, "waiting for the relay's answer")
    case .echo(let roundTrip):
      end(.echo, at: since.advanced(by: roundTrip), "answered by the relay")
      current = nil
    }
  }

  /// Shows that an operator has to admit this device, with its key.
  func wait(forOperatorToAdmit key: PublicKey) {
    steps += 1
    show(.admission, "waiting for an operator of the relay, who types there:", isToBeCopied: true)
    for line in ["mnedc-ctl approve \(deviceID)", "if mnedc-ctl pending shows \(key.fingerprint)"] {
      show(nil, line, isToBeCopied: true)
    }
  }

  /// Shows that the attempt has failed, which is not in the log.
  func retry(after why: String) {
    show(nil, "\(why); trying again", isToBeCopied: true)
  }

  /// The attempt is over.
  func lose() {
    steps += 1
    current = nil
  }

  // MARK: Lines

  private func begin(_ step: Step, at time: Instant, _ waiting: String = "") {
    steps += 1
    (current, since) = (step, time)
    let number = steps
    guard !waiting.isEmpty else { return }
    daemon.events.schedule(after: .seconds(1)) { [weak self] in
      if let self, self.steps == number { self.show(step, "\(waiting) …") }
    }
  }

  private func end(_ step: Step, at time: Instant, _ text: String) {
    let took = Double(time.since(since).nanoseconds) / 1_000_000
    show(step, text, took: took < 10_000 ? Table.milliseconds(took) : Table.time(took / 1000))
  }

  private func show(_ step: Step?, _ text: String, took: String? = nil, isToBeCopied: Bool = false) {
    guard shown.insert("\(step?.rawValue ?? "") \(text)").inserted else { return }
    let name = step?.rawValue ?? ""
    let time = took.map { " (\($0))" } ?? ""
    let line = "  " + name + String(repeating: " ", count: 12 - name.count) + text.harmless + time
    daemon.output.show(isToBeCopied ? line : width.map { line.cut(to: $0) } ?? line)
  }
}
