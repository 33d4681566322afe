#include "k8s/credentials.h"

#include <filesystem>
#include <fstream>
#include <map>

#include <catch2/catch.hpp>

#include "tests/support/control/sim_clock.h"

namespace rouse::k8s {
namespace {

using std::chrono::seconds;
using Texts = std::map<std::string, std::string>;

FileReader ReaderOf(const Texts& files) {
  return [&files](const std::string& path) -> absl::StatusOr<std::string> {
    const auto found = files.find(path);
    if (found == files.end()) return absl::NotFoundError("cannot read " + path);
    return found->second;
  };
}

Environment EnvironmentOf(const Texts& variables) {
  return [&variables](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

const std::string kFolder = "/var/run/secrets/kubernetes.io/serviceaccount/";

TEST_CASE("a pod's service account leads to the API server of its cluster") {
  const Texts files{
      {kFolder + "ca.crt", "CA"}, {kFolder + "token", "T\n"}, {kFolder + "namespace", "shop\n"}};
  Texts variables{{"KUBERNETES_SERVICE_HOST", "10.0.0.1"}, {"KUBERNETES_SERVICE_PORT", "6443"}};
  auto access = InClusterAccess(EnvironmentOf(variables), ReaderOf(files));
  REQUIRE(access.ok());
  CHECK(access->origin.host == "10.0.0.1");
  CHECK(access->origin.port == 6443);
  CHECK(access->origin.tls->ca_pem == "CA");
  CHECK(access->origin.tls->server_name == "kubernetes.default.svc");
  CHECK(access->origin.tls->verify);
  CHECK(access->token == "T");
  CHECK(access->ns == "shop");

  variables["KUBERNETES_SERVICE_HOST"] = "fd00::1";
  CHECK(InClusterAccess(EnvironmentOf(variables), ReaderOf(files))->origin.host == "fd00::1");
  variables["KUBERNETES_SERVICE_HOST"] = "[fd00::1]";
  CHECK(InClusterAccess(EnvironmentOf(variables), ReaderOf(files))->origin.host == "fd00::1");
  variables["KUBERNETES_SERVICE_PORT"] = "no";
  CHECK(
      absl::IsInvalidArgument(InClusterAccess(EnvironmentOf(variables), ReaderOf(files)).status()));
  CHECK(absl::IsNotFound(
      InClusterAccess(EnvironmentOf({{"KUBERNETES_SERVICE_HOST", "h"}}), ReaderOf({})).status()));
  CHECK(absl::IsFailedPrecondition(InClusterAccess(EnvironmentOf({}), ReaderOf(files)).status()));
}

TEST_CASE("a rotated token is read after a minute, or at once when told") {
  SimClock clock;
  Texts files{{"/t", "one\n"}};
  ClusterAccess access;
  access.token_file = "/t";
  Credentials credentials(clock, access, ReaderOf(files));
  CHECK(credentials.authorization()->value == "Bearer one");
  files["/t"] = "two";
  clock.Advance(seconds(59));
  credentials.RefreshIfDue();
  CHECK(credentials.authorization()->value == "Bearer one");
  clock.Advance(seconds(1));
  credentials.RefreshIfDue();
  CHECK(credentials.authorization()->value == "Bearer two");
  files["/t"] = "three";
  CHECK(credentials.Refresh());
  CHECK_FALSE(credentials.Refresh());
  CHECK(credentials.authorization()->value == "Bearer three");
}

TEST_CASE("a file that has gone or is empty for a moment leaves the last value") {
  SimClock clock;
  Texts files{{"/t", "one"}};
  ClusterAccess access;
  access.token_file = "/t";
  Credentials credentials(clock, access, ReaderOf(files));
  files["/t"] = "";
  CHECK_FALSE(credentials.Refresh());
  CHECK_FALSE(credentials.last_error().ok());
  files.clear();
  CHECK_FALSE(credentials.Refresh());
  CHECK(credentials.authorization()->value == "Bearer one");
  files["/t"] = "two";
  CHECK(credentials.Refresh());
  CHECK(credentials.last_error().ok());
}

TEST_CASE("new certificates make a new generation, a new token does not") {
  SimClock clock;
  Texts files{{"/ca", "CA1"}, {"/c", "C1"}, {"/k", "K1"}, {"/t", "one"}};
  ClusterAccess access;
  access.origin.tls.emplace();
  access.ca_file = "/ca";
  access.certificate_file = "/c";
  access.key_file = "/k";
  access.token_file = "/t";
  Credentials credentials(clock, access, ReaderOf(files));
  const uint64_t first = credentials.tls_generation();
  CHECK(credentials.origin().tls->ca_pem == "CA1");
  CHECK(credentials.origin().tls->key_pem == "K1");
  files["/t"] = "two";
  CHECK(credentials.Refresh());
  CHECK(credentials.tls_generation() == first);
  files["/ca"] = "CA2";
  CHECK(credentials.Refresh());
  CHECK(credentials.tls_generation() == first + 1);
  files["/c"] = "C2";
  CHECK(credentials.Refresh());
  CHECK(credentials.origin().tls->certificate_pem == "C2");
  CHECK(credentials.tls_generation() == first + 2);
}

TEST_CASE("without a token no authorization is sent") {
  SimClock clock;
  CHECK_FALSE(Credentials(clock, ClusterAccess(), ReaderOf({})).authorization().has_value());
}

TEST_CASE("small files are read whole, large ones and missing ones refused") {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / "rouse_credentials_test";
  std::filesystem::create_directories(folder);
  const std::string path = (folder / "file").string();
  std::ofstream(path) << "a\nb";
  CHECK(*ReadSmallFile(path) == "a\nb");
  std::string text;
  std::string untouched = "as it was";
  CHECK(ReadSmallFiles({{path, text}, {"", untouched}}).ok());
  CHECK(text == "a\nb");
  CHECK(untouched == "as it was");
  std::ofstream(path) << std::string(credential_file_bytes_max + 1, 'x');
  CHECK(absl::IsResourceExhausted(ReadSmallFile(path).status()));
  std::filesystem::remove_all(folder);
  CHECK(absl::IsNotFound(ReadSmallFile(path).status()));
  CHECK(absl::IsNotFound(ReadSmallFiles({{path, text}})));
}

}  // namespace
}  // namespace rouse::k8s
