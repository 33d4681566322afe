#include "k8s/local/object_commands.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>

#include <absl/strings/str_cat.h>
#include <boost/json.hpp>

#include "k8s/kubeconfig.h"
#include "k8s/local/api_session.h"
#include "k8s/local/api_target.h"
#include "k8s/local/columns.h"
#include "k8s/local/manifest.h"
#include "k8s/local/resource_kind.h"

namespace rouse::k8s::local {

namespace json = boost::json;

namespace {

/// What the commands have in common: flags, the session, and how they complain.
struct Command {
  CommandIo& io;
  app::Options options;
  std::string kubeconfig;
  std::string ns;
  bool all_namespaces = false;
  std::string selector;
  std::string output;
  std::vector<std::string> files;
  std::vector<std::string> arguments;
  int exit_code = 2;
  SteadyClock clock;
  obs::Log log{clock, {.level = obs::Level::kError, .sink = {}}};
  std::unique_ptr<ApiSession> session;

  Command(CommandIo& streams, std::string name, std::string what, std::string synopsis)
      : io(streams), options("rouse-local " + std::move(name), "0.1.0", std::move(what)) {
    if (!synopsis.empty()) options.AllowArguments(std::move(synopsis));
    options.AddText("kubeconfig", &kubeconfig,
                    "kubeconfig file; default: $KUBECONFIG, then ~/.kube/config");
  }
  void AddNamespace() {
    options.AddText("namespace", &ns, "namespace (-n); default: the kubeconfig's");
  }
  void AddFiles() {
    options.AddList("file", &files,
                    "YAML or JSON file, or a folder of them (-f); - reads the input");
  }

