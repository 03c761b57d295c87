import CTestSupport
import Noise
import Testing
import Wire

/// Sealing makes nothing per frame. Only optimised code keeps this promise.
@Suite(.enabled(if: !_isDebugAssertConfiguration() && ctest_counts_allocations())) struct AllocationTests {
  @Test(arguments: CipherSuite.allCases)
  func `a thousand frames sealed, opened and refused allocate nothing`(suite: CipherSuite) {
    let cipher = TransportCipher(TransportKey(suite: suite, bytes: Array(repeating: 1, count: 32)))
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 1416, alignment: 16)
    defer { bytes.deallocate() }
    bytes.initializeMemory(as: UInt8.self, repeating: 3)
    let associatedData = UnsafeRawBufferPointer(start: nil, count: 0)
    var window = ReplayWindow()
    var accepted = 0
    func work(_ counters: Range<UInt64>) {
      for counter in counters {
        cipher.seal(bytes, counter: counter, associatedData: associatedData)
        if window.mayAccept(counter), cipher.open(bytes, counter: counter, associatedData: associatedData),
          window.accept(counter)
        {
          accepted += 1
        }
        if cipher.open(bytes, counter: counter, associatedData: associatedData) { accepted -= 1 }
      }
    }
    // The first refusal on a thread makes its list of errors.
    work(0..<10)
    let before = ctest_allocations()
    work(10..<1010)
    #expect(ctest_allocations() - before == 0)
    #expect(accepted == 1010)
  }
}
