#pragma once
// What:  ParsedRequest and ParsedResponse, heads made from text as the codec makes them; and what
//        is sent on.
// Owner: the test.

#include <array>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include "common/http/h1_head.h"
#include "common/http/h1_writer.h"

namespace rouse::proxy::testing {

class ParsedRequest {
 public:
  /// `fields` are lines with CRLF; Host is added.
  explicit ParsedRequest(std::string_view fields, std::string_view line = "GET / HTTP/1.1")
      : bytes_(std::string(line) + "\r\nHost: fn.example\r\n" + std::string(fields) + "\r\n") {
    http::HeadLimits limits;
    limits.underscores_pass = true;
    limits.fields_max = http::HeaderMap::kFieldsMax;
    http::RequestParser parser(limits);
    REQUIRE(parser.Parse({bytes_.data(), bytes_.size()}, head) == http::ParseStep::kDone);
  }
  ParsedRequest(const ParsedRequest&) = delete;
  http::RequestHead head;

 private:
  std::string bytes_;
};

class ParsedResponse {
 public:
  explicit ParsedResponse(std::string_view fields)
      : bytes_("HTTP/1.1 200 OK\r\n" + std::string(fields) + "\r\n") {
    http::ResponseParser parser(http::kResponseLimits);
    REQUIRE(parser.Parse({bytes_.data(), bytes_.size()}, false, head) == http::ParseStep::kDone);
  }
  ParsedResponse(const ParsedResponse&) = delete;
  http::ResponseHead head;

 private:
  std::string bytes_;
};

inline std::string Written(const http::RequestHead& head, const http::HeadPatch& patch) {
  std::string out(128 * 1024, '\0');
  out.resize(http::WriteRequestHead(head, patch, {out.data(), out.size()}));
  return out;
}
inline std::string Written(const http::ResponseHead& head, const http::HeadPatch& patch) {
  std::string out(128 * 1024, '\0');
  out.resize(http::WriteResponseHead(head, patch, {}, {out.data(), out.size()}));
  return out;
}

/// The lines of a field, joined by `|`; empty where absent.
inline std::string FieldOf(const std::string& head, std::string_view name) {
  std::string values;
  size_t at = 0;
  while ((at = head.find("\r\n", at)) != std::string::npos) {
    at += 2;
    const size_t end = head.find("\r\n", at);
    if (end == std::string::npos) break;
    const std::string_view line(head.data() + at, end - at);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || !http::EqualsIgnoreCase(line.substr(0, colon), name))
      continue;
    if (!values.empty()) values += '|';
    values += line.substr(colon + 2);
  }
  return values;
}

}  // namespace rouse::proxy::testing
