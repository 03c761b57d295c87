internal import DaemonKit
internal import Logging
internal import Names
internal import SystemIO
internal import SystemPackage

/// Keeps this daemon's block of names in a hosts file while other programs change the file. Owned by the main thread.
final class HostsFile {
  // Set once.
  let path: String
  private let block: HostsBlock
  private let logger: Logger
  private let zone: () -> Zone
  /// Gets the error of each attempt to write; `nil` if it succeeded.
  private let onResult: (Errno?) -> Void
  private var watch: FileWatch?
  private lazy var update = PacedJob(on: events, RateLimit(perSecond: 1, burst: 5)) { [unowned self] in write() }
  private lazy var repair = PacedJob(on: events, RateLimit(perSecond: 0.2, burst: 5)) { [unowned self] in write() }
  private let events: EventLoop

  // Owned by the main thread.
  /// The block written last; `nil` if the file should have none.
  private var written: [UInt8]?
  var hasBeenWritten: Bool { written != nil }
  private var hasStopped = false

  static let limit = 8 << 20
  private static let stopAttempts = 50
  static let system = "/etc/hosts"

  init(
    _ path: String, interface: String, _ daemon: Daemon, zone: @escaping () -> Zone,
    onResult: @escaping (Errno?) -> Void
  ) {
    self.path = path
    self.zone = zone
    self.onResult = onResult
    block = Self.block(for: interface)
    logger = daemon.logger
    events = daemon.events
  }

  /// Writes the names soon, if they have changed.
  func request() { update.request() }

  /// Writes the names now. Returns whether the file has them.
  @discardableResult
  func write() -> Bool {
    guard !hasStopped else { return false }
    startWatching()
    let lines = block.lines(zone())
    var isLost = false
    do {
      try SharedFile(path, limit: Self.limit).change { [block, written] file in
        isLost = written != nil && block.found(in: file) != written
        return block.replaced(in: file, by: lines, isStale: Self.isStale)
      }
      written = lines
      onResult(nil)
      if isLost { logger.notice("another program has changed \(path); the names of the network are in it again") }
      return true
    } catch Errno.resourceTemporarilyUnavailable {
      request()
    } catch {
      onResult(error)
    }
    return false
  }

  /// Tries again what failed, and watches files and directories that are new.
  func refresh() {
    watch?.refresh()
    repair.request()
  }

  func stop() {
    hasStopped = true
    watch?.stop()
    guard written != nil else { return }
    var attempts = 0
    while true {
      do {
        try SharedFile(path, limit: Self.limit).change { [block] in
          block.replaced(in: $0, by: nil, isStale: Self.isStale)
        }
        return
      } catch {
        attempts += 1
        // Another daemon that ends now may be removing its block.
        if error == .resourceTemporarilyUnavailable, attempts < Self.stopAttempts {
          sleep(for: .milliseconds(10))
          continue
        }
        logger.warning(
          "the names of the network stay in \(path): \(error); the next daemon that may write the file removes them")
        return
      }
    }
  }

  /// Removes the blocks that ended daemons left, and those of an earlier start for this interface.
  static func removeStaleBlocks(from path: String, interface: String) {
    let own = block(for: interface)
    // If that fails, the next start tries again.
    _ = try? SharedFile(path, limit: limit).change { file in
      own.replaced(in: file, by: nil) { block in
        // A restarted container cannot see whether its former processes run.
        isStale(block) || block.interface == interface && ProcessIdentity(block.owner)?.presence != .runs
      }
    }
  }

  private static func block(for interface: String) -> HostsBlock {
    HostsBlock(interface: interface, owner: ProcessIdentity()?.description ?? "")
  }

  private static func isStale(_ block: HostsBlock) -> Bool { ProcessIdentity(block.owner)?.presence == .isGone }

  /// If the kernel has no watch left, `refresh` repairs the block once a minute.
  private func startWatching() {
    guard watch == nil else { return }
    watch = try? FileWatch([path], on: events) { [weak self] _ in self?.repair.request() }
  }
}

/// A job that runs soon after it is requested, within a rate limit. Owned by the loop's thread.
final class PacedJob {
  // Set once.
  private let events: EventLoop
  private let job: () -> Void

  private var rate: RateLimit
  private var isDue = false

  /// Requests tend to come several at a time.
  private static let delay = Duration.milliseconds(20)

  init(on events: EventLoop, _ rate: RateLimit, _ job: @escaping () -> Void) {
    self.events = events
    self.rate = rate
    self.job = job
  }

  /// Requests the job; requests before it runs count as one.
  func request() {
    guard !isDue else { return }
    isDue = true
    events.schedule(after: max(Self.delay, rate.wait(at: .now()))) { [weak self] in
      guard let self else { return }
      self.isDue = false
      _ = self.rate.allow(at: .now())
      self.job()
    }
  }
}
