#pragma once
// What:      RunServe: `rouse-local serve`, the API and the runner until a signal.
// Owner:     main.
// Limits:    its option rows.

#include "k8s/local/object_commands.h"

namespace rouse::k8s::local {

[[nodiscard]] int RunServe(Words words, CommandIo& io);

}  // namespace rouse::k8s::local
