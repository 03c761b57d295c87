// swift-tools-version: 6.2

import PackageDescription

// One way down: a target may import what stands above it in this list, and only what it names.
let package = Package(
  name: "mnedc",
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
  ],
  targets: [
    .target(name: "CLinux"),
    .systemLibrary(
      name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),

    .target(name: "SystemIO", dependencies: ["CLinux", .systemPackage]),
    .target(name: "Wire"),
    .target(name: "Config", dependencies: ["CYAML", "Wire"]),
    .testTarget(name: "WireTests", dependencies: ["Wire"]),
    .testTarget(name: "ConfigTests", dependencies: ["Config", "Wire"]),
  ]
)

extension Target.Dependency {
  static let argumentParser = product(name: "ArgumentParser", package: "swift-argument-parser")
  static let logging = product(name: "Logging", package: "swift-log")
  static let systemPackage = product(name: "SystemPackage", package: "swift-system")
}

for target in package.targets where target.type != .system && target.name != "CLinux" {
  target.swiftSettings = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
  ]
}
