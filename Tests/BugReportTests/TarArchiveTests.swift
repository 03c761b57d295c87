import Testing

@testable import BugReport

@Suite struct TarArchiveTests {
  private func text(_ bytes: ArraySlice<UInt8>) -> String {
    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
  }

  @Test func `a file is a header, its content and zeros up to a whole block`() {
    var archive = TarArchive(time: 1_700_000_000)
    archive.add("report/README", Array("hello\n".utf8))
    let bytes = archive.bytes
    #expect(bytes.count == 512 + 512 + 1024)
    #expect(text(bytes[0..<100]) == "report/README")
    #expect(text(bytes[100..<108]) == "0000600")
    #expect(text(bytes[124..<136]) == "00000000006")
    #expect(text(bytes[136..<148]) == "14524770400")
    #expect(bytes[156] == UInt8(ascii: "0"))
    #expect(Array(bytes[257..<265]) == Array("ustar\u{0}00".utf8))
    #expect(Array(bytes[512..<518]) == Array("hello\n".utf8))
    #expect(bytes[518...].allSatisfy { $0 == 0 })
  }

  @Test func `the checksum is that of the header with spaces in its place`() throws {
    var archive = TarArchive(time: 0)
    archive.add("a", [])
    let header = archive.bytes[0..<512]
    let stored = try #require(Int(text(header[148..<154]), radix: 8))
    let sum = header.enumerated().reduce(0) { $0 + ((148..<156).contains($1.offset) ? 0x20 : Int($1.element)) }
    #expect(stored == sum)
  }

  @Test(arguments: [0, 1, 511, 512, 513, 4096])
  func `every file begins at a whole block, however long the one before it is`(size: Int) {
    var archive = TarArchive(time: 0)
    archive.add("first", [UInt8](repeating: 1, count: size))
    archive.add("second", [2])
    let start = 512 + (size + 511) / 512 * 512
    #expect(text(archive.bytes[start..<start + 100]) == "second")
    #expect(archive.bytes.count.isMultiple(of: 512))
  }
}
