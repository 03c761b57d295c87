extension Handshake {
  /// Who proves which key to whom, and when (the Noise specification, section 7.5).
  public enum Pattern: Sendable {
    /// Neither knows the other's key before; three messages.
    case xx
    /// The initiator knows the responder's key; two messages. The payload of the first can be replayed to the responder.
    case ik
  }

  /// The initiator writes the first message.
  public enum Role: Sendable {
    case initiator, responder
  }

  /// What stands in a message before its payload: a key that is sent, or two that are agreed on, in which the
  /// initiator's stands first.
  enum Token {
    case e, s
    case ee, es, se, ss
  }
}

extension Handshake.Pattern {
  /// Its name within the name of a Noise protocol.
  var noiseName: String {
    switch self {
    case .xx: "XX"
    case .ik: "IK"
    }
  }

  /// Whether the initiator has the responder's key beforehand.
  var knowsResponder: Bool { self == .ik }

  /// The first message is the initiator's, and then they take turns.
  var messages: [[Handshake.Token]] {
    switch self {
    case .xx: [[.e], [.e, .ee, .s, .es], [.s, .se]]
    case .ik: [[.e, .es, .s, .ss], [.e, .ee, .se]]
    }
  }
}
