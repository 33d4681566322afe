#include "k8s/child_process.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <fcntl.h>
#include <unistd.h>

#include "tests/unit/k8s/local/process_fixture.h"

namespace rouse::k8s {
namespace {

using local::ProcessFixture;

/// Whether a process of the group runs. A zombie does not: where init is no real one, as in many
/// containers, nobody takes it in.
bool Lives(pid_t group) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "stat");
    std::string text;
    std::getline(file, text);  // none where it is no process, or has just gone
    std::istringstream behind_name(text.substr(text.rfind(')') + 1));
    char state = 'Z';
    pid_t parent = 0;
    pid_t its_group = 0;
    behind_name >> state >> parent >> its_group;
    if (its_group == group && state != 'Z') return true;
  }
  return false;
}

TEST_CASE("a program runs with its words, its environment and its folder, and its end is told") {
  ProcessFixture f;
  const std::string path = f.folder + "/out";
  const int out = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  ChildEnd end{-1, 0};
  const auto child = f.children.Start(
      {{"sh", "-c", "echo $A $1; pwd; echo oops >&2; ls /proc/self/fd | wc -l; exit 3", "x",
        "word"},
       {"A=value", "PATH=/usr/bin:/bin"},
       f.folder,
       out},
      [&](ChildEnd ended) { end = ended; });
  close(out);
  REQUIRE(child.ok());
  REQUIRE(f.Until([&] { return end.code >= 0; }));
  CHECK(end.code == 3);
  CHECK(end.signal == 0);
  // 0, 1, 2 and the folder that ls reads: nothing of ours is left open in a child.
  CHECK(f.Read(path) == "value word\n" + f.folder + "\noops\n4\n");
  CHECK(f.children.running() == 0);
}

TEST_CASE("what cannot be run says why at once") {
  ProcessFixture f;
  const auto start = [&](ChildSpec spec) {
    return f.children.Start(std::move(spec), [](ChildEnd) {}).status();
  };
  const absl::Status missing = start({{"no-such-program-here"}, {}, "", -1});
  CHECK(absl::IsNotFound(missing));
  CHECK(std::string(missing.message()).find("cannot run no-such-program-here") == 0);
  CHECK(absl::IsPermissionDenied(start({{"/etc/passwd"}, {}, "", -1})));
  CHECK(absl::IsNotFound(start({{"true"}, {}, "/no/such/folder", -1})));
  CHECK(absl::IsInvalidArgument(start({{}, {}, "", -1})));
  CHECK(f.children.running() == 0);
}

TEST_CASE("a kill reaches the whole group, and the end names it") {
  ProcessFixture f;
  ChildEnd end{-1, 0};
  const auto child =
      f.children.Start({{"sh", "-c", "sleep 1000 & wait"}, {"PATH=/usr/bin:/bin"}, "", -1},
                       [&](ChildEnd ended) { end = ended; });
  REQUIRE(child.ok());
  f.children.Kill(*child);
  REQUIRE(f.Until([&] { return end.code >= 0; }));
  CHECK(end.signal == SIGKILL);
  CHECK(end.code == 128 + SIGKILL);
  REQUIRE(f.Until([&] { return !Lives(*child); }));
}

TEST_CASE("what a child leaves in its group goes with it") {
  ProcessFixture f;
  bool ended = false;
  const auto child =
      f.children.Start({{"sh", "-c", "sleep 1000 & exit 0"}, {"PATH=/usr/bin:/bin"}, "", -1},
                       [&](ChildEnd) { ended = true; });
  REQUIRE(child.ok());
  REQUIRE(f.Until([&] { return ended; }));
  REQUIRE(f.Until([&] { return !Lives(*child); }));
}

TEST_CASE("a child starts with default signals, though we ignore or block some") {
  ProcessFixture f;
  signal(SIGPIPE, SIG_IGN);
  ChildEnd end{-1, 0};
  const auto child =
      f.children.Start({{"sh", "-c", "kill -PIPE $$; exit 0"}, {"PATH=/usr/bin:/bin"}, "", -1},
                       [&](ChildEnd ended) { end = ended; });
  REQUIRE(child.ok());
  REQUIRE(f.Until([&] { return end.code >= 0; }));
  CHECK(end.signal == SIGPIPE);
}

}  // namespace
}  // namespace rouse::k8s
