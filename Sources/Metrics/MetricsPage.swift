/// The answer to a request for the one page. No I/O.
public enum MetricsPage {
  public static let path = "/metrics"

  public enum Answer: Sendable, Equatable {
    /// The metrics in this format; without the body for HEAD.
    case metrics(MetricsFormat, hasBody: Bool)
    case problem(HTTPStatus, hasBody: Bool)
  }

  public static func answer(to request: HTTPRequest) -> Answer {
    let hasBody = request.method != "HEAD"
    guard request.path == path else { return .problem(.notFound, hasBody: hasBody) }
    guard ["GET", "HEAD"].contains(request.method) else { return .problem(.methodNotAllowed, hasBody: true) }
    return .metrics(format(accept: request.fields["accept"] ?? ""), hasBody: hasBody)
  }

  /// OpenMetrics if the client asks for it and does not prefer plain text, else Prometheus' text format.
  static func format(accept: String) -> MetricsFormat {
    var best: [MetricsFormat: Double] = [:]
    for range in accept.split(separator: ",").prefix(maximumRanges) {
      let parts = range.split(separator: ";", omittingEmptySubsequences: false).map { trimmed($0).lowercased() }
      let parameters = parts.dropFirst().map { $0.split(separator: "=", maxSplits: 1).map { trimmed($0) } }
      func value(_ name: String) -> String? {
        parameters.first { $0.count == 2 && $0[0] == name }?[1].filter { $0 != "\"" }
      }
      let weight = value("q").map { Double($0) ?? 0 } ?? 1
      switch (parts[0], value("version")) {
      case ("application/openmetrics-text", nil), ("application/openmetrics-text", "1.0.0"):
        best[.openMetrics] = max(best[.openMetrics] ?? 0, weight)
      case ("text/plain", nil), ("text/plain", "0.0.4"):
        best[.prometheus] = max(best[.prometheus] ?? 0, weight)
      default: break
      }
    }
    let openMetrics = best[.openMetrics] ?? 0
    return openMetrics > 0 && openMetrics >= best[.prometheus] ?? 0 ? .openMetrics : .prometheus
  }

  private static let maximumRanges = 32

  /// The bytes of an answer; the server closes the connection after it.
  public static func response(
    _ status: HTTPStatus, _ contentType: String, _ body: [UInt8], hasBody: Bool = true
  ) -> [UInt8] {
    var head = "HTTP/1.1 \(status.rawValue) \(status.reason)\r\n"
    head += "Content-Type: \(contentType)\r\nContent-Length: \(body.count)\r\nConnection: close\r\n"
    // A browser must neither keep nor guess.
    head += "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nVary: Accept\r\n"
    if status == .methodNotAllowed { head += "Allow: GET, HEAD\r\n" }
    return Array("\(head)\r\n".utf8) + (hasBody ? body : [])
  }

  public static func response(_ problem: HTTPStatus, hasBody: Bool = true) -> [UInt8] {
    let text: String
    switch problem {
    case .notFound: text = "there is nothing but \(path) here\n"
    case .methodNotAllowed: text = "only GET and HEAD can be had\n"
    case .headTooLarge: text = "the request's head is longer than \(HTTPRequest.maximumHead) bytes\n"
    case .versionNotSupported: text = "only HTTP/1.0 and HTTP/1.1 are spoken\n"
    case .ok, .badRequest: text = "this is no request of HTTP\n"
    }
    return response(problem, "text/plain; charset=utf-8", Array(text.utf8), hasBody: hasBody)
  }
}
