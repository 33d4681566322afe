#include "common/app/options.h"

#include <cstdio>
#include <fstream>

#include <catch2/catch.hpp>
#include <unistd.h>

namespace rouse::app {
namespace {

using std::chrono::seconds;

/// A file that goes with the test.
class TempFile {
 public:
  explicit TempFile(const std::string& text) {
    char name[] = "/tmp/rouse-options-XXXXXX";
    const int descriptor = ::mkstemp(name);
    REQUIRE(descriptor >= 0);
    ::close(descriptor);
    path = name;
    std::ofstream(path) << text;
  }
  ~TempFile() { std::remove(path.c_str()); }
  std::string path;
};

struct Program {
  Duration hold = seconds(60);
  uint32_t buffer = 65536;
  int shards = 1;
  double share = 0.7;
  bool tracing = false;
  std::string level = "info";
  std::string token;
  std::vector<std::string> autoscalers;
  std::vector<std::string> workloads;
  Options options{"prog", "1.2.3", "Does things."};

  Program() {
    options.Group("Holding");
    options.AddDuration("hold-timeout", &hold, seconds(1), seconds(3600),
                        "How long a request is held.");
    options.AddSize("client-buffer", &buffer, 1024, 1 << 20, "Receive buffer of a client.");
    options.AddInteger("shards", &shards, 1, 64, "Threads.");
    options.Group("Other");
    options.AddNumber("share", &share, 0, 1, "A share.");
    options.AddBoolean("tracing", &tracing, "Whether to trace.");
    options.AddChoice("log-level", &level, {"debug", "info"}, "What is logged.");
    options.AddSecret("token", &token, "A secret.");
    options.AddList("autoscalers", &autoscalers, "Where reports go.");
    options.TakeKey("workloads", "Static workloads.",
                    [this](const ConfigNode& node) -> absl::Status {
                      if (!node.is_list()) return node.Error("workloads: expected a list");
                      for (const ConfigNode& item : node.items) {
                        const absl::Status known = item.CheckKeys({"name", "endpoints"});
                        if (!known.ok()) return known;
                        workloads.push_back(item.Find("name")->text);
                      }
                      return absl::OkStatus();
                    });
  }
  Parsed Parse(const std::vector<std::string>& args, const Environment& environment = {}) {
    return options.Parse(args, environment);
  }
};

TEST_CASE("without sources every option has its default") {
  Program program;
  const Parsed parsed = program.Parse({});
  CHECK(parsed.run);
  CHECK(parsed.exit_code == 0);
  CHECK(program.hold == seconds(60));
}

TEST_CASE(
    "flags beat the environment, the environment beats the file, the file beats the default") {
  const TempFile file("hold_timeout: 10s\nclient_buffer: 4KiB\nshards: 2\nshare: 0.5\n");
  Program program;
  const Parsed parsed =
      program.Parse({"--config", file.path, "--hold-timeout=30s"},
                    {"ROUSE_HOLD_TIMEOUT=20s", "ROUSE_CLIENT_BUFFER=8KiB", "HOME=/"});
  REQUIRE(parsed.run);
  CHECK(program.hold == seconds(30));
  CHECK(program.buffer == 8192);
  CHECK(program.shards == 2);
  CHECK(program.share == 0.5);
  CHECK(program.level == "info");
}

TEST_CASE("the file may be named by the environment, and a flag names another") {
  const TempFile one("shards: 2\n");
  const TempFile two("shards: 3\n");
  Program by_environment;
  CHECK(by_environment.Parse({}, {"ROUSE_CONFIG=" + one.path}).run);
  CHECK(by_environment.shards == 2);
  Program by_flag;
  CHECK(by_flag.Parse({"--config=" + two.path}, {"ROUSE_CONFIG=" + one.path}).run);
  CHECK(by_flag.shards == 3);
  CHECK(by_flag.options.config_file() == two.path);
}

TEST_CASE("flags come with or without an equals sign; booleans alone; lists add up") {
  Program program;
  const Parsed parsed = program.Parse({"--shards", "4", "--tracing", "--autoscalers=a:1,b:2",
                                       "--autoscalers", "c:3", "--log-level=debug"});
  REQUIRE(parsed.run);
  CHECK(program.shards == 4);
  CHECK(program.tracing);
  CHECK(program.autoscalers == std::vector<std::string>{"a:1", "b:2", "c:3"});
  CHECK(program.Parse({"--no-tracing"}).run);
  CHECK_FALSE(program.tracing);
}

TEST_CASE(
    "what is wrong is said with its place and the nearest known name, and the exit code is 2") {
  struct Case {
    std::vector<std::string> args;
    Environment environment;
    std::string message;
  };
  const Case cases[] = {
      {{"--hold-timout=3s"},
       {},
       "prog: unknown flag --hold-timout; did you mean --hold-timeout?\n"},
      {{"--verson"}, {}, "prog: unknown flag --verson; did you mean --version?\n"},
      {{"--colour=red"}, {}, "prog: unknown flag --colour\n"},
      {{"--shards"}, {}, "prog: --shards: a value is missing\n"},
      {{"--shards=0"}, {}, "prog: --shards: must be from 1 to 64\n"},
      {{"--shards=many"}, {}, "prog: --shards: \"many\" is not an integer\n"},
      {{"--hold-timeout=2h"}, {}, "prog: --hold-timeout: must be from 1s to 1h\n"},
      {{"--client-buffer=1GiB"}, {}, "prog: --client-buffer: must be from 1KiB to 1MiB\n"},
      {{"--share=2"}, {}, "prog: --share: must be from 0 to 1\n"},
      {{"--log-level=loud"}, {}, "prog: --log-level: \"loud\" is none of debug, info\n"},
      {{"--tracing=maybe"}, {}, "prog: --tracing: \"maybe\" is not true or false\n"},
      {{"stray"}, {}, "prog: unexpected argument \"stray\"\n"},
      {{}, {"ROUSE_SHARD=2"}, "prog: unknown variable ROUSE_SHARD; did you mean ROUSE_SHARDS?\n"},
      {{}, {"ROUSE_SHARDS=x"}, "prog: ROUSE_SHARDS: \"x\" is not an integer\n"},
      {{"--config=/no/such/file"}, {}, "prog: /no/such/file: cannot be read\n"}};
  for (const Case& c : cases) {
    Program program;
    const Parsed parsed = program.Parse(c.args, c.environment);
    CHECK_FALSE(parsed.run);
    CHECK(parsed.exit_code == 2);
    CHECK(parsed.err == c.message + "Try prog --help.\n");
    CHECK(parsed.out.empty());
  }
}

TEST_CASE("what is wrong in the file is said with file and line, all of it at once") {
  const TempFile file(
      "hold_timout: 10s\n"
      "shards: [1]\n"
      "\n"
      "share: x\n"
      "config: other\n"
      "workloads:\n"
      "- name: ns/fn\n"
      "  endponts: []\n");
  Program program;
  const Parsed parsed = program.Parse({"--check", "--config", file.path});
  CHECK(parsed.exit_code == 2);
  CHECK(parsed.err ==
        "prog: " + file.path + ":1: unknown key \"hold_timout\"; did you mean hold_timeout?\n" +
            "prog: " + file.path + ":2: shards: expected one integer\n" + "prog: " + file.path +
            ":4: share: \"x\" is not a number\n" + "prog: " + file.path +
            ":5: unknown key \"config\"\n" + "prog: " + file.path +
            ":8: unknown key \"endponts\"; did you mean \"endpoints\"?\n" + "Try prog --help.\n");
}

TEST_CASE("a file that is not YAML, not keys, or has a key twice is refused with its line") {
  const std::pair<const char*, const char*> cases[] = {
      {"a: [1\nb: 2\n", ":2: "},
      {"- a\n", ":1: expected keys"},
      {"shards: 1\nshards: 2\n", ":2: key \"shards\""}};
  for (const auto& [text, message] : cases) {
    const TempFile file(text);
    Program program;
    const Parsed parsed = program.Parse({"--config", file.path});
    CHECK(parsed.exit_code == 2);
    INFO(parsed.err);
    CHECK(parsed.err.find(file.path + message) != std::string::npos);
  }
  const TempFile empty("# nothing\n");
  Program program;
  CHECK(program.Parse({"--config", empty.path}).run);
}

TEST_CASE("a key that the program takes itself arrives as a tree with lines") {
  const TempFile file("workloads:\n- {name: a/b}\n- {name: c/d, endpoints: [\"127.0.0.1:1\"]}\n");
  Program program;
  CHECK(program.Parse({"--config", file.path}).run);
  CHECK(program.workloads == std::vector<std::string>{"a/b", "c/d"});
}

TEST_CASE("variables that Kubernetes sets about Services are not taken for options") {
  Program program;
  const Parsed parsed =
      program.Parse({}, {"ROUSE_PROXY_SERVICE_HOST=10.0.0.1", "ROUSE_PROXY_SERVICE_PORT=80",
                         "ROUSE_PROXY_SERVICE_PORT_HTTP=80", "ROUSE_PROXY_PORT=tcp://10.0.0.1:80",
                         "ROUSE_PROXY_PORT_80_TCP_ADDR=10.0.0.1"});
  CHECK(parsed.err.empty());
  CHECK(parsed.run);
}

TEST_CASE("options are looked at together once each of them is right") {
  Program program;
  program.options.AddCheck([&]() -> absl::Status {
    if (program.shards > 1 && program.tracing)
      return absl::InvalidArgumentError("tracing needs one shard");
    return absl::OkStatus();
  });
  CHECK(program.Parse({"--shards=2"}).run);
  CHECK(program.Parse({"--shards=2", "--tracing"})
            .err.starts_with("prog: tracing needs one shard\n"));
}

TEST_CASE("help names every option with unit, bounds, default and group") {
  Program program;
  const std::string help = program.Parse({"--help"}).out;
  CHECK(help.starts_with("prog 1.2.3\nDoes things.\n"));
  CHECK(help.find("\nHolding\n  --hold-timeout  (duration, 1s to 1h; default 1m)\n"
                  "      How long a request is held.\n") != std::string::npos);
  CHECK(help.find("--client-buffer  (size, 1KiB to 1MiB; default 64KiB)") != std::string::npos);
  CHECK(help.find("--log-level  (text, debug, info; default info)") != std::string::npos);
  CHECK(help.find("\nOther\n") != std::string::npos);
  const std::string table = program.Parse({"--help-markdown"}).out;
  CHECK(table.find(
            "**Holding**\n\n| Option | Unit | Default | Bounds | What |\n|---|---|---|---|---|\n"
            "| `hold-timeout` | duration | `1m` | 1s to 1h | How long a request is held. |\n") !=
        std::string::npos);
  CHECK(table.find("| `workloads` | Static workloads. |") != std::string::npos);
  CHECK(program.Parse({"--version"}).out == "prog 1.2.3\n");
}

TEST_CASE("the values in force are printed as a file that reads back, secrets masked") {
  const TempFile file("hold_timeout: 10s\n");
  Program program;
  const Parsed parsed =
      program.Parse({"--print-config", "--config=" + file.path, "--autoscalers=a:1,b:2"},
                    {"ROUSE_TOKEN=hunter2"});
  CHECK(parsed.exit_code == 0);
  CHECK_FALSE(parsed.run);
  CHECK(parsed.out.find("hunter2") == std::string::npos);
  CHECK(parsed.out.find("hold_timeout: 10s  # file, line 1\n") != std::string::npos);
  CHECK(parsed.out.find("shards: 1  # default\n") != std::string::npos);
  CHECK(parsed.out.find("autoscalers: [\"a:1\", \"b:2\"]  # flag\n") != std::string::npos);
  CHECK(parsed.out.find("token: \"***\"  # environment\n") != std::string::npos);
  const TempFile again(parsed.out);
  Program second;
  CHECK(second.Parse({"--config=" + again.path}).run);
  CHECK(second.hold == seconds(10));
  CHECK(second.autoscalers == program.autoscalers);
}

TEST_CASE("a check of a valid configuration says so and does not run") {
  Program program;
  const Parsed parsed = program.Parse({"--check"});
  CHECK_FALSE(parsed.run);
  CHECK(parsed.exit_code == 0);
  CHECK(parsed.out == "The configuration is valid.\n");
}

TEST_CASE("arguments are kept where the program allows them") {
  Program program;
  program.options.AllowArguments("COMMAND");
  const Parsed parsed = program.Parse({"apply", "--shards=2", "--", "--not-a-flag"});
  CHECK(parsed.run);
  CHECK(parsed.arguments == std::vector<std::string>{"apply", "--not-a-flag"});
}

}  // namespace
}  // namespace rouse::app
