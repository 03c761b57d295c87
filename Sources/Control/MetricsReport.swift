/// The answer to `metrics`: what a daemon counts and measures, in the terms of OpenMetrics. It has every metric; one
/// without a known value has no samples.
public struct MetricsReport: Codable, Sendable, Equatable {
  public struct Family: Codable, Sendable, Equatable {
    /// The name in OpenMetrics: with the unit, but without `_total` or `_info`.
    public var name: String
    public var type: Kind
    /// In base units: `seconds` or `bytes`.
    public var unit: String?
    public var help: String
    public var samples: [Sample]

    public init(_ type: Kind, _ name: String, unit: String? = nil, _ help: String, _ samples: [Sample]) {
      self.name = name
      self.type = type
      self.unit = unit
      self.help = help
      self.samples = samples
    }
  }

  public enum Kind: String, Codable, Sendable {
    /// A value that can go down.
    case gauge
    /// A value that only rises while the daemon runs.
    case counter
    /// Labels that do not change.
    case info
  }

  public struct Sample: Codable, Sendable, Equatable {
    /// Values by label name. No two samples of a family have equal labels.
    public var labels: [String: String]
    public var value: Double

    public init(_ value: Double, _ labels: [String: String] = [:]) {
      self.labels = labels
      self.value = value
    }
  }

  public private(set) var version = JSONVersion()
  public var families: [Family]

  public init(_ families: [Family] = []) {
    self.families = families
  }
}

// MARK: Adding metrics

extension MetricsReport {
  /// A value that can go down; `nil` if it is not known.
  public mutating func gauge(_ name: String, unit: String? = nil, _ help: String, _ value: Double?) {
    gauge(name, unit: unit, help, value.map { [Sample($0)] } ?? [])
  }

  public mutating func gauge(_ name: String, unit: String? = nil, _ help: String, _ samples: [Sample]) {
    families.append(Family(.gauge, name, unit: unit, help, samples))
  }

  /// A value that only rises. The name is without `_total`.
  public mutating func counter(_ name: String, unit: String? = nil, _ help: String, _ value: Double) {
    counter(name, unit: unit, help, [Sample(value)])
  }

  public mutating func counter(_ name: String, unit: String? = nil, _ help: String, _ samples: [Sample]) {
    families.append(Family(.counter, name, unit: unit, help, samples))
  }

  /// Labels that do not change. The name is without `_info`.
  public mutating func info(_ name: String, _ help: String, _ labels: [String: String]) {
    families.append(Family(.info, name, help, [Sample(1, labels)]))
  }

  /// Adds the samples of `other`; families of the same name become one.
  public mutating func add(_ other: MetricsReport) {
    for family in other.families {
      if let index = families.firstIndex(where: { $0.name == family.name }) {
        families[index].samples += family.samples
      } else {
        families.append(family)
      }
    }
  }
}

extension [MetricsReport.Sample] {
  /// One sample for each value of one label, in the given order.
  public init(by label: String, _ values: KeyValuePairs<String, Int>) {
    self = values.map { MetricsReport.Sample(Double($0.value), [label: $0.key]) }
  }
}
