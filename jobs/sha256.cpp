#include "jobs/sha256.hpp"

#include <openssl/evp.h>

#include <stdexcept>

namespace fp8cal {
namespace {

void check(int result) {
  if (result != 1) throw std::runtime_error("OpenSSL could not compute a SHA-256");
}

}  // namespace

struct Sha256::Context {
  EVP_MD_CTX* handle = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(handle); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  check(EVP_DigestInit_ex(context_->handle, EVP_sha256(), nullptr));
}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

Sha256& Sha256::update(const void* data, std::size_t bytes) {
  check(EVP_DigestUpdate(context_->handle, data, bytes));
  return *this;
}

Sha256Digest Sha256::finish() {
  Sha256Digest digest;
  check(EVP_DigestFinal_ex(context_->handle, reinterpret_cast<unsigned char*>(digest.data()),
                           nullptr));
  return digest;
}

Sha256Digest sha256(std::span<const std::byte> data) {
  return Sha256().update(data.data(), data.size()).finish();
}

std::string to_hex(const Sha256Digest& digest) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (std::byte b : digest) {
    hex += kDigits[std::to_integer<int>(b) >> 4];
    hex += kDigits[std::to_integer<int>(b) & 15];
  }
  return hex;
}

}  // namespace fp8cal
