// What a pod's process is made of: address, command, log, probe.
#include <fstream>
#include <set>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "k8s/local/log_file.h"
#include "k8s/local/pod_address.h"
#include "k8s/local/pod_command.h"
#include "k8s/local/pod_logs.h"
#include "k8s/local/pod_process.h"
#include "k8s/local/probe.h"
#include "tests/unit/k8s/local/process_fixture.h"
#include "tests/unit/k8s/local/store_fixture.h"

namespace rouse::k8s::local {
namespace {

TEST_CASE("addresses are loopback's, of one's own, and come again last") {
  PodAddresses addresses(1);
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string address = addresses.TakeAddress();
    in_addr parsed{};
    REQUIRE(inet_pton(AF_INET, address.c_str(), &parsed) == 1);
    CHECK((ntohl(parsed.s_addr) >> 24) == 127);
    CHECK(seen.insert(address).second);
  }
  const std::string first = *seen.begin();
  addresses.ReturnAddress(first);
  CHECK(addresses.TakeAddress() != first);
}

TEST_CASE("a port on which somebody listens is passed over") {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  PodAddresses probe(5);
  const uint16_t port = *probe.TakePort();
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, "127.9.9.9", &address.sin_addr);
  REQUIRE(bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(listen(socket, 1) == 0);
  PodAddresses again(5);  // The same seed looks at the same port first.
  const uint16_t other = *again.TakePort();
  CHECK(other != port);
  CHECK(other >= PodAddresses::kPortFirst);
  CHECK(other <= PodAddresses::kPortLast);
  CHECK(*again.TakePort() != other);
  close(socket);
}

struct CommandRow {
  const char* container;
  const char* argv;  ///< joined by |
};

TEST_CASE("command and args become one line, with variables in it") {
  const CommandRow row = GENERATE(values<CommandRow>({
      {R"x({"command":["a","b"]})x", "a|b"},
      {R"x({"command":["a"],"args":["b c","$(PORT)"]})x", "a|b c|20001"},
      {R"x({"command":["$(X)","$(MISSING)","$$(X)","$X","$("],"env":[{"name":"X","value":"y"}]})x",
       "y|$(MISSING)|$(X)|$X|$("},
  }));
  StoreFixture f;
  const ObjectRef pod = f.Add(PodKind(), R"({"metadata":{"name":"p"},"spec":{"containers":[)" +
                                             std::string(row.container) + "]}}");
  const auto command = PodCommand::Of(f.store, *pod, {"127.1.1.1", 20001});
  REQUIRE(command.ok());
  std::string joined;
  for (const std::string& word : command->argv) joined += (joined.empty() ? "" : "|") + word;
  CHECK(joined == row.argv);
}

TEST_CASE("the environment comes from fields, maps and secrets") {
  StoreFixture f;
  f.Add(ConfigMapKind(), R"({"metadata":{"name":"m"},"data":{"a":"1","b":"2"}})");
  f.Add(*FindKindTyped("secret"), R"({"metadata":{"name":"s"},"data":{"k":"aGVsbG8="}})");
  const ObjectRef pod =
      f.Add(PodKind(), R"({"metadata":{"name":"p","labels":{"l":"v"}},"spec":{"containers":[{
      "command":["x"],"envFrom":[{"configMapRef":{"name":"m"},"prefix":"M_"}],"env":[
      {"name":"IP","valueFrom":{"fieldRef":{"fieldPath":"status.podIP"}}},
      {"name":"L","valueFrom":{"fieldRef":{"fieldPath":"metadata.labels['l']"}}},
      {"name":"S","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}},
      {"name":"O","valueFrom":{"configMapKeyRef":{"name":"none","key":"k","optional":true}}},
      {"name":"POD_NAME","value":"mine"}]}]}})");
  const auto command = PodCommand::Of(f.store, *pod, {"127.1.1.1", 20001});
  REQUIRE(command.ok());
  const std::set<std::string> lines(command->environment.begin(), command->environment.end());
  for (const char* line : {"M_a=1", "M_b=2", "IP=127.1.1.1", "L=v", "S=hello", "PORT=20001",
                           "POD_IP=127.1.1.1", "POD_NAME=mine", "POD_NAMESPACE=default"}) {
    INFO(line);
    CHECK(lines.contains(line));
  }
  for (const std::string& line : lines) CHECK_FALSE(line.starts_with("O="));
  const ObjectRef odd =
      f.Add(PodKind(), R"({"metadata":{"name":"q"},"spec":{"containers":[{"command":["x"],
      "env":[{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"spec.colour"}}}]}]}})");
  CHECK(PodCommand::Of(f.store, *odd, {"127.1.1.1", 1}).status().message() ==
        "unsupported fieldPath: spec.colour");
}

TEST_CASE("a log that grows too large begins anew, and the writer goes on") {
  ProcessFixture f;
  auto log = LogFile::Open(f.folder + "/deep/er/log");
  REQUIRE(log.ok());
  const auto say = [&](const std::string& text) {
    return write(log->descriptor(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
  };
  REQUIRE(say(std::string(90, 'a') + "\n"));
  log->Trim(100);
  CHECK(log->Tail(1000).size() == 91);
  REQUIRE(say(std::string(90, 'b') + "\n"));
  log->Trim(100);
  REQUIRE(say("new\n"));
  CHECK(f.Read(log->path()) == "new\n");
  CHECK(f.Read(log->path() + ".1").size() == 182);
  CHECK(log->Tail(2) == "w\n");
  CHECK_FALSE(LogFile::Open("/proc/no/log").ok());
}

TEST_CASE("the last lines of a text are counted from its end") {
  CHECK(LastLines("a\nb\nc\n", 2) == "b\nc\n");
  CHECK(LastLines("a\nb\nc", 1) == "c");
  CHECK(LastLines("a\nb\n", 5) == "a\nb\n");
  CHECK(LastLines("a\nb\n", 0).empty());
  CHECK(LastLines("", 3).empty());
}

TEST_CASE("a probe's plan has the kubelet's defaults and the pod's own place") {
  StoreFixture f;
  const ObjectRef pod = f.Add(PodKind(), R"({"metadata":{"name":"p"},"spec":{"containers":[
      {"ports":[{"name":"http","containerPort":80}]}]}})");
  const ProbePlan plan = ProbePlan::Of(
      Parsed(
          R"({"httpGet":{"port":"http","path":"x","scheme":"HTTPS","httpHeaders":[{"name":"A",
          "value":"b"}]},
                 "initialDelaySeconds":3})"),
      *pod, {"127.1.1.1", 20001}, {});
  CHECK(plan.kind == ProbePlan::Kind::kHttp);
  CHECK(plan.origin.host == "127.1.1.1");
  CHECK(plan.origin.port == 20001);
  REQUIRE(plan.origin.tls.has_value());
  CHECK_FALSE(plan.origin.tls->verify);
  CHECK(plan.path == "/x");
  CHECK(control::FindHeader(plan.headers, "a") == "b");
  CHECK(plan.initial_delay == std::chrono::seconds(3));
  CHECK(plan.period == std::chrono::seconds(10));
  CHECK(plan.timeout == std::chrono::seconds(1));
  CHECK(plan.failure_threshold == 3);
}

}  // namespace
}  // namespace rouse::k8s::local
