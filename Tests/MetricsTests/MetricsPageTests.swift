import Metrics
import Testing

@Suite struct MetricsPageTests {
  private func answer(_ method: String, _ path: String, accept: String? = nil) -> MetricsPage.Answer {
    MetricsPage.answer(to: HTTPRequest(method: method, path: path, fields: accept.map { ["accept": $0] } ?? [:]))
  }

  @Test func `there is one page, to be read only`() {
    #expect(answer("GET", "/metrics") == .metrics(.prometheus, hasBody: true))
    #expect(answer("HEAD", "/metrics") == .metrics(.prometheus, hasBody: false))
    #expect(answer("POST", "/metrics") == .problem(.methodNotAllowed, hasBody: true))
    #expect(answer("GET", "/") == .problem(.notFound, hasBody: true))
    #expect(answer("HEAD", "/metrics/") == .problem(.notFound, hasBody: false))
  }

  @Test(arguments: [
    // What Prometheus 2.42 and 3.0 send.
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
      + "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
      + "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
      + "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
    "application/openmetrics-text", "APPLICATION/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8",
    "text/plain;q=0.9, application/openmetrics-text",
  ])
  func `OpenMetrics is for who asks for it`(accept: String) {
    #expect(answer("GET", "/metrics", accept: accept) == .metrics(.openMetrics, hasBody: true))
  }

  @Test(arguments: [
    "", "*/*", "text/plain", "text/html,*/*;q=0.8", "application/openmetrics-text;version=0.0.1",
    "application/openmetrics-text;q=0", "application/openmetrics-text;q=x",
    "application/openmetrics-text;q=0.5,text/plain", ";;,,=;q", "application/json",
  ])
  func `everybody else gets Prometheus' text`(accept: String) {
    #expect(answer("GET", "/metrics", accept: accept) == .metrics(.prometheus, hasBody: true))
  }

  @Test func `a response says how long it is, also without its body`() {
    let whole = String(decoding: MetricsPage.response(.ok, "text/plain", Array("abc".utf8)), as: UTF8.self)
    #expect(whole.hasPrefix("HTTP/1.1 200 OK\r\n") && whole.hasSuffix("\r\n\r\nabc"))
    #expect(whole.contains("\r\nContent-Length: 3\r\n") && whole.contains("\r\nConnection: close\r\n"))
    let head = MetricsPage.response(.ok, "text/plain", Array("abc".utf8), hasBody: false)
    #expect(String(decoding: head, as: UTF8.self) + "abc" == whole)
    #expect(
      String(decoding: MetricsPage.response(.methodNotAllowed), as: UTF8.self).contains("\r\nAllow: GET, HEAD\r\n"))
  }
}
