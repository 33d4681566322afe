#pragma once
// What:      SimApi, as much of an API server as rouse-autoscaler uses, on simulated time;
//            AutoscalerWorld, several replicas of the real App before it, pods that follow the
//            counts, and proxies that report demand.
// Owner:     one simulation.
// Invariant: scale writes obey resourceVersion as the real server's do; each replica reaches the
//            server and the proxies under places of its own, so that any one link can be cut.

#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "autoscaler/app.h"
#include "common/base/random.h"
#include "k8s/objects/json_node.h"
#include "k8s/objects/lease.h"
#include "tests/support/control/sim_network.h"

namespace rouse::autoscaler::sim {

inline std::string Quoted(const std::string& text) { return '"' + text + '"'; }

/// Services, endpoint slices, deployments' scales and leases of one namespace, `ns`.
class SimApi final : public control::HttpService {
 public:
  struct Scale {
    int replicas = 0;
    uint64_t version = 1;
  };
  struct Write {
    std::string target;
    int from;
    int to;
    std::string by;  ///< the place under which the writer reached us
    TimePoint at;
  };

  explicit SimApi(const Clock& clock) : clock_(clock) {}

  void PutService(const std::string& name, const std::map<std::string, std::string>& annotations) {
    std::string text;
    for (const auto& [key, value] : annotations) {
      text += (text.empty() ? "" : ",") + Quoted(key) + ":" + Quoted(value);
    }
    Put("services", name, R"("annotations":{)" + text + "}", R"("spec":{"ports":[{"port":80}]})");
  }
  void PutSlice(const std::string& service, int ready) {
    std::string endpoints;
    for (int i = 0; i < ready; ++i) {
      const std::string id = service + "-" + std::to_string(i);
      endpoints += (i > 0 ? "," : "") + std::string(R"({"addresses":["10.0.0.1"],"conditions":)") +
                   R"({"ready":true},"targetRef":{"kind":"Pod","namespace":"ns","name":)" +
                   Quoted(id) + R"(,"uid":)" + Quoted(id) + "}}";
    }
    Put("endpointslices", service + "-slice",
        R"("labels":{"rouse.dev/enabled":"true","kubernetes.io/service-name":)" + Quoted(service) +
            "}",
        R"("addressType":"IPv4","ports":[],"endpoints":[)" + endpoints + "]");
  }
  void SetScale(const std::string& name, int replicas) { scales[name] = {replicas, ++version_}; }
  void Touch(const std::string& name) { scales[name].version = ++version_; }

  void Serve(control::IncomingRequest request,
             std::unique_ptr<control::HttpResponder> responder) override {
    if (away) return Refuse(*responder, 503, "ServiceUnavailable");
    const std::string path = request.target.substr(0, request.target.find('?'));
    for (const std::string kind : {"services", "endpointslices", "horizontalpodautoscalers"}) {
      if (path.ends_with("/" + kind)) return ServeKind(kind, request, std::move(responder));
    }
    if (path.find("/leases") != std::string::npos) return ServeLease(request, path, *responder);
    if (path.ends_with("/scale")) return ServeScale(request, path, *responder);
    responder->Respond(201, {}, "{}");  // events
  }

  /// Ends every watch, as a server that restarts does.
  void CutWatches() {
    for (auto& [kind, watches] : watches_) {
      for (auto& watch : watches) watch->Abort();
      watches.clear();
    }
  }

  bool away = false;              ///< answers 503 to everything
  int touch_before_patch_of = 0;  ///< so many patches meet a version that has just moved
  std::map<std::string, Scale> scales;
  std::vector<Write> writes;
  int scale_reads = 0;
  int scale_patches = 0;
  k8s::Lease lease;

 private:
  struct Object {
    std::string json;
    uint64_t version;
  };

