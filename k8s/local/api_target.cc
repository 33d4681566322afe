#include "k8s/local/api_target.h"

#include <charconv>
#include <vector>

#include <absl/strings/str_split.h>

namespace rouse::k8s::local {

namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::map<std::string, std::string> ParseQuery(std::string_view text) {
  std::map<std::string, std::string> query;
  while (!text.empty()) {
    const size_t end = text.find('&');
    const std::string_view pair = text.substr(0, end);
    const size_t equals = pair.find('=');
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
    if (!pair.empty()) {
      query[PercentDecoded(pair.substr(0, equals), true)] = PercentDecoded(value, true);
    }
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return query;
}

}  // namespace

std::string PercentDecoded(std::string_view text, bool query) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 &&
        HexDigit(text[i + 2]) >= 0) {
      out += static_cast<char>(HexDigit(text[i + 1]) * 16 + HexDigit(text[i + 2]));
      i += 2;
    } else {
      out += query && text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

std::string PercentEncoded(std::string_view text) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (unsigned char c : text) {
    if (std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == '~') {
      out += static_cast<char>(c);
    } else {
      out += '%';
      out += kHex[c >> 4];
      out += kHex[c & 15];
    }
  }
  return out;
}

ApiTarget ApiTarget::Parse(std::string_view text) {
  ApiTarget target;
  const size_t mark = text.find('?');
  target.path = PercentDecoded(text.substr(0, mark), false);
  if (mark != std::string_view::npos) target.query = ParseQuery(text.substr(mark + 1));
  std::vector<std::string> parts = absl::StrSplit(target.path, '/', absl::SkipEmpty());
  std::string group;
  size_t at = 0;
  if (parts.size() >= 3 && parts[0] == "api") {
    at = 2;
  } else if (parts.size() >= 4 && parts[0] == "apis") {
    group = parts[1];
    at = 3;
  } else {
    return target;
  }
  const std::string& version = parts[at - 1];
  // namespaces/NS/PLURAL is inside a namespace; namespaces/NAME[/status] is the namespace itself.
  if (parts[at] == "namespaces" && parts.size() >= at + 3 && parts[at + 2] != "status") {
    target.ns = parts[at + 1];
    at += 2;
  }
  const ResourceKind* kind = FindKind(group, version, parts[at]);
  if (kind == nullptr || parts.size() > at + 3) return target;
  if (!kind->namespaced && !target.ns.empty()) return target;
  if (parts.size() > at + 1) target.name = parts[at + 1];
  if (parts.size() > at + 2) target.subresource = parts[at + 2];
  // A namespaced object cannot be named without its namespace.
  if (kind->namespaced && target.ns.empty() && !target.name.empty()) return target;
  target.kind = kind;
  return target;
}

std::string ApiTarget::Query(const std::string& parameter) const {
  const auto found = query.find(parameter);
  return found == query.end() ? std::string() : found->second;
}

bool ApiTarget::QueryFlag(const std::string& parameter) const {
  const std::string value = Query(parameter);
  return value == "true" || value == "1" || value == "True";
}

std::optional<int64_t> ApiTarget::QueryNumber(const std::string& parameter) const {
  const std::string value = Query(parameter);
  int64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size()) return std::nullopt;
  return number;
}

ApiReply ApiReply::Failed(const ApiError& error) {
  ApiReply reply = Of(error.code, error.StatusText() + "\n");
  if (error.retry_after_seconds > 0) {
    reply.headers.push_back({"Retry-After", std::to_string(error.retry_after_seconds)});
  }
  return reply;
}

}  // namespace rouse::k8s::local
