import Testing

@testable import CommandLine

@Suite struct CompletionWordTests {
  @Test func `what begins as the word is offered, each once and in order`() {
    #expect(CompletionWord("ki").fitting(["kiosk", "kitchen", "hall", "kitchen"]) == ["kiosk", "kitchen"])
    #expect(CompletionWord("").fitting(["b", "a"]) == ["a", "b"])
    #expect(CompletionWord("x").fitting(["a"]).isEmpty)
  }

  @Test func `a quote that the word begins with is no part of it`() {
    #expect(CompletionWord("\"ki").fitting(["kitchen"]) == ["kitchen"])
    #expect(CompletionWord("'ki'").fitting(["kitchen"]) == ["kitchen"])
  }

  @Test(arguments: ["$(reboot)", "`reboot`", "a b", "a;b", "a\\b", "a'b", "a\"b", "~root", "a*", "a\nb", "é", "{a,b}"])
  func `what a shell would make something of is not offered`(name: String) {
    #expect(CompletionWord("").fitting([name, "fine"]) == ["fine"])
  }

  @Test func `the list has a bound`() {
    #expect(CompletionWord("").fitting((0..<5000).map { "d\($0)" }).count == CompletionWord.maximumCount)
  }

  @Test(arguments: [
    (["mnedc-ctl", "revoke", "--socket", "/a", ""], ["--socket", "/a"]),
    (["mnedc-ctl", "revoke", "--socket=/a", ""], ["--socket", "/a"]),
    (["mnedc-ctl", "revoke", "--socket", "=", "/a", ""], ["--socket", "/a"]),
    (["mnedc-ctl", "-c", "\"/a b\"", "revoke", ""], ["-c", "/a b"]),
    (["mnedc-ctl", "--config=/a", "revoke", "--json", "--timeout", "1s", ""], ["--config", "/a"]),
    (["mnedc-peers", "ping", "-c", "2", "--config", "/a", ""], ["--config", "/a"]),
    (["/usr/bin/mnedc-peers", "ping", "-c", "2", ""], []),
    (["mnedc-ctl", "revoke", "--", "--socket", "/a"], []),
    (["mnedc-ctl", "revoke", "--socket"], []),
    ([], []),
  ])
  func `the daemon that the line names is asked`(line: [String], options: [String]) {
    #expect(CompletionWord.daemonOptions(of: line) == options)
  }
}