  bool Parse(Words words, const std::map<std::string, std::string>& short_flags);
  bool Connect();
  int Complain(int code, std::string_view why) {
    io.err << "rouse-local: " << why << "\n";
    return code;
  }
  int Refused(const absl::StatusOr<ApiSession::Answer>& answer) {
    if (!answer.ok()) return Complain(1, std::string(answer.status().message()));
    return Complain(1, "error from the server: " + answer->Message());
  }
  const ResourceKind* KindTyped(const std::string& word);
  [[nodiscard]] std::string PathOf(const ResourceKind& kind, const std::string& in,
                                   const std::string& name) const;
};

bool Command::Parse(Words words, const std::map<std::string, std::string>& short_flags) {
  std::vector<std::string> spelled;
  for (const std::string& word : words) {
    const auto found = short_flags.find(word.substr(0, 2));
    if (found == short_flags.end() || word.starts_with("--")) {
      spelled.push_back(word);
    } else if (word.size() == 2) {
      spelled.push_back(found->second);
    } else {
      spelled.push_back(found->second + "=" + word.substr(word[2] == '=' ? 3 : 2));
    }
  }
  app::Parsed parsed = options.Parse(spelled, io.environment);
  io.out << parsed.out;
  io.err << parsed.err;
  exit_code = parsed.exit_code;
  arguments = std::move(parsed.arguments);
  return parsed.run;
}

bool Command::Connect() {
  absl::StatusOr<ClusterAccess> access = FindAccess(kubeconfig, "");
  if (!access.ok()) {
    exit_code = Complain(1, std::string(access.status().message()));
    return false;
  }
  if (ns.empty()) ns = access->ns.empty() ? "default" : access->ns;
  session = std::make_unique<ApiSession>(clock, log, *std::move(access));
  return true;
}

const ResourceKind* Command::KindTyped(const std::string& word) {
  const ResourceKind* kind = FindKindTyped(word);
  if (kind != nullptr) return kind;
  std::vector<std::string> known;
  for (const ResourceKind& each : AllKinds()) known.emplace_back(each.plural);
  const std::string near = app::Nearest(word, known);
  Complain(2, absl::StrCat("unknown kind \"", word, "\"",
                           near.empty() ? "" : absl::StrCat("; did you mean ", near, "?")));
  return nullptr;
}

std::string Command::PathOf(const ResourceKind& kind, const std::string& in,
                            const std::string& name) const {
  std::string path = kind.group.empty() ? "/api/v1" : "/apis/" + kind.api_version();
  if (kind.namespaced && !in.empty()) absl::StrAppend(&path, "/namespaces/", in);
  absl::StrAppend(&path, "/", std::string(kind.plural));
  if (!name.empty()) absl::StrAppend(&path, "/", PercentEncoded(name));
  return path;
}

std::string NameOf(const ResourceKind& kind, const std::string& name) {
  return absl::StrCat(kind.group.empty()
                          ? std::string(kind.singular)
                          : absl::StrCat(std::string(kind.singular), ".", std::string(kind.group)),
                      "/", name);
}

bool IsManifest(const std::filesystem::path& path) {
  return path.extension() == ".yaml" || path.extension() == ".yml" || path.extension() == ".json";
}

/// The texts of a file, of every manifest of a folder in the order of names, or of standard input.
absl::StatusOr<std::vector<std::pair<std::string, std::string>>> ReadAll(const std::string& name) {
  std::vector<std::pair<std::string, std::string>> texts;
  if (name == "-") {
    texts.emplace_back("standard input", std::string(std::istreambuf_iterator<char>(std::cin), {}));
    return texts;
  }
  std::vector<std::string> paths{name};
  std::error_code error;
  if (std::filesystem::is_directory(name, error)) {
    paths.clear();
    for (const auto& entry : std::filesystem::directory_iterator(name, error)) {
      if (IsManifest(entry.path())) paths.push_back(entry.path().string());
    }
    std::sort(paths.begin(), paths.end());
    if (paths.empty()) return absl::NotFoundError("no YAML or JSON file in " + name);
  }
  for (const std::string& path : paths) {
    absl::StatusOr<std::string> text = ReadSmallFile(path);
    if (!text.ok()) return text.status();
    texts.emplace_back(path, *std::move(text));
  }
  return texts;
}

/// Calls `each` with every object of the files; stops at the first that returns other than 0.
int EachObject(Command& command, absl::AnyInvocable<int(const ResourceKind&, const Json&)> each) {
  if (command.files.empty()) return command.Complain(2, "name a file with -f");
  int worst = 0;
  for (const std::string& name : command.files) {
    const auto texts = ReadAll(name);
    if (!texts.ok()) return command.Complain(1, std::string(texts.status().message()));
    for (const auto& [path, text] : *texts) {
      const absl::StatusOr<std::vector<Json>> objects = ParseManifest(text);
      if (!objects.ok()) {
        return command.Complain(1, path + ": " + std::string(objects.status().message()));
      }
      for (const Json& object : *objects) {
        const ResourceKind* kind =
            FindKindOf(TextAt(object, {"apiVersion"}), TextAt(object, {"kind"}));
        if (kind == nullptr) {
          worst = command.Complain(
              1, absl::StrCat(path, ": no such kind here: ", TextAt(object, {"apiVersion"}), " ",
                              TextAt(object, {"kind"})));
          continue;
        }
        worst = std::max(worst, each(*kind, object));
      }
    }
  }
  return worst;
}

}  // namespace

int RunApply(Words words, CommandIo& io) {
  Command command(io, "apply", "Creates what files describe, or brings it up to date.", "");
  command.AddNamespace();
  command.AddFiles();
  if (!command.Parse(words, {{"-f", "--file"}, {"-n", "--namespace"}})) return command.exit_code;
  if (!command.Connect()) return command.exit_code;
  return EachObject(command, [&](const ResourceKind& kind, const Json& object) {
    const std::string name = TextAt(object, {"metadata", "name"});
    const std::string in = TextAt(object, {"metadata", "namespace"}, command.ns);
    Json sent = object;
    if (kind.namespaced) Ensure(sent, {"metadata", "namespace"}) = in;
    const std::string path = command.PathOf(kind, in, name);
    const auto before = command.session->Call("GET", path);
    if (!before.ok()) return command.Refused(before);
    const auto answer =
        command.session->Call("PATCH", path + "?fieldManager=rouse-local&force=true",
                              "application/apply-patch+yaml", JsonText(sent));
    if (!answer.ok() || !answer->ok()) return command.Refused(answer);
    const auto version = [](const std::string& body) {
      const auto parsed = ParseJson(body);
      return parsed.ok() ? TextAt(*parsed, {"metadata", "resourceVersion"}) : std::string();
    };
    io.out << NameOf(kind, name)
           << (!before->ok()                                    ? " created\n"
               : version(before->body) == version(answer->body) ? " unchanged\n"
                                                                : " configured\n");
    return 0;
  });
}

namespace {

int PrintObjects(Command& command, const ResourceKind& kind, const Json& body, bool one) {
  JsonArray objects = one ? JsonArray{body} : ArrayAt(body, {"items"});
  if (command.output == "json") {
    command.io.out << JsonPretty(body) << "\n";
    return 0;
  }
  if (command.output == "name") {
    for (const Json& object : objects) {
      command.io.out << NameOf(kind, TextAt(object, {"metadata", "name"})) << "\n";
    }
    return 0;
  }
  if (kind.plural == "events") {
    std::stable_sort(objects.begin(), objects.end(), [](const Json& a, const Json& b) {
      return TextAt(a, {"lastTimestamp"}) < TextAt(b, {"lastTimestamp"});
    });
  }
  const TableOptions table{command.output == "wide", command.all_namespaces && kind.namespaced};
  const std::string text = TableOf(kind, objects, command.clock.wall(), table);
  if (text.empty()) {
    command.io.err << (command.all_namespaces || !kind.namespaced
                           ? std::string("No resources found\n")
                           : absl::StrCat("No resources found in ", command.ns, " namespace.\n"));
  }
  command.io.out << text;
  return 0;
}

}  // namespace

int RunGet(Words words, CommandIo& io) {
  Command command(io, "get", "Shows objects.", "KIND [NAME]");
  command.AddNamespace();
  command.options.AddBoolean("all-namespaces", &command.all_namespaces, "every namespace (-A)");
  command.options.AddText("selector", &command.selector, "label selector (-l), such as app=a");
  command.output = "table";
  command.options.AddChoice("output", &command.output, {"table", "wide", "json", "name"},
                            "form of the output (-o)");
  if (!command.Parse(words, {{"-n", "--namespace"},
                             {"-A", "--all-namespaces"},
                             {"-l", "--selector"},
                             {"-o", "--output"}})) {
    return command.exit_code;
  }
  if (command.arguments.empty() || command.arguments.size() > 2) {
    return command.Complain(2, "want: rouse-local get KIND [NAME]");
  }
  const ResourceKind* kind = command.KindTyped(command.arguments[0]);
  if (kind == nullptr) return 2;
  if (!command.Connect()) return command.exit_code;
  const std::string name = command.arguments.size() > 1 ? command.arguments[1] : "";
  if (!name.empty() && command.all_namespaces) {
    return command.Complain(2, "an object cannot be named across all namespaces");
  }
  std::string path = command.PathOf(*kind, command.all_namespaces ? "" : command.ns, name);
  if (!command.selector.empty()) path += "?labelSelector=" + PercentEncoded(command.selector);
  const auto answer = command.session->Call("GET", path);
  if (!answer.ok() || !answer->ok()) return command.Refused(answer);
  const absl::StatusOr<Json> body = ParseJson(answer->body, {.bytes_max = 64 << 20});
  if (!body.ok()) return command.Complain(1, "the server's answer is not JSON");
  return PrintObjects(command, *kind, *body, !name.empty());
}

int RunLogs(Words words, CommandIo& io) {
  Command command(io, "logs", "Shows what a pod has written.", "POD");
  command.AddNamespace();
  bool follow = false;
  bool previous = false;
  int64_t tail = -1;
  command.options.AddBoolean("follow", &follow, "go on as the pod writes (-f)");
  command.options.AddBoolean("previous", &previous, "of the run before the last restart (-p)");
  command.options.AddInteger("tail", &tail, -1, 1'000'000'000, "only so many lines; -1: all");
  if (!command.Parse(words, {{"-n", "--namespace"}, {"-f", "--follow"}, {"-p", "--previous"}})) {
    return command.exit_code;
  }
  if (command.arguments.size() != 1) return command.Complain(2, "want: rouse-local logs POD");
  if (!command.Connect()) return command.exit_code;
  std::string path = command.PathOf(PodKind(), command.ns, command.arguments[0]) + "/log?";
  if (follow) path += "follow=true&";
  if (previous) path += "previous=true&";
  if (tail >= 0) absl::StrAppend(&path, "tailLines=", tail);
  const auto answer = command.session->Stream(path, [&](std::string_view data) {
    io.out << data;
    io.out.flush();
  });
  if (!answer.ok() || !answer->ok()) return command.Refused(answer);
  return 0;
}

int RunDelete(Words words, CommandIo& io) {
  Command command(io, "delete", "Deletes objects, by name or as files describe them.",
                  "[KIND NAME...]");
  command.AddNamespace();
  command.AddFiles();
  int64_t grace = -1;
  command.options.AddInteger("grace-period", &grace, -1, 86400,
                             "seconds that pods get to end; -1: their own");
  if (!command.Parse(words, {{"-f", "--file"}, {"-n", "--namespace"}})) return command.exit_code;
  const bool by_name = command.arguments.size() >= 2;
  if (by_name == !command.files.empty() || command.arguments.size() == 1) {
    return command.Complain(2, "want: rouse-local delete KIND NAME..., or -f FILE");
  }
  const ResourceKind* typed = by_name ? command.KindTyped(command.arguments[0]) : nullptr;
  if (by_name && typed == nullptr) return 2;
  if (!command.Connect()) return command.exit_code;
  const auto drop = [&](const ResourceKind& kind, const std::string& in, const std::string& name) {
    std::string path = command.PathOf(kind, in, name);
    if (grace >= 0) absl::StrAppend(&path, "?gracePeriodSeconds=", grace);
    const auto answer = command.session->Call("DELETE", path);
    if (!answer.ok() || !answer->ok()) return command.Refused(answer);
    io.out << NameOf(kind, name) << " deleted\n";
    return 0;
  };
  if (!by_name) {
    return EachObject(command, [&](const ResourceKind& kind, const Json& object) {
      return drop(kind, TextAt(object, {"metadata", "namespace"}, command.ns),
                  TextAt(object, {"metadata", "name"}));
    });
  }
  int worst = 0;
  for (size_t i = 1; i < command.arguments.size(); ++i) {
    worst = std::max(worst, drop(*typed, command.ns, command.arguments[i]));
  }
  return worst;
}

int RunScale(Words words, CommandIo& io) {
  Command command(io, "scale", "Sets how many replicas a Deployment or StatefulSet has.",
                  "KIND NAME");
  command.AddNamespace();
  int64_t replicas = -1;
  command.options.AddInteger("replicas", &replicas, 0, 100000, "how many");
  if (!command.Parse(words, {{"-n", "--namespace"}})) return command.exit_code;
  if (command.arguments.size() == 1 && command.arguments[0].find('/') != std::string::npos) {
    const std::string both = command.arguments[0];
    command.arguments = {both.substr(0, both.find('/')), both.substr(both.find('/') + 1)};
  }
  if (command.arguments.size() != 2 || replicas < 0) {
    return command.Complain(2, "want: rouse-local scale deployment NAME --replicas N");
  }
  const ResourceKind* kind = command.KindTyped(command.arguments[0]);
  if (kind == nullptr) return 2;
  if (!kind->has_scale) {
    return command.Complain(2, absl::StrCat(std::string(kind->plural), " cannot be scaled"));
  }
  if (!command.Connect()) return command.exit_code;
  const auto answer = command.session->Call(
      "PATCH", command.PathOf(*kind, command.ns, command.arguments[1]) + "/scale",
      "application/merge-patch+json", absl::StrCat("{\"spec\":{\"replicas\":", replicas, "}}"));
  if (!answer.ok() || !answer->ok()) return command.Refused(answer);
  io.out << NameOf(*kind, command.arguments[1]) << " scaled\n";
  return 0;
}

}  // namespace rouse::k8s::local
