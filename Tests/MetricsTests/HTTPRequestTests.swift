import Metrics
import Testing

@Suite struct HTTPRequestTests {
  private func read(_ text: String) -> HTTPRequest.Reading { HTTPRequest.read(Array(text.utf8)) }

  @Test func `method, path and fields are read, and what is behind the head is left alone`() {
    let text = "GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\nACCEPT: \t text/plain \r\naccept:*/*\r\n\r\nrest"
    #expect(
      read(text)
        == .request(
          HTTPRequest(method: "GET", path: "/metrics", fields: ["host": "a", "accept": "text/plain,*/*"])))
  }

  @Test(arguments: ["", "GET", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\n", "\r\nGET / HTTP/1.0\r\n"])
  func `a part is not enough`(text: String) {
    #expect(read(text) == .incomplete)
  }

  @Test(arguments: [
    "GET / HTTP/1.0\n\n", "\r\nGET / HTTP/1.0\r\n\r\n", "GET http://a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
    "GET HTTP://a/?q HTTP/1.0\r\n\r\n",
  ])
  func `what differs in form is the same request`(text: String) {
    guard case .request(let request) = read(text) else { return #expect(Bool(false), "it is none") }
    #expect(request.method == "GET" && request.path == "/")
  }

  @Test(arguments: [
    "\r\n\r\n", "GET\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/1.1 x\r\nHost: a\r\n\r\n", "GET  / HTTP/1.1\r\n\r\n",
    "G(T / HTTP/1.0\r\n\r\n", "GET metrics HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.0\r\nx\r\n\r\n",
    "GET / HTTP/1.0\r\n: x\r\n\r\n", "GET / HTTP/1.0\r\na b: x\r\n\r\n", "GET / HTTP/1.0\r\na: \u{1}\r\n\r\n",
    "GET / FTP/1.0\r\n\r\n", "\u{16}\u{3}\u{1}\n\n",
  ])
  func `what is no request is refused`(text: String) {
    #expect(read(text) == .refused(.badRequest))
  }

  @Test func `other versions and endless heads are refused`() {
    #expect(read("GET / HTTP/2.0\r\n\r\n") == .refused(.versionNotSupported))
    #expect(read(String(repeating: "x", count: HTTPRequest.maximumHead - 1)) == .incomplete)
    #expect(read(String(repeating: "x", count: HTTPRequest.maximumHead)) == .refused(.headTooLarge))
    let long = "GET / HTTP/1.0\r\na: " + String(repeating: "x", count: HTTPRequest.maximumHead) + "\r\n\r\n"
    #expect(read(long) == .refused(.headTooLarge))
  }

  @Test func `no bytes at all make it fail`() {
    var numbers = SystemRandomNumberGenerator()
    let request = Array("GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: text/plain;q=0.5\r\n\r\n".utf8)
    for _ in 0..<2000 {
      var bytes = request
      for _ in 0..<Int.random(in: 1...8, using: &numbers) {
        bytes[Int.random(in: bytes.indices, using: &numbers)] = UInt8.random(in: 0...255, using: &numbers)
      }
      bytes.removeLast(Int.random(in: 0..<bytes.count, using: &numbers))
      if case .request(let request) = HTTPRequest.read(bytes) { _ = MetricsPage.answer(to: request) }
    }
  }
}
