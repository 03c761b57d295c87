internal import CommandLine
public import Config
public import Control
public import Identity
internal import SystemIO
internal import SystemPackage
public import Wire

/// The orchestration information that this device sends to its peers. Announcements override the configuration, and
/// survive a restart, except the load. Owned by the main thread.
public final class OwnOrchestration {
  // Set once.
  private let deviceID: String
  private let file: AnnouncementFile
  private let warn: (String) -> Void

  /// Called with the error of each attempt to write announcements, `nil` if there was none.
  public var onSave: ((any Error)?) -> Void = { _ in }

  private var settings: Settings.Orchestration
  private var announcement: Announcement
  private var load: Double?
  private var place: Orchestration.Location?
  /// The present information. Each change increments its revision by one.
  public private(set) var current: Orchestration

  /// The number of bits for the revisions of one start, more than it can use.
  private static let revisionBits = 24

  /// Counts this start and reads former announcements. A disk that cannot be written or a damaged file only causes a
  /// warning. `warn` gets a line for the log.
  public init(
    in directory: StateDirectory, deviceID: String, _ settings: Settings.Orchestration,
    warn: @escaping (String) -> Void
  ) {
    self.deviceID = deviceID
    self.settings = settings
    self.warn = warn
    file = AnnouncementFile(in: directory)
    let start = StartCounter(in: directory).count(warn)
    announcement = file.loadOrSetAside(warn)
    current = Orchestration(deviceID: deviceID, revision: start << Self.revisionBits, platform: currentPlatform)
    current = merged()
  }

  /// The information of the configuration, with the present revision and host name.
  private var base: Orchestration {
    var base = settings.information(of: deviceID)
    base.revision = current.revision
    base.hostName = current.hostName
    base.load = load
    base.place = place
    return base
  }

  /// Configuration and announcements, with the present revision. Logs announcements that do not fit.
  private func merged() -> Orchestration {
    var base = base
    base.hostName = settings.hostName ?? hostName().flatMap(Self.validHostName)
    let (information, leftOut) = announcement.fitting(on: base)
    if !leftOut.isEmpty {
      let names = leftOut.joined(separator: ", ")
      warn(
        """
        beside what the configuration says, there is no room for all that was announced; peers are not told of \
        \(names): \
        take some of it back (mnedc-ctl announce --withdraw, --no-label), or out of the configuration
        """)
    }
    return information
  }

  /// The nearest valid host name; `nil` if there is none.
  static func validHostName(_ name: String) -> String? {
    // The kernel's name for a host without a name.
    guard name != "(none)" else { return nil }
    let labels = name.split(separator: ".").compactMap { DeviceID.sanitized(String($0)) }
    let result = labels.joined(separator: ".")
    return Orchestration.isHostName(result) ? result : nil
  }

  /// Replaces the present information. Returns whether it has changed.
  private func replace(by information: Orchestration) -> Bool {
    guard information != current else { return false }
    current = information
    current.revision += 1
    return true
  }

  // MARK: Changes

  /// Applies the settings of a reload. Returns the information if it has changed.
  public func reload(_ settings: Settings.Orchestration) -> Orchestration? {
    self.settings = settings
    return replace(by: merged()) ? current : nil
  }

  /// Applies a new location of the device. Returns the information if it has changed.
  public func moved(to place: Orchestration.Location) -> Orchestration? {
    self.place = place
    return replace(by: merged()) ? current : nil
  }

  /// Carries out an order wholly or not at all, and answers with the information. Calls `tell` if it has changed.
  public func answer(_ order: AnnounceOrder, tell: (Orchestration) -> Void) -> ControlAnswer {
    do throws(ControlError) {
      if try announce(order) { tell(current) }
      return .report(OrchestrationReport(current, announcement))
    } catch {
      return .failed(error)
    }
  }

  private func announce(_ order: AnnounceOrder) throws(ControlError) -> Bool {
    let former = order.reset ? Announcement() : announcement
    let changed = try changed(former, by: order)
    let load =
      switch order.load {
      case .number(let number): Double?.some(number)
      case .nothing: Double?.none
      case nil: order.reset ? nil : self.load
      }
    var base = base
    base.load = load
    let information = changed.on(base)
    // If the configuration has grown too large, withdrawing in steps must stay possible.
    let isMore = !order.services.isEmpty || !order.labels.isEmpty || order.load != nil
    if isMore, let obstacle = information.obstacle {
      throw ControlError(
        .failed,
        "this cannot be announced, and nothing has changed: \(obstacle); withdraw what is no longer needed, or remove "
          + "it from the configuration")
    }
    if changed != announcement {
      do {
        try file.save(changed)
        onSave(nil)
      } catch {
        onSave(error)
        throw ControlError(.failed, "nothing has changed, because the announcement cannot be stored: \(error)")
      }
      announcement = changed
    }
    self.load = load
    return replace(by: changed.fitting(on: base).information)
  }

  private func changed(_ announcement: Announcement, by order: AnnounceOrder) throws(ControlError) -> Announcement {
    let services = order.services.map(\.name) + order.withdrawnServices
    if let name = services.first(where: { name in services.count { $0 == name } > 1 }) {
      throw ControlError(.failed, "the service \(shown(name)) is named twice; say one thing of it at a time")
    }
    let labels = Array(order.labels.keys) + order.withdrawnLabels
    if let name = labels.first(where: { name in labels.count { $0 == name } > 1 }) {
      throw ControlError(.failed, "the label \(shown(name)) is named twice; say one thing of it at a time")
    }
    var result = announcement
    for service in order.services {
      if let index = result.services.firstIndex(where: { $0.name == service.name }) {
        result.services[index] = service.completed(by: result.services[index])
      } else {
        result.services.append(service)
      }
    }
    for name in order.withdrawnServices {
      guard let index = result.services.firstIndex(where: { $0.name == name }) else {
        let isConfigured = settings.services.contains { $0.name == name }
        throw ControlError(
          .notFound,
          isConfigured
            ? "the service \(shown(name)) comes from the configuration; remove it there and reload, or "
              + "announce it as down (--down \(shown(name)))"
            : "no service \(shown(name)) was announced; mnedc-ctl announce shows the announced ones")
      }
      result.services.remove(at: index)
    }
    result.labels.merge(order.labels) { _, new in new }
    for name in order.withdrawnLabels where result.labels.removeValue(forKey: name) == nil {
      throw ControlError(
        .notFound,
        settings.labels[name] != nil
          ? "the label \(shown(name)) comes from the configuration; remove it there and reload, or "
            + "announce another value (--label \(shown(name))=VALUE)"
          : "no label \(shown(name)) was announced; mnedc-ctl announce shows the announced ones")
    }
    return result
  }

  /// A request may contain any text.
  private func shown(_ name: String) -> String { Orchestration.isName(name) ? name : "of that name" }
}

extension OrchestrationReport {
  fileprivate init(_ information: Orchestration, _ announcement: Announcement) {
    self.init(
      revision: information.revision, deviceId: information.deviceID, hostName: information.hostName,
      platform: information.platform, executionType: information.executionType,
      services: information.services,
      labels: information.labels, load: information.load, place: information.place,
      announcedServices: announcement.services.map(\.name), announcedLabels: announcement.labels.keys.sorted())
  }
}
