internal import SystemIO
internal import Tun

/// When a change by another program is undone: at once, and after growing pauses while changes keep coming.
struct RestorationPace {
  /// The restorations in a row before the first pause.
  static let burst = 10
  /// The first pause, and the longest one, up to which it doubles.
  static let shortestPause = Duration.seconds(2)
  static let longestPause = Duration.seconds(60)
  /// Restorations further apart are not in a row; while there are pauses, twice the pause counts if it is longer.
  private static let calm = Duration.seconds(30)

  /// Restorations in a row.
  private(set) var count = 0
  private(set) var pause = Duration.zero
  private var last: Instant?

  /// Whether other programs keep changing the interface.
  var isContested: Bool { pause > .zero }

  /// Counts a restoration. True: the first pause begins.
  mutating func add(at now: Instant) -> Bool {
    if let calmAt, now >= calmAt { self = RestorationPace() }
    count += 1
    last = now
    guard count >= Self.burst else { return false }
    let isFirst = !isContested
    pause = isFirst ? Self.shortestPause : min(pause * 2, Self.longestPause)
    return isFirst
  }

  /// How long the next restoration has to wait.
  func wait(at now: Instant) -> Duration {
    guard let last else { return .zero }
    return max(.zero, pause - now.since(last))
  }

  /// When the row is over unless there is another restoration.
  var calmAt: Instant? { last?.advanced(by: max(Self.calm, pause * 2)) }
}

/// Keeps the interface as it was configured: whenever the network monitor reports a change of it, restores what another
/// program has removed, and reports that. Owned by the device's thread.
final class InterfaceKeeper {
  enum News: Equatable {
    /// Another program had changed the interface; it is restored.
    case restored([InterfaceRepair.Difference])
    /// Other programs keep changing it: how often in a row, and what they changed last. Said once, before the first
    /// pause.
    case contested(Int, [InterfaceRepair.Difference])
    /// They have stopped, after so many restorations.
    case calm(Int)
    /// It could not be restored; the keeper tries again.
    case failed(TunError)
    /// After each look: why it has no IPv6 address; `nil` if it has one or should have none.
    case missingIPv6(MissingIPv6?)
    case renamed(from: String)
  }

  // Set once.
  private let tun: any PacketDevice
  private let events: EventLoop
  private let onNews: (News) -> Void

  private var pace = RestorationPace()
  private var failures = 0
  private var timer: Timer?
  private var calmTimer: Timer?
  private(set) var problem: Problem?

  enum Problem: Equatable, CustomStringConvertible {
    case contested(Int, pause: Duration)
    case failed(TunError)

    var description: String {
      switch self {
      case .contested(let count, let pause):
        "other programs change it again and again: restored \(count) times, now at most every "
          + "\(pause.components.seconds) s"
      case .failed(let error): "\(error)"
      }
    }
  }

  /// The pause after a first failure, or while the kernel still works on a change.
  private static let retryTime = Duration.milliseconds(300)

  init(_ tun: any PacketDevice, on events: EventLoop, _ onNews: @escaping (News) -> Void) {
    self.tun = tun
    self.events = events
    self.onNews = onNews
  }

  /// The interface has changed: looks at it as soon as the pace allows.
  func check() {
    guard timer == nil else { return }
    let wait = pace.wait(at: .now())
    guard wait > .zero else { return look() }
    wake(after: wait)
  }

  /// Looks at once, and forgets how often it restored the interface before.
  func checkNow() {
    cancelTimers()
    pace = RestorationPace()
    problem = nil
    look()
  }

  func stop() {
    cancelTimers()
  }

  private func cancelTimers() {
    for each in [timer, calmTimer] { if let each { events.cancel(each) } }
    timer = nil
    calmTimer = nil
  }

  private func wake(after wait: Duration) {
    timer = events.schedule(after: wait) { [weak self] in
      self?.timer = nil
      self?.look()
    }
  }

  private func look() {
    let name = tun.name
    let repair: InterfaceRepair
    do {
      repair = try tun.restore()
    } catch {
      return fail(error)
    }
    failures = 0
    if tun.name != name { onNews(.renamed(from: name)) }
    if case .failed = problem { problem = nil }
    onNews(.missingIPv6(repair.missingIPv6))
    if repair.isSettling, timer == nil { wake(after: Self.retryTime) }
    guard !repair.differences.isEmpty else { return }
    let isBeginning = pace.add(at: .now())
    guard pace.isContested else { return onNews(.restored(repair.differences)) }
    problem = .contested(pace.count, pause: pace.pause)
    if isBeginning { onNews(.contested(pace.count, repair.differences)) }
    waitForCalm()
  }

  /// The link may go down while the keeper restores it, so a first failure is only tried again. Further ones are
  /// reported, and tried after growing pauses. A failure is the kernel's doing, so it does not count as a change by
  /// another program.
  private func fail(_ error: TunError) {
    failures += 1
    guard failures > 1 else { return wake(after: Self.retryTime) }
    let isNew = problem != .failed(error)
    problem = .failed(error)
    let pause = RestorationPace.shortestPause * (1 << min(failures - 2, 5))
    wake(after: max(min(pause, RestorationPace.longestPause), pace.wait(at: .now())))
    if isNew { onNews(.failed(error)) }
  }

  private func waitForCalm() {
    if let calmTimer { events.cancel(calmTimer) }
    guard let calmAt = pace.calmAt else { return }
    calmTimer = events.schedule(after: max(.zero, calmAt.since(.now()))) { [weak self] in
      guard let self else { return }
      self.calmTimer = nil
      let count = self.pace.count
      self.pace = RestorationPace()
      self.problem = nil
      self.onNews(.calm(count))
    }
  }
}
