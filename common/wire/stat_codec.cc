#include "common/wire/stat_codec.h"

#include <algorithm>
#include <utility>

#include <absl/status/status.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include "common/wire/stat.pb.h"

namespace rouse::wire {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

constexpr uint32_t kMessagesTag =
    WireFormatLite::MakeTag(1, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
constexpr uint32_t kProxyTag =
    WireFormatLite::MakeTag(1001, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
constexpr uint32_t kCompleteTag = WireFormatLite::MakeTag(1002, WireFormatLite::WIRETYPE_VARINT);

absl::Status Malformed(std::string_view what) {
  return absl::InvalidArgumentError(absl::string_view(what.data(), what.size()));
}

/// NaN fails both comparisons.
bool InBounds(double number) { return number >= 0 && number <= kNumberMax; }

bool InBounds(const Stat& stat) {
  return InBounds(stat.average_concurrent_requests) &&
         InBounds(stat.average_proxied_concurrent_requests) && InBounds(stat.request_count) &&
         InBounds(stat.proxied_request_count) && InBounds(stat.process_uptime_seconds) &&
         InBounds(stat.parked_requests);
}

/// Kubernetes' names: lower-case letters, digits, '-' and '.' (RFC 1123 subdomains).
bool IsObjectName(std::string_view name, size_t bytes_max) {
  if (name.empty() || name.size() > bytes_max) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
}

/// Who sends: a pod's name, or anything printable without spaces; it ends in logs and admin pages.
bool IsSenderName(std::string_view name) {
  return name.size() <= kNameBytesMax &&
         std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

absl::StatusOr<WorkloadStat> FromProto(pb::WireStatMessage& message) {
  if (!IsObjectName(message.namespace_(), kNamespaceBytesMax)) {
    return Malformed("a namespace is no name");
  }
  if (!IsObjectName(message.name(), kNameBytesMax))
    return Malformed("a workload's name is no name");
  if (!message.has_stat()) return Malformed("an entry has no stat");
  pb::Stat& stat = *message.mutable_stat();
  if (!IsSenderName(stat.pod_name())) return Malformed("a pod name is no name");

  WorkloadStat out;
  out.workload = {std::move(*message.mutable_namespace_()), std::move(*message.mutable_name())};
  out.stat = {.pod_name = std::move(*stat.mutable_pod_name()),
              .average_concurrent_requests = stat.average_concurrent_requests(),
              .average_proxied_concurrent_requests = stat.average_proxied_concurrent_requests(),
              .request_count = stat.request_count(),
              .proxied_request_count = stat.proxied_request_count(),
              .process_uptime_seconds = stat.process_uptime(),
              .timestamp = stat.timestamp(),
              .parked_requests = stat.parked_requests()};
  if (!InBounds(out.stat)) return Malformed("a number is negative, too large or not a number");
  return out;
}

void ToProto(const WorkloadStat& from, pb::WireStatMessage& to) {
  to.set_namespace_(from.workload.ns);
  to.set_name(from.workload.name);
  pb::Stat& stat = *to.mutable_stat();
  stat.set_pod_name(from.stat.pod_name);
  stat.set_average_concurrent_requests(from.stat.average_concurrent_requests);
  stat.set_average_proxied_concurrent_requests(from.stat.average_proxied_concurrent_requests);
  stat.set_request_count(from.stat.request_count);
  stat.set_proxied_request_count(from.stat.proxied_request_count);
  stat.set_process_uptime(from.stat.process_uptime_seconds);
  stat.set_timestamp(from.stat.timestamp);
  stat.set_parked_requests(from.stat.parked_requests);
}

/// One entry, parsed into `scratch`: one message is reused, so that a message of 2^19 empty entries
/// (two bytes each) costs no more memory than its bytes.
absl::Status ReadEntry(CodedInputStream& input, pb::WireStatMessage& scratch, Report& report) {
  if (report.stats.size() == kStatsMax) return Malformed("too many entries");
  scratch.Clear();
  if (!WireFormatLite::ReadMessage(&input, &scratch)) return Malformed("an entry cannot be parsed");
  absl::StatusOr<WorkloadStat> stat = FromProto(scratch);
  if (!stat.ok()) return stat.status();
  report.stats.push_back(*std::move(stat));
  return absl::OkStatus();
}

absl::Status ReadProxy(CodedInputStream& input, Report& report) {
  const bool read = WireFormatLite::ReadString(&input, &report.proxy);
  if (!read || report.proxy.size() > kNameBytesMax)
    return Malformed("the proxy's name is too long");
  return IsSenderName(report.proxy) ? absl::OkStatus() : Malformed("the proxy's name is no name");
}

absl::Status ReadField(uint32_t tag, CodedInputStream& input, pb::WireStatMessage& scratch,
                       Report& report) {
  if (tag == kMessagesTag) return ReadEntry(input, scratch, report);
  if (tag == kProxyTag) return ReadProxy(input, report);
  if (tag == kCompleteTag) {
    uint64_t value = 0;
    if (!input.ReadVarint64(&value)) return Malformed("the message is cut");
    report.complete = value != 0;
    return absl::OkStatus();
  }
  return WireFormatLite::SkipField(&input, tag) ? absl::OkStatus()
                                                : Malformed("a field cannot be parsed");
}

}  // namespace

std::string Encode(const Report& report) {
  pb::WireStatMessages messages;
  messages.set_proxy(report.proxy);
  messages.set_complete(report.complete);
  messages.mutable_messages()->Reserve(static_cast<int>(report.stats.size()));
  for (const WorkloadStat& stat : report.stats) ToProto(stat, *messages.add_messages());
  return messages.SerializeAsString();
}

absl::StatusOr<Report> Decode(std::string_view bytes) {
  if (bytes.size() > kReportBytesMax) return Malformed("the message is too long");
  CodedInputStream input(reinterpret_cast<const uint8_t*>(bytes.data()),
                         static_cast<int>(bytes.size()));
  Report report;
  pb::WireStatMessage scratch;
  while (const uint32_t tag = input.ReadTag()) {
    if (absl::Status status = ReadField(tag, input, scratch, report); !status.ok()) return status;
  }
  // ReadTag also answers 0 for a tag that is cut or is no tag.
  if (!input.ConsumedEntireMessage()) return Malformed("the message ends inside a field");
  return report;
}

}  // namespace rouse::wire