  void Put(const std::string& kind, const std::string& name, const std::string& meta,
           const std::string& rest) {
    const uint64_t version = ++version_;
    const std::string json =
        R"({"metadata":{"name":)" + Quoted(name) + R"(,"namespace":"ns","uid":)" + Quoted(name) +
        R"(,"resourceVersion":")" + std::to_string(version) + R"(",)" + meta + "}," + rest + "}";
    const bool known = objects_[kind].contains(name);
    objects_[kind][name] = {json, version};
    const std::string line = std::string(R"({"type":")") + (known ? "MODIFIED" : "ADDED") +
                             R"(","object":)" + json + "}\n";
    events_[kind].emplace_back(version, line);
    for (auto& watch : watches_[kind]) (void)watch->Write(line);
  }

  std::string StreamedList(const std::string& kind) {
    std::string lines;
    for (const auto& [name, object] : objects_[kind]) {
      lines += R"({"type":"ADDED","object":)" + object.json + "}\n";
    }
    return lines + R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":")" +
           std::to_string(version_) + R"(","annotations":{"k8s.io/initial-events-end":"true"}}}})" +
           "\n";
  }

  void ServeKind(const std::string& kind, const control::IncomingRequest& request,
                 std::unique_ptr<control::HttpResponder> responder) {
    if (request.target.find("watch=1") == std::string::npos) {
      std::string items;
      for (const auto& [name, object] : objects_[kind]) {
        items += (items.empty() ? "" : ",") + object.json;
      }
      return responder->Respond(200, {},
                                R"({"metadata":{"resourceVersion":")" + std::to_string(version_) +
                                    R"("},"items":[)" + items + "]}");
    }
    const size_t at = request.target.find("resourceVersion=");
    const uint64_t since = std::strtoull(request.target.c_str() + at + 16, nullptr, 10);
    responder->Begin(200, {});
    if (request.target.find("sendInitialEvents=true") != std::string::npos) {
      (void)responder->Write(StreamedList(kind));
    } else {
      for (const auto& [version, line] : events_[kind]) {
        if (version > since) (void)responder->Write(line);
      }
    }
    control::HttpResponder* watch = responder.get();
    watch->OnGone([this, kind, watch] {
      std::erase_if(watches_[kind], [&](const auto& each) { return each.get() == watch; });
    });
    watches_[kind].push_back(std::move(responder));
  }

  void ServeScale(const control::IncomingRequest& request, const std::string& path,
                  control::HttpResponder& responder) {
    const std::string owner = path.substr(0, path.size() - 6);
    const std::string name = owner.substr(owner.rfind('/') + 1);
    const auto found = scales.find(name);
    if (found == scales.end()) return Refuse(responder, 404, "NotFound");
    Scale& scale = found->second;
    if (request.method == "GET") {
      ++scale_reads;
      return responder.Respond(200, {}, ScaleText(name, scale));
    }
    ++scale_patches;
    if (touch_before_patch_of > 0) {
      --touch_before_patch_of;
      scale.version = ++version_;
    }
    k8s::JsonDocument patch(request.body);
    const std::string version = patch.root()["metadata"]["resourceVersion"].Text();
    if (version.empty()) std::abort();  // an unguarded write
    if (version != std::to_string(scale.version)) return Refuse(responder, 409, "Conflict");
    const int replicas = patch.root()["spec"]["replicas"].Count();
    writes.push_back({name, scale.replicas, replicas, request.local, clock_.now()});
    scale = {replicas, ++version_};
    responder.Respond(200, {}, ScaleText(name, scale));
  }

  static std::string ScaleText(const std::string& name, const Scale& scale) {
    // A zero is omitted, as the real server omits it.
    const std::string spec =
        scale.replicas == 0 ? "{}" : R"({"replicas":)" + std::to_string(scale.replicas) + "}";
    return R"({"kind":"Scale","metadata":{"name":)" + Quoted(name) +
           R"(,"namespace":"ns","resourceVersion":")" + std::to_string(scale.version) +
           R"("},"spec":)" + spec + R"(,"status":{"replicas":0}})";
  }

  void ServeLease(const control::IncomingRequest& request, const std::string& path,
                  control::HttpResponder& responder) {
    const bool exists = !lease.meta.name.empty();
    if (request.method == "GET") {
      if (!exists) return Refuse(responder, 404, "NotFound");
      return responder.Respond(200, {}, lease.Encode());
    }
    const absl::StatusOr<k8s::Lease> sent = k8s::Lease::Decode(request.body);
    if (!sent.ok()) return Refuse(responder, 400, "BadRequest");
    if (request.method == "POST" && exists) return Refuse(responder, 409, "AlreadyExists");
    if (request.method == "PUT" && sent->meta.resource_version != lease.meta.resource_version) {
      return Refuse(responder, 409, "Conflict");
    }
    lease = *sent;
    if (request.method == "PUT") lease.meta.name = path.substr(path.rfind('/') + 1);
    lease.meta.resource_version = std::to_string(++version_);
    responder.Respond(200, {}, lease.Encode());
  }

  static void Refuse(control::HttpResponder& responder, int code, const std::string& reason) {
    responder.Respond(code, {},
                      R"({"kind":"Status","status":"Failure","reason":)" + Quoted(reason) +
                          R"(,"message":"refused","code":)" + std::to_string(code) + "}");
  }

  const Clock& clock_;
  uint64_t version_ = 1000;
  std::map<std::string, std::map<std::string, Object>> objects_;
  std::map<std::string, std::vector<std::pair<uint64_t, std::string>>> events_;
  std::map<std::string, std::vector<std::unique_ptr<control::HttpResponder>>> watches_;
};

