#include "autoscaler/config.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <catch2/catch.hpp>

#include "autoscaler/metrics.h"
#include "autoscaler/program.h"

namespace rouse::autoscaler {
namespace {

struct World {
  Config config;
  app::Options options{"rouse-autoscaler", "0.1.0", "test"};
  World() { AddOptions(options, config); }
  app::Parsed Parse(std::vector<std::string> args) { return options.Parse(args, {}); }
};

TEST_CASE("options reach the part that they are for") {
  World world;
  const app::Parsed parsed =
      world.Parse({"--intake-auth", "none", "--stable-window", "6s", "--tick", "500ms", "--listen",
                   "127.0.0.1:0", "--proxy-service", "rouse/proxy", "--no-leader-elect"});
  INFO(parsed.err);
  REQUIRE(parsed.run);
  CHECK(world.config.intake.auth == "none");
  CHECK(world.config.policy.stable_window == std::chrono::seconds(6));
  CHECK(world.config.loop.tick == std::chrono::milliseconds(500));
  CHECK_FALSE(world.config.lease.elect);
  CHECK(ConfigJson(world.options).find(R"("tick":{"value":"500ms")") != std::string::npos);
}

TEST_CASE("options that contradict each other are refused") {
  const std::vector<std::vector<std::string>> rows = {
      {},  // a token is asked for, and no file given
      {"--intake-auth", "none", "--listen", "nowhere"},
      {"--intake-auth", "none", "--renew-deadline", "20s"},
      {"--intake-auth", "none", "--retry-period", "12s"},
      {"--intake-auth", "none", "--stable-window", "6500ms"},
      {"--intake-auth", "none", "--stable-window", "5s"},
      {"--intake-auth", "none", "--intake-tls-key", "/key"},
      {"--intake-auth", "none", "--intake-tls-client-ca", "/ca"},
      {"--intake-auth", "none", "--proxy-service", "proxy"},
      {"--intake-auth", "some"},
      {"--intake-aut", "none"},
  };
  for (const auto& row : rows) {
    World world;
    const app::Parsed parsed = world.Parse(row);
    INFO((row.empty() ? "" : row.back()));
    CHECK_FALSE(parsed.run);
    CHECK(parsed.exit_code == 2);
  }
}

}  // namespace
}  // namespace rouse::autoscaler
