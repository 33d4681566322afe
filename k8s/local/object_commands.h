#pragma once
// What:      the commands for people: apply, get, logs, delete, scale: what kubectl does, for the
//            few kinds here.
// Owner:     main. They write to the streams that they are given.
// Invariant: they return 0 where all went well, 1 where the server refused or could not be reached,
//            2 where the words typed made no sense.

#include <iosfwd>
#include <span>
#include <string>

#include "common/app/options.h"

namespace rouse::k8s::local {

struct CommandIo {
  std::ostream& out;
  std::ostream& err;
  app::Environment environment;
};

using Words = std::span<const std::string>;

[[nodiscard]] int RunApply(Words words, CommandIo& io);
[[nodiscard]] int RunGet(Words words, CommandIo& io);
[[nodiscard]] int RunLogs(Words words, CommandIo& io);
[[nodiscard]] int RunDelete(Words words, CommandIo& io);
[[nodiscard]] int RunScale(Words words, CommandIo& io);

}  // namespace rouse::k8s::local