/// One proxy: a connection to each replica, reports as architecture 15.7 wants them.
class SimProxy {
 public:
  SimProxy(control::SimNetwork& network, std::string name)
      : network_(network), name_(std::move(name)) {}

  void Dial(const std::string& place) {
    Link& link = links_[place];
    link.open = false;
    control::MessageHandlers handlers;
    handlers.on_open = [&link] { link.open = true; };
    handlers.on_close = [&link](const absl::Status&) { link.open = false; };
    link.channel = network_.Dial({place, 8080, std::nullopt}, "/", {}, {}, std::move(handlers));
  }
  /// To be called each second: dials what is down, and reports.
  void Tick() {
    if (silent) return;
    Report(true);
    for (auto& [place, link] : links_) {
      if (!link.open) Dial(place);
    }
  }
  /// The first request for a sleeping workload.
  void Wake(const std::string& workload) {
    demand[workload] = std::max(demand[workload], 1.0);
    parked[workload] = 1;
    wire::Report report{.proxy = name_, .stats = {StatOf(workload)}};
    Send(wire::Encode(report));
  }

  std::map<std::string, double> demand;  ///< concurrency by workload
  std::map<std::string, double> parked;
  bool silent = false;

 private:
  struct Link {
    std::unique_ptr<control::MessageChannel> channel;
    bool open = false;
  };

  wire::WorkloadStat StatOf(const std::string& workload) {
    return {{"ns", workload},
            {.pod_name = name_,
             .average_concurrent_requests = demand[workload],
             .request_count = demand[workload],
             .parked_requests = parked[workload]}};
  }
  void Report(bool complete) {
    wire::Report report{.proxy = name_, .complete = complete};
    for (const auto& [workload, concurrency] : demand) {
      if (concurrency > 0) report.stats.push_back(StatOf(workload));
    }
    Send(wire::Encode(report));
  }
  void Send(const std::string& bytes) {
    for (auto& [place, link] : links_) {
      if (link.open) (void)link.channel->Send(bytes, true);
    }
  }

  control::SimNetwork& network_;
  std::string name_;
  std::map<std::string, Link> links_;
};

/// A replica with a client, credentials and places of its own: it reaches the API at `api-NAME`.
struct SimReplica {
  SimReplica(control::SimNetwork& network, obs::Log& log, const Config& config,
             const std::string& name, uint64_t seed)
      : credentials(network.loop().clock(), Access(name)),
        client(network, credentials,
               {.component = "rouse-autoscaler", .version = "0", .limits = {}}),
        app(network, client, log, config, seed) {}

  static k8s::ClusterAccess Access(const std::string& name) {
    k8s::ClusterAccess access;
    access.origin = {"api-" + name, 443, std::nullopt};
    access.ns = "ns";
    return access;
  }

  k8s::Credentials credentials;
  k8s::ApiClient client;
  App app;
};

