#include "proxy/tls_material.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>

#include "tests/support/control/sim_clock.h"
#include "tests/support/control/sim_loop.h"
#include "tests/support/net/test_pki.h"

namespace rouse::proxy {
namespace {

using net::testing::TestAuthority;
using net::testing::TestCertificate;

/// A folder that goes with the test.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "rouse-tls-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] std::string At(const std::string& name) const { return path_ + "/" + name; }
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(At(name) + ".new", std::ios::binary) << text;
    std::filesystem::rename(At(name) + ".new", At(name));
  }

 private:
  std::string path_;
};

struct Room {
  Room() : log(clock, {}) {
    clock.Advance(SteadyClock().wall() - clock.wall());  // certificates are made for today
    options.listen = {"127.0.0.1:80"};
    options.listen_tls = {"127.0.0.1:443"};
    options.certificates = {folder.At("a.pem") + ":" + folder.At("a.key")};
    Put(authority.Issue({.names = {"a.example"}}));
  }
  void Put(const TestCertificate& certificate) {
    folder.Write("a.pem", certificate.chain_pem);
    folder.Write("a.key", certificate.key_pem);
  }
  absl::Status Start() {
    material = std::make_unique<TlsMaterial>(loop, log, options,
                                             [this](size_t listener, net::TlsServerPtr server) {
                                               ++adopted;
                                               last_listener = listener;
                                               last = std::move(server);
                                             });
    return material->Start();
  }
  [[nodiscard]] std::string Served(const std::string& name = "a.example") const {
    const auto* const found = last->certificates->Find(name);
    return found == nullptr ? std::string() : (*found)->certificates.front()->fingerprint();
  }

  SimClock clock;
  control::SimLoop loop{clock};
  obs::Log log;
  Folder folder;
  TestAuthority authority;
  ListenerOptions options;
  std::unique_ptr<TlsMaterial> material;
  net::TlsServerPtr last;
  size_t last_listener = 99;
  int adopted = 0;
};

TEST_CASE("certificates are read at start, for the listeners that have TLS") {
  Room room;
  REQUIRE(room.Start().ok());
  CHECK(room.adopted == 1);
  CHECK(room.last_listener == 1);
  CHECK_FALSE(room.Served().empty());
  CHECK(room.last->tickets != nullptr);
  obs::MetricPage page;
  room.material->AddTo(page);
  CHECK(page.Text().find("rouse_proxy_tls_certificate_expiry_seconds{name=\"a.example\"}") !=
        std::string::npos);
}

TEST_CASE("what cannot be read at start stops it, and is named") {
  Room room;
  room.folder.Write("a.key", room.authority.Issue({}).key_pem);
  const absl::Status status = room.Start();
  CHECK_FALSE(status.ok());
  CHECK(std::string(status.message()).find("a.pem: the key does not belong") != std::string::npos);
  std::filesystem::remove(room.folder.At("a.key"));
  CHECK(std::string(room.Start().message()).find("a.key") != std::string::npos);
  room.options.ticket_seed_file = room.folder.At("seed");
  room.folder.Write("seed", "short");
  CHECK(std::string(room.Start().message()).find("at least 32 bytes") != std::string::npos);
}

TEST_CASE("a file that changed is taken at the next look, and nothing is handed out otherwise") {
  Room room;
  REQUIRE(room.Start().ok());
  const std::string before = room.Served();
  room.material->Look();
  CHECK(room.adopted == 1);
  room.Put(room.authority.Issue({.names = {"a.example"}}));
  room.material->Look();
  CHECK(room.adopted == 2);
  CHECK(room.Served() != before);
  CHECK(room.material->failures() == 0);
}

TEST_CASE("TL07: what cannot be used leaves the old one, and is told once") {
  Room room;
  REQUIRE(room.Start().ok());
  const std::string before = room.Served();
  const TestCertificate next = room.authority.Issue({.names = {"a.example"}});
  const TestCertificate expired =
      room.authority.Issue({.from_seconds = -7200, .until_seconds = -60});
  uint64_t failures = 0;
  for (const TestCertificate& bad :
       {TestCertificate{next.chain_pem, room.authority.Issue({}).key_pem}, expired,
        TestCertificate{"", next.key_pem}, TestCertificate{next.chain_pem.substr(0, 200), ""}}) {
    room.Put(bad);
    for (int i = 0; i < 4; ++i) room.material->Look();
    CHECK(room.material->failures() == ++failures);
    CHECK(room.Served() == before);
  }
  std::filesystem::remove(room.folder.At("a.pem"));
  for (int i = 0; i < 4; ++i) room.material->Look();
  CHECK(room.Served() == before);
  CHECK(room.adopted == 1);
  room.Put(next);
  room.material->Look();
  CHECK(room.Served() != before);
}

TEST_CASE("a pair seen between its two replacements is no mistake") {
  Room room;
  REQUIRE(room.Start().ok());
  const TestCertificate next = room.authority.Issue({.names = {"a.example"}});
  room.folder.Write("a.pem", next.chain_pem);
  room.material->Look();
  room.folder.Write("a.key", next.key_pem);
  room.material->Look();
  CHECK(room.material->failures() == 0);
  CHECK(room.adopted == 2);
}

TEST_CASE("TL07: a folder swapped under a symlink is seen, as Secret mounts do it") {
  Room room;
  namespace fs = std::filesystem;
  const auto mount = [&](const std::string& name, const TestCertificate& certificate) {
    fs::create_directory(room.folder.At(name));
    room.folder.Write(name + "/tls.crt", certificate.chain_pem);
    room.folder.Write(name + "/tls.key", certificate.key_pem);
    fs::create_directory_symlink(room.folder.At(name), room.folder.At("data.new"));
    fs::rename(room.folder.At("data.new"), room.folder.At("data"));
  };
  mount("one", room.authority.Issue({.names = {"a.example"}}));
  room.options.certificates = {room.folder.At("data/tls.crt") + ":" +
                               room.folder.At("data/tls.key")};
  REQUIRE(room.Start().ok());
  const std::string before = room.Served();
  mount("two", room.authority.Issue({.names = {"a.example"}}));
  room.material->Look();
  CHECK(room.Served() != before);
}

TEST_CASE("a Secret's certificate serves its Service's hosts alone, and goes with it") {
  Room room;
  REQUIRE(room.Start().ok());
  const TestCertificate pem = room.authority.Issue({.names = {"*.b.example", "a.example"}});
  const auto certificate =
      net::TlsCertificate::Make({pem.chain_pem, pem.key_pem, {}}, SteadyClock().wall());
  REQUIRE(certificate.ok());
  const std::string own = room.Served();
  room.material->SetExtra("ns/fn", *certificate, {"x.b.example", "elsewhere.example"});
  room.loop.RunUntilIdle();
  CHECK(room.Served("x.b.example") == (*certificate)->fingerprint());
  CHECK(room.Served("y.b.example").empty());
  CHECK(room.Served("elsewhere.example").empty());
  CHECK(room.Served("a.example") == own);
  room.material->SetExtra("ns/fn", nullptr, {});
  room.loop.RunUntilIdle();
  CHECK(room.Served("x.b.example").empty());
}

TEST_CASE("files are looked at every so often") {
  Room room;
  REQUIRE(room.Start().ok());
  room.Put(room.authority.Issue({.names = {"a.example"}}));
  room.loop.RunFor(room.options.watch_interval * 2);
  CHECK(room.adopted == 2);
}

}  // namespace
}  // namespace rouse::proxy
