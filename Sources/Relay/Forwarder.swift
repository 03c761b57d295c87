internal import Link
internal import SystemIO
internal import Wire

/// The relay's data path in one loop: gathers frames for one destination into a run and hands it to that session's socket
/// in one call. Owned by the loop's thread.
final class Forwarder {
  private let forwardingTable: ForwardingTable
  private var snapshot: ForwardingTable.Snapshot
  private var version: Int

  private var run = FrameRun()
  private var target: Session?

  /// Frames for addresses that nobody has.
  private(set) var unreachable = 0
  /// Frames for the others, with their headers.
  private(set) var forwarded = FrameConnection.Traffic()

  init(_ forwardingTable: ForwardingTable) {
    self.forwardingTable = forwardingTable
    version = forwardingTable.version
    snapshot = forwardingTable.snapshot
  }

  /// Sends a frame, whose address is the sender's already, on to whoever has `destination`. Its memory must stay as it is
  /// until `flush`.
  func forward(_ frame: UnsafeRawBufferPointer, to destination: IPv4Address, from source: Session) {
    if run.isEmpty { refresh() }
    guard let session = snapshot.session(at: destination) else {
      return report(destination, to: source)
    }
    forwarded.frames += 1
    forwarded.bytes += frame.count
    if session === target, run.append(frame) { return }
    flush()
    target = session
    run = FrameRun(frame, frames: 1)
  }

  /// Sends what has been gathered.
  func flush() {
    guard let target else { return }
    target.connection.send(run)
    self.target = nil
    run = FrameRun()
  }

  /// Takes note of sessions that have come and gone, so that those gone can be freed.
  func refresh() {
    let newest = forwardingTable.version
    guard version != newest else { return }
    version = newest
    snapshot = forwardingTable.snapshot
  }

  private func report(_ destination: IPv4Address, to source: Session) {
    unreachable += 1
    guard source.notices.allow(at: .now()) else { return }
    source.connection.send(control: ControlMessage.unreachable(.address(destination)).frame())
  }
}
