import CommandLine
import Testing

@Suite struct ColumnsTests {
  private static let rows = [
    ["ADDRESS", "ID", "SERVICES"], ["10.0.0.2", "a-rather-long-device-id-1234", "detector,camera"],
    ["10.0.0.3", "short", ""],
  ]

  private func lines(_ width: Int?, cuts: Bool = true) -> [String] {
    var columns = Columns(width: width)
    columns.shortening = 1
    columns.cutsLines = cuts
    return columns.lines(Self.rows)
  }

  @Test func `what has room is whole`() {
    let whole = [
      "ADDRESS   ID                            SERVICES",
      "10.0.0.2  a-rather-long-device-id-1234  detector,camera", "10.0.0.3  short",
    ]
    #expect(lines(nil) == whole)
    #expect(lines(55) == whole)
  }

  @Test func `a long ID is shortened first`() {
    #expect(
      lines(40) == [
        "ADDRESS   ID             SERVICES", "10.0.0.2  a-rather-lon…  detector,camera", "10.0.0.3  short",
      ])
  }

  @Test func `then the ends of lines are cut, and addresses stay whole`() {
    #expect(
      lines(30) == ["ADDRESS   ID            SERVI…", "10.0.0.2  a-rather-lo…  detec…", "10.0.0.3  short"])
    #expect(lines(9) == ["ADDRESS …", "10.0.0.2…", "10.0.0.3…"])
  }

  @Test func `what must not be cut stays whole where shortening is not enough`() {
    #expect(lines(40, cuts: false) == lines(40))
    #expect(lines(30, cuts: false) == lines(nil))
  }

  @Test func `no line is wider than the terminal, whatever its width`() {
    for width in 1...60 {
      for line in lines(width) { #expect(line.columns <= width, "\(width): \(line)") }
    }
  }

  @Test func `a colour takes no room`() {
    var columns = Columns(width: 12)
    columns.colour = { row, column in row == 0 && column == 1 ? .red : nil }
    #expect(columns.lines([["a", "bad", "c"]]) == ["a  \u{1B}[31mbad\u{1B}[0m  c"])
  }

  @Test(
    arguments: [
      ("plain", 5, "plain"), ("plain", 4, "pla…"), ("plain", 1, "…"), ("plain", 0, ""),
      // Each of these takes two columns, so that one stays empty.
      ("温度計", 6, "温度計"), ("温度計", 5, "温度…"), ("温度計", 4, "温…"), ("温度計", 2, "…"),
      // An e and an accent of its own, which stay together.
      ("cafe\u{301}s", 5, "cafe\u{301}s"), ("cafe\u{301}s", 4, "caf…"), ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
    ] as [(String, Int, String)])
  func `a text is cut between characters, and … says so`(text: String, width: Int, expected: String) {
    #expect(text.cut(to: width) == expected)
    #expect(text.cut(to: width).columns <= width)
  }

  @Test func `a table has its columns below each other, in wide characters too`() {
    var table = Table(["NAME", "STATE"])
    table.add(["温度計", "up"])
    table.add(["a\u{1B}[2Jb", "down"])
    #expect(table.text == "NAME    STATE\n温度計  up\na?[2Jb  down")
  }
}
