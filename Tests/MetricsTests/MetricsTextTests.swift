import Control
import Metrics
import Testing

@Suite struct MetricsTextTests {
  private static let report = {
    var report = MetricsReport()
    report.info("x_build", "Who.", ["version": "0.1.0", "program": "x"])
    report.gauge("x_delay_seconds", unit: "seconds", "How long.", 0.25)
    report.counter("x_drops", "Drops.", [MetricsReport.Sample](by: "cause", ["late": 3, "overflow": 0]))
    report.gauge("x_unknown", "What is not known.", nil)
    return report
  }()

  @Test func `OpenMetrics names families without their suffixes, and ends with EOF`() {
    #expect(
      MetricsFormat.openMetrics.text(Self.report) == """
        # TYPE x_build info
        # HELP x_build Who.
        x_build_info{program="x",version="0.1.0"} 1
        # TYPE x_delay_seconds gauge
        # UNIT x_delay_seconds seconds
        # HELP x_delay_seconds How long.
        x_delay_seconds 0.25
        # TYPE x_drops counter
        # HELP x_drops Drops.
        x_drops_total{cause="late"} 3
        x_drops_total{cause="overflow"} 0
        # TYPE x_unknown gauge
        # HELP x_unknown What is not known.
        # EOF

        """)
  }

  @Test func `Prometheus' text names families as their samples`() {
    #expect(
      MetricsFormat.prometheus.text(Self.report) == """
        # TYPE x_build_info gauge
        # HELP x_build_info Who.
        x_build_info{program="x",version="0.1.0"} 1
        # TYPE x_delay_seconds gauge
        # HELP x_delay_seconds How long.
        x_delay_seconds 0.25
        # TYPE x_drops_total counter
        # HELP x_drops_total Drops.
        x_drops_total{cause="late"} 3
        x_drops_total{cause="overflow"} 0
        # TYPE x_unknown gauge
        # HELP x_unknown What is not known.

        """)
  }

  @Test func `quotation marks, backslashes and ends of lines are escaped`() {
    var report = MetricsReport()
    report.gauge("x", "a \"b\" \\ c\nd", [.init(1, ["l": "a \"b\" \\ c\nd é"])])
    #expect(
      MetricsFormat.openMetrics.text(report) == #"""
        # TYPE x gauge
        # HELP x a \"b\" \\ c\nd
        x{l="a \"b\" \\ c\nd é"} 1
        # EOF

        """#)
    #expect(MetricsFormat.prometheus.text(report).contains(#"# HELP x a "b" \\ c\nd"#))
  }

  @Test(arguments: [
    (0.0, "0"), (-0.0, "0"), (1, "1"), (-2, "-2"), (0.1, "0.1"), (9_007_199_254_740_992, "9007199254740992"),
    (1e300, "1e+300"), (2.5e-7, "2.5e-07"), (.nan, "NaN"), (.infinity, "+Inf"), (-.infinity, "-Inf"),
  ])
  func `a number is written as it can be read again`(value: Double, text: String) {
    var report = MetricsReport()
    report.gauge("x", "X.", value)
    #expect(MetricsFormat.prometheus.text(report).hasSuffix("\nx \(text)\n"))
  }

  @Test(arguments: [
    (0.000_194_019_000_000_000_03, "0.000194019"), (0.1 + 0.2, "0.3"), (1e-9, "0.000000001"), (2.5e-7, "0.00000025"),
    (12.5, "12.5"), (100, "100"), (0, "0"), (-0.0, "0"), (-1.25, "-1.25"), (9_007_199.254_740_991, "9007199.254740991"),
    (1_795_499_658, "1795499658"), (.nan, "NaN"), (.infinity, "+Inf"),
  ])
  func `seconds are whole nanoseconds, as decimal text`(value: Double, text: String) {
    for format in MetricsFormat.allCases {
      var report = MetricsReport()
      report.gauge("x_seconds", unit: "seconds", "X.", value)
      #expect(format.text(report).contains("\nx_seconds \(text)\n"))
    }
  }

  @Test func `families of the same name become one`() {
    var report = MetricsReport()
    report.gauge("x", "X.", [.init(1, ["q": "a"])])
    var other = MetricsReport()
    other.gauge("x", "X.", [.init(2, ["q": "b"])])
    other.gauge("y", "Y.", 3)
    report.add(other)
    #expect(report.families.map(\.name) == ["x", "y"])
    #expect(report.families[0].samples == [.init(1, ["q": "a"]), .init(2, ["q": "b"])])
  }
}
