// A frame's journey through a turn:
//
//   its address  → `ForwardingTable.Snapshot`: the destination's outlet
//   the frame continues the run for the last destination → the run grows where the frames lie
//   the destination changes → a long run leaves; a short one waits in a `Gathering`, since a sender that takes its
//                             destinations in turn would cost one call a frame otherwise
//   the turn ends → what was gathered leaves, one call for each destination

internal import Link
internal import SystemIO
internal import Wire

/// The relay's data path in one loop: gathers the frames for each destination, and sends them together. Owned by the
/// loop's thread.
final class Forwarder {
  private let forwardingTable: ForwardingTable
  private var snapshot: ForwardingTable.Snapshot
  private var version: Int

  private var run = FrameRun()
  private var target: Outlet?
  /// Frames that precede those of `run`, for up to `places` destinations.
  private let gathered: [Gathering]
  /// How many of `gathered` are in use; these come first.
  private var used = 0

  /// Frames for addresses without an outlet.
  private(set) var unreachable = 0
  /// Frames for the other addresses, with their headers.
  private(set) var forwarded = FrameConnection.Traffic()

  /// To how many destinations a sender may send in turn for few calls.
  private static let places = 8
  /// A longer run, in bytes, is worth a call of its own rather than a copy.
  private static let shortRun = 1024

  init(_ forwardingTable: ForwardingTable) {
    self.forwardingTable = forwardingTable
    version = forwardingTable.version
    snapshot = forwardingTable.snapshot
    gathered = (0..<Self.places).map { _ in Gathering() }
  }

  /// Forwards a frame, whose address is the sender's already, to `destination`. False: no device has that address. The
  /// frame's memory must not change until `flush`.
  func forward(_ frame: UnsafeRawBufferPointer, to destination: IPv4Address) -> Bool {
    if run.isEmpty { refresh() }
    guard let outlet = snapshot.outlet(at: destination) else {
      unreachable += 1
      return false
    }
    forwarded.frames += 1
    forwarded.bytes += frame.count
    if outlet === target {
      if run.append(frame) { return true }
      endRun()
    } else {
      endRun()
      target = outlet
    }
    run = FrameRun(frame, frames: 1)
    return true
  }

  /// Sends the gathered frames.
  func flush() {
    guard let target else { return }
    if used == 0 {
      target.connection.send(run)
      run = FrameRun()
    } else {
      endRun()
      sendGathered()
    }
    self.target = nil
  }

  private func sendGathered() {
    for place in 0..<used { gathered[place].send() }
    used = 0
  }

  /// Lets a long run leave, behind what was gathered before for its destination, and gathers a short one.
  private func endRun() {
    guard let target, !run.isEmpty else { return }
    defer { run = FrameRun() }
    var place = 0
    while place < used, gathered[place].outlet !== target { place += 1 }
    guard run.count <= Self.shortRun else {
      if place < used { gathered[place].sendFrames() }
      return target.connection.send(run)
    }
    if place == Self.places {
      sendGathered()
      place = 0
    }
    if place == used {
      used += 1
      gathered[place].outlet = target
    }
    gathered[place].add(run)
  }

  /// Takes a new snapshot if the table has changed, which also frees the outlets that were removed.
  func refresh() {
    let newest = forwardingTable.version
    guard version != newest else { return }
    version = newest
    snapshot = forwardingTable.snapshot
  }
}

/// Copies of short runs for one destination. Owned by the loop's thread.
private final class Gathering {
  private let buffer = RawBuffer(count: 4096)
  private var count = 0
  private var frames = 0
  var outlet: Outlet?

  /// Adds a run that is no longer than the buffer.
  func add(_ run: FrameRun) {
    if count + run.count > buffer.count { sendFrames() }
    add(run.first)
    add(run.second)
    frames += run.frames
  }

  private func add(_ piece: UnsafeRawBufferPointer) {
    UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[count...]).copyMemory(from: piece)
    count += piece.count
  }

  /// Sends the frames; others may follow for the same destination.
  func sendFrames() {
    guard frames > 0 else { return }
    outlet?.connection.send(
      FrameRun(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count]), frames: frames))
    (count, frames) = (0, 0)
  }

  /// Sends the frames and releases the destination.
  func send() {
    sendFrames()
    outlet = nil
  }
}
