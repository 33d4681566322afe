// rouse-local: a small Kubernetes API and process runner for one machine.

#include <iostream>
#include <string>
#include <vector>

#include "k8s/local/command_line.h"

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  rouse::k8s::local::CommandIo io{std::cout, std::cerr, rouse::app::ProcessEnvironment()};
  return rouse::k8s::local::RunCommandLine(words, io);
}
