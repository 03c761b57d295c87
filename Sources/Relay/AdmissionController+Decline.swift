internal import Logging
internal import Store
internal import Wire

extension AdmissionController {
  /// Undoes an admission that the device has declined: the relay forgets the device and its lease, and the invite gets
  /// its use back. All of it happens, or nothing. To be called once the device's session has left the presence. A
  /// device that has connected again meanwhile stays. From any thread.
  func undoAdmission(of applicant: Applicant) {
    let presence = leases.presence
    store.perform(
      { transaction throws(StoreError) in
        let key = applicant.key.bytes
        if let lease = try transaction.lease(ofKey: key), !presence.withdraw(lease) { return }
        try transaction.undoAdmission(key: key, id: applicant.deviceID)
      },
      then: { [self] result in
        guard case .failure(let error) = result else { return }
        logger.warning("\(applicant.deviceID) has declined to join, but the relay keeps it and its lease: \(error)")
      })
  }
}
