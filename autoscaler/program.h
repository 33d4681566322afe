#pragma once
// What:      Program, rouse-autoscaler as a process: real time, network and log, the API client,
//            App, the pages, signals.
// Owner:     main.
// Never:     decides anything; tests run App without it.

#include <cstdint>
#include <string>

#include "autoscaler/config.h"
#include "common/app/options.h"

namespace rouse::autoscaler {

/// Runs until a signal; returns the exit code. `seed` feeds jitter.
[[nodiscard]] int RunProgram(const Config& config, const app::Options& options, uint64_t seed);

/// The page /config: every option with its value (secrets masked) and source.
[[nodiscard]] std::string ConfigJson(const app::Options& options);

}  // namespace rouse::autoscaler
