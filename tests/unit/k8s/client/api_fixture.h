#pragma once
// What:  ApiFixture, an ApiClient on simulated time before a server that the test scripts;
//        ObjectText, small objects as JSON.
// Owner: one test case each.

#include <map>
#include <string>
#include <vector>

#include "common/obs/log.h"
#include "k8s/api_client.h"
#include "tests/support/control/on_loopback.h"
#include "tests/support/control/sim_network.h"

namespace rouse::k8s {

struct ApiFixture {
  explicit ApiFixture(uint64_t seed = 1, ApiLimits limits = {});

  SimClock clock;
  control::SimNetwork network;
  std::vector<std::string> log_lines;
  obs::Log log;
  /// What credential files hold; a missing one cannot be read.
  std::map<std::string, std::string> files;
  control::ScriptedService service;
  std::unique_ptr<control::HttpListener> listener;
  Credentials credentials;
  ApiClient client;

  void RunFor(Duration time) { network.RunFor(time); }
  void Settle() { network.RunUntilIdle(); }
  /// The oldest request not yet taken; the test fails where there is none.
  control::ScriptedService::Taken Take();
  /// Takes it and answers.
  control::IncomingRequest Answer(int status, std::string body, control::Headers headers = {});
};

/// `{"kind":"Status",...}` as the API refuses.
[[nodiscard]] std::string StatusText(int code, const std::string& reason,
                                     const std::string& message);

/// The value of a query parameter, escapes as they stand; "-" where it is absent.
[[nodiscard]] std::string QueryOf(const control::IncomingRequest& request, const std::string& key);
[[nodiscard]] std::string PathOf(const control::IncomingRequest& request);

/// A Service of namespace `ns`.
[[nodiscard]] std::string ServiceText(const std::string& name, const std::string& version,
                                      const std::string& uid = "u");
[[nodiscard]] std::string ListText(const std::string& version,
                                   const std::vector<std::string>& items,
                                   const std::string& continue_token = {});
[[nodiscard]] std::string EventText(const std::string& type, const std::string& object);
/// `initial_end`: the one that ends a streamed list.
[[nodiscard]] std::string BookmarkText(const std::string& version, bool initial_end = false);

}  // namespace rouse::k8s
