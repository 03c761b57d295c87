import Testing

@testable import SystemIO

@Suite struct UserTests {
  private static let file = Array(
    """
    root:x:0:0:root:/root:/bin/bash
    # a comment: of:12 no use
    broken:x
    :x:12:12:a name that is none:/:/bin/sh
    mnedc:x:998:997::/nonexistent:/usr/sbin/nologin
    other:x:998:997::/nonexistent:/usr/sbin/nologin
    """.utf8)

  @Test(arguments: [(0, "root"), (998, "mnedc"), (12, nil), (7, nil)] as [(UInt32, String?)])
  func `a user is called by the first name that passwd has for the number`(id: UInt32, name: String?) {
    #expect(User.name(of: id, in: Self.file) == name)
  }

  @Test func `who has no name is called by the number`() {
    #expect(User.groupName(of: 0) == "root" && User.groupName(of: 3_999_999_999) == "3999999999")
    #expect(User.name(of: 0) == "root" && User.name(of: 3_999_999_999) == "3999999999")
  }
}
