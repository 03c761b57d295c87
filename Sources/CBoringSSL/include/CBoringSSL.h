// Authenticated encryption in place, with a reused key schedule, by the BoringSSL inside swift-crypto.
//
// swift-crypto's own functions allocate what they return and set up the key in every call; the data path must do
// neither. So CBoringSSL.c declares the functions that it needs under the prefixed names that swift-crypto links; the
// library is not linked twice. Therefore Package.swift names one exact version of swift-crypto, and a test
// (Tests/Integration/test_noise.py) compares the declarations with the headers of that version.

#ifndef CBORINGSSL_H
#define CBORINGSSL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CBORINGSSL_KEY_SIZE 32
#define CBORINGSSL_NONCE_SIZE 12
#define CBORINGSSL_TAG_SIZE 16

/// A key with its schedule. Any number of threads may seal and open with it at once.
struct cboringssl_aead;

/// Sets up a key of CBORINGSSL_KEY_SIZE bytes; null without memory.
struct cboringssl_aead *cboringssl_aes_256_gcm(const uint8_t *key);
struct cboringssl_aead *cboringssl_chacha20_poly1305(const uint8_t *key);

/// Frees a key, and wipes it.
void cboringssl_free(struct cboringssl_aead *aead);

/// Seals the first `length` bytes in place and writes the tag behind them: there is room for `length` +
/// CBORINGSSL_TAG_SIZE bytes. `nonce` has CBORINGSSL_NONCE_SIZE bytes. False if `length` is beyond the cipher's limit.
bool cboringssl_seal(const struct cboringssl_aead *aead, uint8_t *bytes, size_t length, const uint8_t *nonce,
                     const uint8_t *associated, size_t associated_length);

/// Opens `length` bytes, the tag among them, in place. False if they are not what was sealed.
bool cboringssl_open(const struct cboringssl_aead *aead, uint8_t *bytes, size_t length, const uint8_t *nonce,
                     const uint8_t *associated, size_t associated_length);

/// Whether this machine has the instructions that make AES-GCM fast and constant in time.
bool cboringssl_has_aes_hardware(void);

/// Overwrites memory with zeros; the compiler does not remove the call.
void cboringssl_wipe(void *bytes, size_t length);

#endif
