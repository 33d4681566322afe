#pragma once
// What:  ProcessFixture: a loop on real time with children, and a temporary folder.
// Owner: one test case.

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <catch2/catch.hpp>

#include "k8s/child_process.h"
#include "tests/support/control/on_loopback.h"

namespace rouse::k8s::local {

struct ProcessFixture : control::OnLoopback {
  std::string folder;
  ChildProcesses children;

  ProcessFixture() {
    std::string name = (std::filesystem::temp_directory_path() / "rouse-test-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    folder = name;
    network->OnSignal(SIGCHLD, [this] { children.Reap(); });
  }
  ~ProcessFixture() {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
  static std::string Read(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

}  // namespace rouse::k8s::local
