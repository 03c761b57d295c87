internal import Link
internal import SystemIO
internal import Wire

/// The relay's data path in one loop: gathers frames for one destination into a run, and sends it with one call. Owned
/// by the loop's thread.
final class Forwarder {
  private let forwardingTable: ForwardingTable
  private var snapshot: ForwardingTable.Snapshot
  private var version: Int

  private var run = FrameRun()
  private var target: Outlet?

  /// Frames for addresses without an outlet.
  private(set) var unreachable = 0
  /// Frames for the other addresses, with their headers.
  private(set) var forwarded = FrameConnection.Traffic()

  init(_ forwardingTable: ForwardingTable) {
    self.forwardingTable = forwardingTable
    version = forwardingTable.version
    snapshot = forwardingTable.snapshot
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
    if outlet === target, run.append(frame) { return true }
    flush()
    target = outlet
    run = FrameRun(frame, frames: 1)
    return true
  }

  /// Sends the gathered frames.
  func flush() {
    guard let target else { return }
    target.connection.send(run)
    self.target = nil
    run = FrameRun()
  }

  /// Takes a new snapshot if the table has changed, which also frees the outlets that were removed.
  func refresh() {
    let newest = forwardingTable.version
    guard version != newest else { return }
    version = newest
    snapshot = forwardingTable.snapshot
  }
}