class AutoscalerWorld {
 public:
  explicit AutoscalerWorld(int replicas, uint64_t seed = 1)
      : random(seed),
        network(clock, seed),
        log(clock, {.sink = [](std::string_view) {}}),
        api(clock) {
    network.SetLink("*",
                    {std::chrono::microseconds(200), std::chrono::milliseconds(2), false, false});
    for (int i = 0; i < replicas; ++i) names.emplace_back(1, static_cast<char>('a' + i));
    for (const std::string& name : names) {
      control::ListenOptions options;
      options.host = "api-" + name;
      options.port = 443;
      api_listeners.push_back(*network.Listen(options, api));
    }
  }

  void AddWorkload(const std::string& name, std::map<std::string, std::string> annotations = {}) {
    annotations.try_emplace("autoscaling.knative.dev/window", "10s");
    annotations.try_emplace("autoscaling.knative.dev/target", "10");
    api.SetScale(name, 0);
    api.PutService(name, annotations);
    api.PutSlice(name, 0);
    pods[name] = {};
  }
  void StartAll() {
    for (const std::string& name : names) StartReplica(name);
  }
  void StartReplica(const std::string& name) {
    Config config;
    config.intake.listen = "as-" + name + ":8080";
    config.intake.auth = "none";
    config.lease.identity = name + std::to_string(random.Below(1'000'000));
    running[name] = std::make_unique<SimReplica>(network, log, config, name, random.Next());
    if (!running[name]->app.Start().ok()) std::abort();
  }
  void KillReplica(const std::string& name) { running.erase(name); }
  SimProxy& AddProxy(const std::string& name) {
    proxies.push_back(std::make_unique<SimProxy>(network, name));
    for (const std::string& replica : names) proxies.back()->Dial("as-" + replica);
    return *proxies.back();
  }

  /// Pods, proxies and time, in steps of 50 ms; `each` looks after every step.
  template <typename F>
  void Run(Duration time, F each) {
    const TimePoint end = clock.now() + time;
    while (clock.now() < end) {
      network.RunFor(kStep);
      FollowPods();
      if (++steps % 20 == 0) {
        for (auto& proxy : proxies) proxy->Tick();
      }
      each();
    }
  }
  void Run(Duration time) {
    Run(time, [] {});
  }

  [[nodiscard]] std::vector<std::string> Leaders() const {
    std::vector<std::string> leaders;
    for (const auto& [name, replica] : running) {
      if (replica->app.leading()) leaders.push_back(name);
    }
    return leaders;
  }
  int count(const std::string& workload) { return api.scales[workload].replicas; }

  static constexpr Duration kStep = std::chrono::milliseconds(50);
  SimClock clock;
  Random random;
  control::SimNetwork network;
  obs::Log log;
  SimApi api;
  std::vector<std::string> names;
  std::vector<std::unique_ptr<control::HttpListener>> api_listeners;
  std::map<std::string, std::unique_ptr<SimReplica>> running;
  std::vector<std::unique_ptr<SimProxy>> proxies;
  Duration pod_start = std::chrono::milliseconds(700);

  struct Pods {
    int ready = 0;
    int going_to = 0;
    TimePoint at = kNever;
  };
  std::map<std::string, Pods> pods;
  uint64_t steps = 0;

 private:
  /// Pods follow the count after pod_start; the slice and the object's version follow the pods.
  void FollowPods() {
    for (auto& [name, pod] : pods) {
      const int wanted = count(name);
      if (wanted != pod.ready && pod.going_to != wanted) {
        pod.going_to = wanted;
        pod.at = clock.now() + (wanted > pod.ready ? pod_start : Duration::zero());
      }
      if (pod.at > clock.now()) continue;
      pod.at = kNever;
      if (pod.ready == pod.going_to) continue;
      pod.ready = pod.going_to;
      api.Touch(name);
      api.PutSlice(name, pod.ready);
      if (pod.ready == 0) continue;
      for (auto& proxy : proxies) proxy->parked[name] = 0;
    }
  }
};

}  // namespace rouse::autoscaler::sim
