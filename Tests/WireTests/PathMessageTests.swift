import Testing
import Wire

@Suite struct PathMessageTests {
  private static let messages: [(PathMessage, [UInt8])] = [
    (.challenge(0x0102_0304_0506_0708), [1, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]),
    (.response(0x0102_0304_0506_0708), [2, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]),
    (.report(highest: 255), [3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255]),
    (.end(change: 0x0A0B_0C0D, flows: 32), [4, 0, 0, 32, 10, 11, 12, 13, 0, 0, 0, 0, 0, 0, 0, 0]),
    (.begin(change: 1, flows: 0x0102), [5, 0, 1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
  ]

  @Test(arguments: messages)
  func `messages have the layout that is documented`(message: PathMessage, bytes: [UInt8]) {
    #expect(message.bytes == bytes)
    #expect(bytes.withUnsafeBytes { PathMessage(parsing: $0.bytes) } == message)
    #expect((bytes + [1, 2]).withUnsafeBytes { PathMessage(parsing: $0.bytes) } == message)
  }

  @Test func `what is short or of another type is none`() {
    for (_, bytes) in Self.messages {
      for count in 0..<bytes.count {
        #expect(bytes[..<count].withUnsafeBytes { PathMessage(parsing: $0.bytes) } == nil)
      }
    }
    for type in [0, 6, 255] as [UInt8] {
      let bytes = [type] + [UInt8](repeating: 0, count: 15)
      #expect(bytes.withUnsafeBytes { PathMessage(parsing: $0.bytes) } == nil)
    }
  }
}
