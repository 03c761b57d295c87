import Names
import TestSupport
import Testing

@Suite struct MessageTests {
  @Test func `a question is read`() throws {
    guard case .query(let query) = DNSQuery.read(question("Cam.mnedc", .aaaa, edns: 1400)) else {
      Issue.record("no query")
      return
    }
    #expect(query.id == 7 && query.wantsRecursion && query.type == .aaaa && query.classCode == 1)
    #expect(
      query.name.labels == [Array("Cam".utf8), Array("mnedc".utf8)] && query.name.lowercased == ["cam", "mnedc"])
    #expect(query.edns?.size == 1400 && query.edns?.wantsSignatures == true)
  }

  private static let long = Array(repeating: String(repeating: "a", count: 63), count: 4).joined(separator: ".")

  private static let badMessages: [[UInt8]] = {
    let asked = Array(question("a").dropFirst(12))
    let options: [UInt8] = [0] + words(41, 512, 0, 0, 0)
    var bad: [[UInt8]] = [words(7, 0, 0, 0, 0, 0), words(7, 0, 2, 0, 0, 0), words(7, 0, 1, 0, 0, 0)]
    bad.append(Array(question("a.b", flags: 0).dropLast()))
    // A pointer, to itself; a label of a kind that there is not; a name of 257 bytes.
    bad.append(words(7, 0, 1, 0, 0, 0) + [0xC0, 12, 0, 1, 0, 1])
    bad.append(words(7, 0, 1, 0, 0, 0) + [0x40, 0, 0, 1, 0, 1])
    bad.append(question(long, flags: 0))
    // More records than there are, an OPT record twice, or not at the root, or longer than the message.
    bad.append(words(7, 0, 1, 0, 0, 9) + asked)
    bad.append(words(7, 0, 1, 65_535, 65_535, 1) + asked)
    bad.append(words(7, 0, 1, 0, 0, 2) + asked + options + options)
    bad.append(words(7, 0, 1, 0, 0, 1) + asked + [0xC0, 12] + words(41, 512, 0, 0, 0))
    bad.append(words(7, 0, 1, 0, 0, 1) + asked + [0] + words(41, 512, 0, 0, 1))
    return bad
  }()

  @Test(arguments: badMessages)
  func `what is no question that makes sense is a format error`(message: [UInt8]) {
    #expect(DNSQuery.read(message) == .problem(.formatError, id: 7, opcode: 0, wantsRecursion: false), "\(message)")
  }

  @Test func `an answer and what is too short get no answer, another operation and version get a word`() {
    #expect(DNSQuery.read(question("a", flags: 0x8000)) == .ignored)
    #expect(DNSQuery.read([]) == .ignored && DNSQuery.read(words(7, 0, 1, 0, 0)) == .ignored)
    #expect(
      DNSQuery.read(question("a", flags: 0x2000)) == .problem(.notImplemented, id: 7, opcode: 4, wantsRecursion: false))
    let newer = words(7, 0, 1, 0, 0, 1) + question("a").dropFirst(12) + [0] + words(41, 512, 1, 0, 0)
    #expect(DNSQuery.read(newer) == .problem(.badVersion, id: 7, opcode: 0, wantsRecursion: false))
    #expect(
      DNSResponse.encoded(.badVersion, id: 7, opcode: 0, wantsRecursion: false)
        == words(7, 0x8000, 0, 0, 0, 1) + [0] + words(41, 1232, 0x100, 0, 0))
  }

  @Test func `an answer is written as RFC 1035 says`() {
    guard case .response(let response) = zone().answer(query("CAM.mnedc")) else {
      Issue.record("no answer")
      return
    }
    let expected =
      words(7, 0x8500, 1, 1, 0, 0) + question("CAM.mnedc").dropFirst(12) + [0xC0, 12] + words(1, 1, 0, 5, 4) + [
        10, 0, 0, 3,
      ]
    #expect(response.encoded(answering: query("CAM.mnedc"), limit: 512) == expected)
  }

  @Test func `what is too large says so, and has the question and the options alone`() {
    guard case .query(let query) = DNSQuery.read(question("nobody.mnedc", edns: 600)),
      case .unknown(_, let response) = zone().answer(query)
    else {
      Issue.record("no answer")
      return
    }
    let bytes = response.encoded(answering: query, limit: 60)
    #expect(bytes[2] & 2 == 2 && bytes.count == 12 + 14 + 4 + 11)
    #expect(bytes[7] == 0 && bytes[9] == 0 && bytes[11] == 1)
    #expect(DNSResponse.datagramSize(for: query) == 600)
  }

  @Test func `no bytes make the reader trap, and what is read can be answered`() {
    var random = FixedRandom(seed: 3)
    let seeds = [question("cam.mnedc", edns: 1232), question("3.0.0.10.in-addr.arpa", .ptr), question("", .ns)]
    let zone = zone()
    for round in 0..<20_000 {
      var bytes = seeds[round % seeds.count]
      for _ in 0..<Int.random(in: 1...5, using: &random) where !bytes.isEmpty {
        let place = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.removeSubrange(place...)
        case 2: bytes.insert(UInt8.random(in: 0...255, using: &random), at: place)
        default: bytes += bytes[place...]
        }
      }
      guard case .query(let query) = DNSQuery.read(bytes) else { continue }
      switch zone.answer(query) {
      case .response(let response), .unknown(_, let response):
        #expect(response.encoded(answering: query, limit: 512).count <= 512)
      }
    }
  }
}
