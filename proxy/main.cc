// rouse-proxy: routes requests to workloads, and holds those whose workload sleeps.

#include <iostream>
#include <random>

#include "proxy/config.h"
#include "proxy/program.h"

namespace {

constexpr const char* kName = "rouse-proxy";
constexpr const char* kVersion = "0.1.0";
constexpr const char* kWhat =
    "Routes requests to workloads, and holds those whose workload sleeps.";

}  // namespace

int main(int argc, char** argv) {
  using rouse::proxy::Config;
  const rouse::app::Environment environment = rouse::app::ProcessEnvironment();
  Config config;
  rouse::app::Options options(kName, kVersion, kWhat);
  rouse::proxy::AddOptions(options, config);
  const rouse::app::Parsed parsed = options.Parse(argc, argv, environment);
  std::cout << parsed.out;
  std::cerr << parsed.err;
  if (!parsed.run) return parsed.exit_code;

  const rouse::proxy::Reread reread = [&]() -> absl::StatusOr<Config> {
    Config fresh;
    rouse::app::Options again(kName, kVersion, kWhat);
    rouse::proxy::AddOptions(again, fresh);
    const rouse::app::Parsed outcome = again.Parse(argc, argv, environment);
    if (!outcome.run) return absl::InvalidArgumentError(outcome.err);
    return fresh;
  };
  return rouse::proxy::RunProgram(config, options, reread, std::random_device{}());
}
