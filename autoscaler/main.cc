// rouse-autoscaler: scales workloads by the demand that proxies report.

#include <iostream>
#include <random>

#include "autoscaler/config.h"
#include "autoscaler/program.h"

int main(int argc, char** argv) {
  rouse::autoscaler::Config config;
  rouse::app::Options options("rouse-autoscaler", "0.1.0",
                              "Scales workloads by the demand that proxies report.");
  rouse::autoscaler::AddOptions(options, config);
  const rouse::app::Parsed parsed = options.Parse(argc, argv, rouse::app::ProcessEnvironment());
  std::cout << parsed.out;
  std::cerr << parsed.err;
  if (!parsed.run) return parsed.exit_code;
  return rouse::autoscaler::RunProgram(config, options, std::random_device{}());
}
