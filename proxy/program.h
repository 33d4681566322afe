#pragma once
// What:      Program, rouse-proxy as a process: real time, network and log, App, the side that
//            makes snapshots (the configuration file or a cluster), reports, pages, signals.
// Owner:     main.
// Never:     carries traffic; tests run App without it.

#include <cstdint>
#include <functional>

#include "common/app/options.h"
#include "proxy/config.h"

namespace rouse::proxy {

/// Reads the configuration again, from the same flags, environment and file: kInvalidArgument says
/// what is wrong with it.
using Reread = std::function<absl::StatusOr<Config>()>;

/// Runs until a signal; returns the exit code. `seed` feeds jitter, request ids and balancing.
[[nodiscard]] int RunProgram(const Config& config, const app::Options& options,
                             const Reread& reread, uint64_t seed);

}  // namespace rouse::proxy
