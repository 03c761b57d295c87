import Link
import SystemIO
import TestSupport
import Wire

/// Frames from one end of a connection to the other.
func linkChecks() throws -> [Check] {
  [
    Check(
      sentence: "ten thousand frames from one end to the other", work: try frames(queueLimit: 1 << 20, readEvery: 1),
      rounds: 1000),
    Check(
      sentence: "frames that wait, are dropped and are sent later",
      work: try frames(queueLimit: 256 << 10, readEvery: 20), rounds: 1000),
  ]
}

/// Sends a run of ten frames a round, and takes in what has come every so many rounds.
private func frames(queueLimit: Int, readEvery: Int) throws -> (Int) throws -> Void {
  let pair = try SocketPair()
  let loop = try EventLoop()
  let sender = FrameConnection(pair.first, loop: loop, queueLimit: queueLimit)
  let receiver = FrameConnection(pair.second, loop: loop, queueLimit: queueLimit)
  let memory = ReceiveMemory()
  let run = (0..<10).flatMap { frame(number: $0, length: 1400 * ($0 % 3 + 1)) }
  var received = 0
  return { rounds in
    let atFirst = received
    for round in 0..<rounds {
      run.withUnsafeBytes { sender.send(FrameRun($0, frames: 10)) }
      guard round % readEvery == 0 else { continue }
      var before = -1
      while before != received {
        before = received
        try receiver.receive(
          using: memory, deliver: { _, header in received += header.length > 0 ? 1 : 0 }, finish: {})
        sender.flush()
      }
    }
    try Broken.unless(received - atFirst > rounds, "too few frames have come")
  }
}

private func frame(number: Int, length: Int) -> [UInt8] {
  var frame = [UInt8](repeating: UInt8(number), count: FrameHeader.size + length)
  frame.withUnsafeMutableBytes {
    FrameHeader(
      type: .data, length: length, address: IPv4Address(bits: UInt32(number)), flow: UInt16(number)
    ).write(to: $0)
  }
  return frame
}
