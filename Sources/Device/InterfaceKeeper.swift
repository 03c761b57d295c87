internal import SystemIO
internal import Tun

/// How soon what other programs change is put back: at once, but at a falling rate while they change it again and again.
struct RestorationPace {
  /// So many times in a row at once.
  static let burst = 10
  /// The pause behind the next one, which doubles up to the longest.
  static let shortestPause = Duration.seconds(2)
  static let longestPause = Duration.seconds(60)
  /// Changes that are further apart are no row; while there are pauses, twice the pause if that is longer.
  private static let calm = Duration.seconds(30)

  /// How many there were in a row.
  private(set) var count = 0
  private(set) var pause = Duration.zero
  private var last: Instant?

  /// Whether other programs change it again and again.
  var isContested: Bool { pause > .zero }

  /// Counts a restoration. True: from now on there are pauses.
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

/// Keeps the interface as it was configured: it looks whenever the network monitor tells of a change there, puts back what
/// another program has taken away, and says so. Owned by the device's thread.
final class InterfaceKeeper {
  enum News: Equatable {
    /// Another program had changed the interface, which is as it should be again.
    case restored([InterfaceRepair.Difference])
    /// Other programs change it again and again: so often in a row, the last time this.
    case contested(Int, [InterfaceRepair.Difference])
    /// They do so no more, after so many times.
    case calm(Int)
    /// It could not be restored; it is tried again.
    case failed(TunError)
    /// Whether it has an IPv6 address has been looked up: `nil` if it has one or should have none.
    case missingIPv6(MissingIPv6?)
    case renamed(from: String)
  }

  // Set once.
  private let tun: any PacketDevice
  private let events: EventLoop
  private let onNews: (News) -> Void

  // Owned by the device's thread.
  private var pace = RestorationPace()
  private var failures = 0
  private var timer: Timer?
  private var calmTimer: Timer?
  private(set) var problem: Problem?

  /// What is wrong now, for who asks.
  enum Problem: Equatable, CustomStringConvertible {
    case contested(Int, pause: Duration)
    case failed(TunError)

    var description: String {
      switch self {
      case .contested(let count, let pause):
        "other programs change it again and again: restored \(count) times, now at most every \(pause.components.seconds) s"
      case .failed(let error): "\(error)"
      }
    }
  }

  /// The pause before it looks again at what failed once, or was not complete yet.
  private static let retryTime = Duration.milliseconds(300)

  init(_ tun: any PacketDevice, on events: EventLoop, _ onNews: @escaping (News) -> Void) {
    self.tun = tun
    self.events = events
    self.onNews = onNews
  }

  /// Something has changed at the interface: looks at it, as soon as the pace allows.
  func check() {
    guard timer == nil else { return }
    let wait = pace.wait(at: .now())
    guard wait > .zero else { return look() }
    wake(after: wait)
  }

  /// Looks at once, however often that was necessary before.
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

  /// The link may go down while it is restored, so the first failure is only tried again; further ones are said, and tried at
  /// the pace of restorations.
  private func fail(_ error: TunError) {
    failures += 1
    guard failures > 1 else { return wake(after: Self.retryTime) }
    let isNew = problem != .failed(error)
    problem = .failed(error)
    _ = pace.add(at: .now())
    wake(after: max(RestorationPace.shortestPause, pace.pause))
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
