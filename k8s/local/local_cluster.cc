#include "k8s/local/local_cluster.h"

#include <utility>

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <boost/json.hpp>

#include "common/base/check.h"
#include "k8s/local/manifest.h"

namespace rouse::k8s::local {

namespace json = boost::json;

LocalCluster::LocalCluster(control::Network& network, obs::Log& log, LocalClusterOptions options)
    : store_(network.loop(), options.seed, options.store),
      controllers_(store_),
      server_(network, store_, log, std::move(options.api)) {
  for (const char* name : {"default", "kube-system", "kube-public", "kube-node-lease"}) {
    const json::object ns{{"metadata", json::object{{"name", name}}},
                          {"status", json::object{{"phase", "Active"}}}};
    CHECK(store_.Create(NamespaceKind(), "", ns).ok());
  }
  if (options.make_runner) runner_ = options.make_runner(store_);
  server_.SetLogs(runner_.get());
}

LocalCluster::~LocalCluster() = default;

absl::Status LocalCluster::Start() {
  if (absl::Status status = server_.Start(); !status.ok()) return status;
  if (runner_ != nullptr) runner_->Start();
  return absl::OkStatus();
}

void LocalCluster::Stop(Duration grace, absl::AnyInvocable<void()> done) {
  if (runner_ == nullptr) return done();
  runner_->Stop(grace, std::move(done));
}

absl::Status LocalCluster::Apply(std::string_view manifest) {
  absl::StatusOr<std::vector<Json>> objects = ParseManifest(manifest);
  if (!objects.ok()) return objects.status();
  ApiWriter writer(store_);
  for (const Json& object : *objects) {
    const ResourceKind* kind = FindKindOf(TextAt(object, {"apiVersion"}), TextAt(object, {"kind"}));
    if (kind == nullptr) {
      return absl::InvalidArgumentError("unknown kind " + TextAt(object, {"kind"}));
    }
    ApiTarget target;
    target.kind = kind;
    target.ns = kind->namespaced ? TextAt(object, {"metadata", "namespace"}, "default") : "";
    target.name = TextAt(object, {"metadata", "name"});
    const ApiReply reply = writer.Patch(target, "application/apply-patch+yaml", JsonText(object));
    if (reply.status >= 300) return absl::InvalidArgumentError(reply.body);
  }
  return absl::OkStatus();
}

std::string KubeconfigText(std::string_view server, std::string_view token,
                           std::string_view ca_pem) {
  std::string text = absl::StrCat(
      "apiVersion: v1\nkind: Config\ncurrent-context: rouse-local\nclusters:\n"
      "  - name: rouse-local\n    cluster:\n      server: ",
      std::string(server), "\n");
  if (!ca_pem.empty()) {
    absl::StrAppend(&text, "      certificate-authority-data: ",
                    absl::Base64Escape({ca_pem.data(), ca_pem.size()}), "\n");
  }
  text +=
      "contexts:\n  - name: rouse-local\n    context: {cluster: rouse-local, user: rouse-local, "
      "namespace: default}\nusers:\n  - name: rouse-local\n";
  absl::StrAppend(&text, "    user: {", token.empty() ? "" : "token: ", std::string(token), "}\n");
  return text;
}

}  // namespace rouse::k8s::local
