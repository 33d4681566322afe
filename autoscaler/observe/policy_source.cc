#include "autoscaler/observe/policy_source.h"

#include <absl/strings/str_cat.h>

#include "autoscaler/log_events.h"

namespace rouse::autoscaler {
namespace {

/// Whether any spelling of an annotation is there, so that the program's default does not count.
bool Has(const std::map<std::string, std::string>& annotations, const char* dashed,
         const char* camel) {
  const std::string prefix = "autoscaling.knative.dev/";
  return annotations.contains(prefix + dashed) || annotations.contains(prefix + camel);
}

int ToInt(int64_t value) { return static_cast<int>(std::min<int64_t>(value, INT32_MAX)); }

}  // namespace

Policy MakePolicy(const k8s::WorkloadPolicy& annotated,
                  const std::map<std::string, std::string>& annotations,
                  const PolicyDefaults& defaults) {
  TargetSpec target;
  target.metric =
      annotated.metric == k8s::ScalingMetric::kRps ? Metric::kRps : Metric::kConcurrency;
  target.target = annotated.target;
  target.concurrency_limit = static_cast<double>(annotated.concurrency_limit);
  if (Has(annotations, "target-utilization-percentage", "targetUtilizationPercentage")) {
    target.utilization = annotated.target_utilization_percentage / 100;
  }
  const bool linear = annotated.aggregation == k8s::Aggregation::kLinear;

  Policy policy;
  policy.metric = target.metric;
  policy.averaging = linear ? Averaging::kLinear : Averaging::kWeightedExponential;
  policy.target = ResolveTarget(target, defaults.target);
  policy.stable_window =
      Has(annotations, "window", "window") ? annotated.window : defaults.stable_window;
  policy.panic_window_share = annotated.panic_window_percentage / 100;
  policy.panic_threshold = annotated.panic_threshold_percentage / 100;
  policy.scale_up_rate = defaults.scale_up_rate;
  policy.scale_down_rate = defaults.scale_down_rate;
  policy.burst_capacity = annotated.target_burst_capacity;
  policy.min_scale = ToInt(annotated.min_scale);
  policy.max_scale = ToInt(annotated.max_scale);
  policy.initial_scale = ToInt(annotated.initial_scale.value_or(0));
  policy.activation_scale = ToInt(annotated.activation_scale);
  policy.scale_down_delay = annotated.scale_down_delay;
  policy.scale_to_zero = defaults.scale_to_zero;
  policy.zero_grace = defaults.zero_grace;
  policy.zero_retention = annotated.pod_retention;
  policy.activation_timeout = defaults.activation_timeout;
  return policy;
}

PolicySource::PolicySource(PolicyDefaults defaults, obs::Log& log, Handlers handlers)
    : defaults_(defaults), log_(log), handlers_(std::move(handlers)) {}

void PolicySource::OnUpsert(k8s::Service service) {
  const ObjectKey key = service.meta.key();
  const auto [found, is_new] = known_.try_emplace(key);
  Known& known = found->second;
  k8s::PolicyOutcome outcome = k8s::ParsePolicy(service.meta.annotations, known.annotated);
  Tell(known, service, outcome.invalid);

  const k8s::ScaleTarget target = k8s::ResolveScaleTarget(outcome.policy, service);
  if (is_new) known.created = synced_;
  if (!is_new && (target != known.target || service.meta.creation_time != known.created_at)) {
    Leave(key, known);
  }
  known.policy = MakePolicy(outcome.policy, service.meta.annotations, defaults_);
  known.annotated = std::move(outcome.policy);
  known.target = target;
  known.uid = service.meta.uid;
  known.created_at = service.meta.creation_time;
  Join(key, known);
}

void PolicySource::OnDelete(const ObjectKey& key, const std::string&) {
  const auto found = known_.find(key);
  if (found == known_.end()) return;
  const Known known = std::move(found->second);
  known_.erase(found);
  Leave(key, known);
}

void PolicySource::OnSynced() {
  synced_ = true;
  handlers_.on_synced();
}

void PolicySource::Tell(Known& known, const k8s::Service& service,
                        const std::vector<k8s::InvalidAnnotation>& invalid) {
  std::set<std::pair<std::string, std::string>> told;
  for (const k8s::InvalidAnnotation& wrong : invalid) {
    told.emplace(wrong.annotation, wrong.value);
    if (known.told.contains({wrong.annotation, wrong.value})) continue;
    ++counters_.invalid;
    log_.Warn(log_event::kPolicyInvalid, {{"workload", service.meta.key().text()},
                                          {"annotation", wrong.annotation},
                                          {"value", wrong.value},
                                          {"why", wrong.why},
                                          {"nearest", wrong.nearest}});
    std::string message =
        absl::StrCat("Annotation ", wrong.annotation, ": '", wrong.value, "' ", wrong.why);
    if (!wrong.nearest.empty()) absl::StrAppend(&message, "; did you mean ", wrong.nearest, "?");
    handlers_.on_invalid(service, message);
  }
  known.told = std::move(told);
}

void PolicySource::Join(const ObjectKey& key, const Known& known) {
  Group& group = groups_[{key.ns, known.target}];
  group.services[{known.created_at, key.name}] = key;
  Declare(group);
}

void PolicySource::Leave(const ObjectKey& key, const Known& known) {
  const auto found = groups_.find({key.ns, known.target});
  if (found == groups_.end()) return;
  Group& group = found->second;
  group.services.erase({known.created_at, key.name});
  if (!group.services.empty()) return Declare(group);
  if (!group.declared.name.empty()) handlers_.on_gone(group.declared);
  groups_.erase(found);
}

void PolicySource::Declare(Group& group) {
  const ObjectKey& owner = group.services.begin()->second;
  const Known& known = known_.at(owner);
  if (group.declared != owner && !group.declared.name.empty()) handlers_.on_gone(group.declared);
  group.declared = owner;
  WorkloadSpec spec{.key = owner,
                    .policy = known.policy,
                    .target = known.target,
                    .uid = known.uid,
                    .created = known.created};
  for (auto other = std::next(group.services.begin()); other != group.services.end(); ++other) {
    spec.sharers.push_back(other->second);
    log_.Warn(log_event::kWorkloadShared,
              {{"workload", other->second.text()}, {"owner", owner.text()}});
  }
  handlers_.on_workload(std::move(spec));
}

}  // namespace rouse::autoscaler
