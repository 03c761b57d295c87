// swift-tools-version: 6.2

import PackageDescription

// One way down: a target may import what stands above it in this list, and only what it names.
let package = Package(
  name: "mnedc",
  products: [
    .executable(name: "mnedcd", targets: ["mnedcd"]),
    .executable(name: "mnedc-join", targets: ["mnedc-join"]),
    .executable(name: "mnedc-peers", targets: ["mnedc-peers"]),
    .executable(name: "mnedc-ctl", targets: ["mnedc-ctl"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    // Exactly this version: Sources/CBoringSSL declares functions of the BoringSSL inside it.
    .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
  ],
  targets: [
    .target(name: "CLinux"),
    .target(name: "CBoringSSL"),
    .systemLibrary(
      name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
    .systemLibrary(
      name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),

    .target(name: "SystemIO", dependencies: ["CLinux", .systemPackage]),
    .target(name: "Wire"),
    .target(name: "Noise", dependencies: ["CBoringSSL", "Wire", .crypto]),
    .target(name: "Link", dependencies: ["Noise", "SystemIO", "Wire", .systemPackage]),
    .target(name: "Tun", dependencies: ["CLinux", "SystemIO", "Wire", .systemPackage]),
    .target(name: "Store", dependencies: ["CSQLite", "SystemIO", "Wire", .systemPackage]),
    .target(name: "Admission", dependencies: ["Noise", "Store", "Wire"]),
    .target(
      name: "Relay",
      dependencies: ["Admission", "Link", "Noise", "Store", "SystemIO", "Wire", .logging, .systemPackage]),
    .target(name: "Device", dependencies: ["Link", "Noise", "SystemIO", "Tun", "Wire", .systemPackage]),
    .target(name: "Identity", dependencies: ["SystemIO", "Wire", .systemPackage]),
    .target(name: "Names", dependencies: ["SystemIO", "Wire", .systemPackage]),
    .target(name: "Config", dependencies: ["CYAML", "Wire"]),
    .target(name: "Control", dependencies: ["SystemIO", "Wire", .systemPackage]),
    .target(name: "Metrics", dependencies: ["Config", "Control", "SystemIO", .logging, .systemPackage]),

    .target(
      name: "CommandLine",
      dependencies: ["Config", "Control", "SystemIO", "Wire", .argumentParser, .systemPackage]),
    .target(
      name: "DaemonKit",
      dependencies: [
        "CommandLine", "Config", "Control", "Metrics", "SystemIO", "Wire", .logging, .systemPackage,
      ]),
    .target(
      name: "DeviceHost",
      dependencies: [
        "CommandLine", "Config", "Control", "DaemonKit", "Device", "Identity", "Link", "Names", "Noise", "SystemIO",
        "Tun", "Wire", .logging, .systemPackage,
      ]),
    .target(name: "Listing", dependencies: ["CommandLine", "Control", "Wire"]),
    .target(
      name: "Netcheck",
      dependencies: [
        "CommandLine", "Config", "Control", "Identity", "Noise", "SystemIO", "Tun", "Wire", .systemPackage,
      ]),
    .target(
      name: "Explain",
      dependencies: [
        "CommandLine", "Config", "Control", "DaemonKit", "Device", "DeviceHost", "Netcheck", "Noise", "SystemIO", "Tun",
        "Wire", .systemPackage,
      ]),
    .target(name: "BugReport", dependencies: ["Control", "SystemIO", "Tun", "Wire"]),
    .executableTarget(
      name: "mnedcd",
      dependencies: [
        "Admission", "CommandLine", "Config", "Control", "DaemonKit", "Device", "DeviceHost", "Explain", "Identity",
        "Link", "Noise", "Relay", "Store", "SystemIO", "Tun", "Wire", .argumentParser, .logging, .systemPackage,
      ]),
    .executableTarget(
      name: "mnedc-join",
      dependencies: [
        "CommandLine", "Config", "Control", "DaemonKit", "Device", "DeviceHost", "Explain", "Identity", "Noise",
        "SystemIO", "Tun", "Wire", .argumentParser, .logging, .systemPackage,
      ]),
    .executableTarget(
      name: "mnedc-peers",
      dependencies: ["CommandLine", "Config", "Control", "Listing", "SystemIO", .argumentParser, .systemPackage]),
    .executableTarget(
      name: "mnedc-ctl",
      dependencies: [
        "BugReport", "CommandLine", "Config", "Control", "Metrics", "Netcheck", "SystemIO", "Wire", .argumentParser,
        .systemPackage,
      ]),

    .target(name: "CTestSupport", path: "Tests/CTestSupport"),
    .target(
      name: "TestSupport",
      dependencies: [
        "Admission", "CLinux", "Device", "Link", "Noise", "Relay", "Store", "SystemIO", "Tun", "Wire", .logging,
        .systemPackage,
      ],
      path: "Tests/TestSupport"),
    .executableTarget(
      name: "privilege-dropper", dependencies: ["CLinux", "SystemIO", .systemPackage], path: "Tests/PrivilegeDropper"),
    .testTarget(
      name: "SystemIOTests",
      dependencies: ["CLinux", "SystemIO", "TestSupport", "Wire", "privilege-dropper", .systemPackage]),
    .testTarget(name: "WireTests", dependencies: ["TestSupport", "Wire"]),
    .testTarget(
      name: "NamesTests", dependencies: ["Names", "SystemIO", "TestSupport", "Wire", .systemPackage]),
    .testTarget(
      name: "LinkTests",
      dependencies: ["Link", "Noise", "SystemIO", "TestSupport", "Wire", .systemPackage]),
    .executableTarget(name: "control-schema", dependencies: ["Control"], path: "Tests/ControlSchema"),
    .testTarget(name: "ControlTests", dependencies: ["Control", "SystemIO", "TestSupport", "Wire", .systemPackage]),
    .executableTarget(
      name: "allocations",
      dependencies: [
        "CTestSupport", "Device", "Link", "Noise", "SystemIO", "TestSupport", "Tun", "Wire", .systemPackage,
      ],
      path: "Tests/Allocations"),
    .executableTarget(
      name: "join-storm", dependencies: ["SystemIO", "TestSupport"], path: "Tests/JoinStorm"),
    .executableTarget(
      name: "join-churn", dependencies: ["SystemIO", "TestSupport", "Wire"], path: "Tests/JoinChurn"),
    .executableTarget(
      name: "relay-load",
      dependencies: [
        "Control", "Link", "Noise", "SystemIO", "TestSupport", "Wire", .argumentParser, .systemPackage,
      ],
      path: "Tests/Bench/RelayLoad"),
    .executableTarget(
      name: "lease-client", dependencies: ["SystemIO", "TestSupport", "Wire"], path: "Tests/LeaseClient"),
    .executableTarget(
      name: "store-writer", dependencies: ["Store", "SystemIO"], path: "Tests/StoreWriter"),
    .testTarget(
      name: "StoreTests", dependencies: ["Store", "SystemIO", "TestSupport", "Wire", "store-writer"]),
    .testTarget(name: "AdmissionTests", dependencies: ["Admission", "Noise", "Store", "Wire"]),
    .testTarget(name: "IdentityTests", dependencies: ["Identity", "SystemIO", "TestSupport", "Wire", .systemPackage]),
    .testTarget(name: "ConfigTests", dependencies: ["Config", "Wire"]),
    .executableTarget(name: "config-keys", dependencies: ["Config"], path: "Tests/ConfigKeys"),
    .testTarget(name: "BugReportTests", dependencies: ["BugReport", "Control", "Wire"]),
    .testTarget(
      name: "MetricsTests", dependencies: ["Config", "Control", "Metrics", "SystemIO", "TestSupport", .logging]),
    .testTarget(name: "ListingTests", dependencies: ["Control", "Listing", "Wire"]),
    .testTarget(
      name: "ExplainTests",
      dependencies: ["Control", "Device", "Explain", "SystemIO", "Tun", "Wire", .systemPackage]),
    .testTarget(
      name: "NetcheckTests",
      dependencies: [
        "CommandLine", "Config", "Control", "Identity", "Netcheck", "Noise", "SystemIO", "TestSupport", "Wire",
      ]),
    .testTarget(name: "CommandLineTests", dependencies: ["CommandLine", "Config", .argumentParser]),
    .testTarget(
      name: "DaemonKitTests", dependencies: ["CommandLine", "Config", "Control", "DaemonKit", "SystemIO", .logging]),
    .testTarget(
      name: "DeviceHostTests",
      dependencies: [
        "Config", "Control", "DeviceHost", "Identity", "Noise", "SystemIO", "TestSupport", "Wire", .logging,
      ]),
    .testTarget(
      name: "DaemonTests",
      dependencies: [
        "Config", "Control", "DeviceHost", "SystemIO", "TestSupport", "Tun", "Wire", "mnedc-join", "mnedcd",
      ]),
    .testTarget(
      name: "RelayTests",
      dependencies: ["Admission", "Link", "Noise", "Relay", "Store", "SystemIO", "TestSupport", "Wire"]),
    .testTarget(
      name: "DeviceTests",
      dependencies: [
        "Device", "Link", "Noise", "Relay", "SystemIO", "TestSupport", "Tun", "Wire", .systemPackage,
      ]),
    .testTarget(
      name: "NoiseTests", dependencies: ["Noise", "Wire"], resources: [.copy("vectors.json")]),
    .executableTarget(name: "noise-peer", dependencies: ["Noise", "Wire"], path: "Tests/NoisePeer"),
    .testTarget(
      name: "TunTests", dependencies: ["CLinux", "SystemIO", "TestSupport", "Tun", "Wire", .systemPackage]),
  ]
)

extension Target.Dependency {
  static let argumentParser = product(name: "ArgumentParser", package: "swift-argument-parser")
  static let crypto = product(name: "Crypto", package: "swift-crypto")
  static let logging = product(name: "Logging", package: "swift-log")
  static let systemPackage = product(name: "SystemPackage", package: "swift-system")
}

let inC = ["CBoringSSL", "CLinux", "CTestSupport"]
for target in package.targets where target.type != .system && !inC.contains(target.name) {
  target.swiftSettings = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
    // Lets tests make system calls fail and count them (Sources/SystemIO/SystemCalls.swift); release builds have none of it.
    .define("SYSTEM_CALL_FAULTS", .when(configuration: .debug)),
  ]
}
