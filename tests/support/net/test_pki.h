#pragma once
// What:  TestAuthority, an authority that a test makes and that signs certificates as it wishes.
// Owner: the test. Keys guard nothing.

#include <memory>
#include <string>
#include <vector>

namespace rouse::net::testing {

struct TestCertificate {
  std::string chain_pem;
  std::string key_pem;
};

struct CertificateWish {
  std::vector<std::string> names = {};  ///< DNS names, IP addresses, or URIs
  std::string common_name = "test";
  bool rsa = false;  ///< else EC P-256
  long from_seconds = -3600;
  long until_seconds = 30 * 24 * 3600;
  bool must_staple = false;
};

class TestAuthority {
 public:
  explicit TestAuthority(const std::string& name = "test authority");
  ~TestAuthority();

  [[nodiscard]] const std::string& pem() const { return pem_; }
  [[nodiscard]] TestCertificate Issue(const CertificateWish& wish);
  /// An OCSP response (DER) about a certificate of ours.
  [[nodiscard]] std::string Staple(const TestCertificate& certificate, bool good = true,
                                   long until_seconds = 3600);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
  std::string pem_;
};

}  // namespace rouse::net::testing
