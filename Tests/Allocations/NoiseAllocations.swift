import Noise
import SystemIO
import Wire

/// Frames that are sealed, opened and refused.
func noiseChecks() -> [Check] {
  CipherSuite.allCases.map { suite in
    Check(sentence: "a thousand frames sealed, opened and refused by \(suite)", work: frames(suite), rounds: 1000)
  }
}

private func frames(_ suite: CipherSuite) -> (Int) throws -> Void {
  let cipher = TransportCipher(TransportKey(suite: suite, bytes: Array(repeating: 1, count: 32)))
  let memory = RawBuffer(count: 1416)
  let associatedData = UnsafeRawBufferPointer(start: nil, count: 0)
  var window = ReplayWindow()
  var counter: UInt64 = 0
  return { rounds in
    let bytes = memory.bytes
    var accepted = 0
    for _ in 0..<rounds {
      cipher.seal(bytes, counter: counter, associatedData: associatedData)
      if window.mayAccept(counter), cipher.open(bytes, counter: counter, associatedData: associatedData),
        window.accept(counter)
      {
        accepted += 1
      }
      if cipher.open(bytes, counter: counter, associatedData: associatedData) { accepted -= 1 }
      counter += 1
    }
    try Broken.unless(accepted == rounds, "a frame was not opened, or twice")
  }
}
