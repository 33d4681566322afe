#pragma once
// What:      RunCommandLine: the first word of rouse-local's command line chooses the command;
//            without one it serves.
// Owner:     main.
// Invariant: exit codes: 0 done, 1 failed, 2 not understood.

#include "k8s/local/object_commands.h"

namespace rouse::k8s::local {

/// `words` without the program's name.
[[nodiscard]] int RunCommandLine(Words words, CommandIo& io);

}  // namespace rouse::k8s::local
