#include "CBoringSSL.h"

// As in swift-crypto 4.5.2, Sources/CCryptoBoringSSL/include. Not in our header: no Swift module shall see them twice.
struct evp_aead_st;
struct evp_aead_ctx_st;

const struct evp_aead_st *CCryptoBoringSSL_EVP_aead_aes_256_gcm(void);
const struct evp_aead_st *CCryptoBoringSSL_EVP_aead_chacha20_poly1305(void);
int CCryptoBoringSSL_EVP_has_aes_hardware(void);
struct evp_aead_ctx_st *CCryptoBoringSSL_EVP_AEAD_CTX_new(const struct evp_aead_st *aead, const uint8_t *key,
                                                          size_t key_len, size_t tag_len);
void CCryptoBoringSSL_EVP_AEAD_CTX_free(struct evp_aead_ctx_st *ctx);
int CCryptoBoringSSL_EVP_AEAD_CTX_seal(const struct evp_aead_ctx_st *ctx, uint8_t *out, size_t *out_len,
                                       size_t max_out_len, const uint8_t *nonce, size_t nonce_len, const uint8_t *in,
                                       size_t in_len, const uint8_t *ad, size_t ad_len);
int CCryptoBoringSSL_EVP_AEAD_CTX_open(const struct evp_aead_ctx_st *ctx, uint8_t *out, size_t *out_len,
                                       size_t max_out_len, const uint8_t *nonce, size_t nonce_len, const uint8_t *in,
                                       size_t in_len, const uint8_t *ad, size_t ad_len);
void CCryptoBoringSSL_OPENSSL_cleanse(void *ptr, size_t len);
void CCryptoBoringSSL_ERR_clear_error(void);

static struct cboringssl_aead *new_aead(const struct evp_aead_st *aead, const uint8_t *key) {
  return (struct cboringssl_aead *)CCryptoBoringSSL_EVP_AEAD_CTX_new(aead, key, CBORINGSSL_KEY_SIZE,
                                                                     CBORINGSSL_TAG_SIZE);
}

struct cboringssl_aead *cboringssl_aes_256_gcm(const uint8_t *key) {
  return new_aead(CCryptoBoringSSL_EVP_aead_aes_256_gcm(), key);
}

struct cboringssl_aead *cboringssl_chacha20_poly1305(const uint8_t *key) {
  return new_aead(CCryptoBoringSSL_EVP_aead_chacha20_poly1305(), key);
}

void cboringssl_free(struct cboringssl_aead *aead) {
  CCryptoBoringSSL_EVP_AEAD_CTX_free((struct evp_aead_ctx_st *)aead);
}

bool cboringssl_seal(const struct cboringssl_aead *aead, uint8_t *bytes, size_t length, const uint8_t *nonce,
                     const uint8_t *associated, size_t associated_length) {
  size_t sealed;
  return CCryptoBoringSSL_EVP_AEAD_CTX_seal((const struct evp_aead_ctx_st *)aead, bytes, &sealed,
                                            length + CBORINGSSL_TAG_SIZE, nonce, CBORINGSSL_NONCE_SIZE, bytes, length,
                                            associated, associated_length) == 1;
}

bool cboringssl_open(const struct cboringssl_aead *aead, uint8_t *bytes, size_t length, const uint8_t *nonce,
                     const uint8_t *associated, size_t associated_length) {
  size_t opened;
  if (CCryptoBoringSSL_EVP_AEAD_CTX_open((const struct evp_aead_ctx_st *)aead, bytes, &opened, length, nonce,
                                         CBORINGSSL_NONCE_SIZE, bytes, length, associated, associated_length) == 1)
    return true;
  // Otherwise swift-crypto would take this error for its own when it next reads the thread's errors.
  CCryptoBoringSSL_ERR_clear_error();
  return false;
}

bool cboringssl_has_aes_hardware(void) { return CCryptoBoringSSL_EVP_has_aes_hardware() == 1; }

void cboringssl_wipe(void *bytes, size_t length) { CCryptoBoringSSL_OPENSSL_cleanse(bytes, length); }
