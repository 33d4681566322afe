#include "k8s/local/command_line.h"

#include <iostream>
#include <vector>

#include "k8s/local/serve_command.h"

namespace rouse::k8s::local {

namespace {

struct CommandRow {
  const char* name;
  const char* synopsis;
  const char* what;
  int (*run)(Words words, CommandIo& io);
};

constexpr CommandRow kCommands[] = {
    {"serve", "[--port N] [--kubeconfig-out FILE] ...", "serve the API and run pods (the default)",
     RunServe},
    {"apply", "-f FILE...", "create or change what files describe", RunApply},
    {"get", "KIND [NAME] [-n NAMESPACE] [-A] [-l SELECTOR] [-o wide|json|name]", "show objects",
     RunGet},
    {"logs", "POD [-f] [-p] [--tail N]", "show what a pod has written", RunLogs},
    {"delete", "KIND NAME... | -f FILE", "delete objects", RunDelete},
    {"scale", "deployment NAME --replicas N", "set a number of replicas", RunScale},
};

void PrintHelp(std::ostream& out) {
  out << "rouse-local: a small Kubernetes API and process runner for one machine.\n\n"
         "Usage: rouse-local COMMAND ...; each takes --help\n\n";
  for (const CommandRow& command : kCommands) {
    out << "  " << command.name << " " << command.synopsis << "\n      " << command.what << "\n";
  }
}

}  // namespace

int RunCommandLine(Words words, CommandIo& io) {
  if (words.empty() || (words[0].starts_with("-") && words[0] != "--help" && words[0] != "-h" &&
                        words[0] != "--version")) {
    return RunServe(words, io);
  }
  if (words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    PrintHelp(io.out);
    return 0;
  }
  if (words[0] == "--version") {
    io.out << "rouse-local 0.1.0\n";
    return 0;
  }
  std::vector<std::string> known;
  for (const CommandRow& command : kCommands) {
    if (words[0] == command.name) return command.run(words.subspan(1), io);
    known.emplace_back(command.name);
  }
  const std::string near = app::Nearest(words[0], known);
  io.err << "rouse-local: unknown command \"" << words[0] << "\""
         << (near.empty() ? "" : "; did you mean " + near + "?") << "\n";
  return 2;
}

}  // namespace rouse::k8s::local
