#include "common/net/tls_tickets.h"

#include <algorithm>
#include <memory>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

#include "common/base/check.h"

namespace rouse::net {
namespace {

struct Free {
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
};

/// HKDF with SHA-256; crashes where OpenSSL cannot, which is no matter of input.
void Hkdf(std::string_view secret, std::string_view info, uint8_t* out, size_t size) {
  const std::unique_ptr<EVP_PKEY_CTX, Free> context(EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, nullptr));
  const auto bytes = [](std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
  };
  CHECK(context != nullptr && EVP_PKEY_derive_init(context.get()) == 1);
  CHECK(EVP_PKEY_CTX_set_hkdf_md(context.get(), EVP_sha256()) == 1);
  CHECK(EVP_PKEY_CTX_set1_hkdf_key(context.get(), bytes(secret), static_cast<int>(secret.size())) ==
        1);
  CHECK(EVP_PKEY_CTX_add1_hkdf_info(context.get(), bytes(info), static_cast<int>(info.size())) ==
        1);
  CHECK(EVP_PKEY_derive(context.get(), out, &size) == 1);
}

}  // namespace

TlsTicketKeys::TlsTicketKeys(std::string_view seed, WallTime now)
    : seed_(seed), known_from_(EpochOf(now) - 1) {
  for (size_t i = 0; i < known_.size(); ++i)
    known_[i] = Derive(known_from_ + static_cast<int64_t>(i));
}

std::string TlsTicketKeys::RandomSeed() {
  std::string seed(48, '\0');
  CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(seed.data()), static_cast<int>(seed.size())) ==
        1);
  return seed;
}

std::optional<TlsTicketKeys::Key> TlsTicketKeys::Opening(const uint8_t* name, WallTime now) const {
  const int64_t current = EpochOf(now);
  for (const int64_t epoch : {current, current - 1, current + 1}) {
    const Key key = Of(epoch);
    if (CRYPTO_memcmp(key.name.data(), name, kNameBytes) == 0) return key;
  }
  return std::nullopt;
}

int64_t TlsTicketKeys::EpochOf(WallTime now) { return now.time_since_epoch() / kEpoch; }

TlsTicketKeys::Key TlsTicketKeys::Of(int64_t epoch) const {
  const int64_t place = epoch - known_from_;
  if (place >= 0 && place < static_cast<int64_t>(known_.size()))
    return known_[static_cast<size_t>(place)];
  return Derive(epoch);
}

TlsTicketKeys::Key TlsTicketKeys::Derive(int64_t epoch) const {
  const std::string info = "rouse session tickets, epoch " + std::to_string(epoch);
  std::array<uint8_t, kNameBytes + 64> bytes;
  Hkdf(seed_, info, bytes.data(), bytes.size());
  Key key;
  const auto* at = bytes.data();
  std::copy_n(at, key.name.size(), key.name.begin());
  std::copy_n(at + kNameBytes, key.cipher.size(), key.cipher.begin());
  std::copy_n(at + kNameBytes + key.cipher.size(), key.mac.size(), key.mac.begin());
  return key;
}

}  // namespace rouse::net
