#include "common/http/framing.h"

#include "common/http/syntax.h"

namespace rouse::http {
namespace {

Error Bad(Side side, const char* detail) {
  return {side == Side::kDownstream ? ErrorKind::kBadRequest : ErrorKind::kUpstreamProtocol, side,
          false, detail};
}

/// A transfer coding that names something before a final chunked is a coding we do not know (501);
/// anything else that is not `chunked` alone is faulty framing.
Error JudgeCoding(std::string_view value, Side side) {
  if (EqualsIgnoreCase(value, "chunked")) return {};
  std::string_view rest = value;
  std::string_view member;
  bool tokens = true;
  bool chunked_last = false;
  bool chunked_before = false;
  while (NextListMember(rest, member)) {
    tokens = tokens && IsToken(member);
    chunked_before = chunked_before || chunked_last;
    chunked_last = EqualsIgnoreCase(member, "chunked");
  }
  if (tokens && chunked_last && !chunked_before && side == Side::kDownstream) {
    return {ErrorKind::kNotImplemented, side, false, "a transfer coding other than chunked"};
  }
  return Bad(side, "transfer-encoding is not chunked alone");
}

/// Reads the framing fields; kind kNone where there are none.
Result<Framing> FramingOf(const HeaderMap& fields, Version version, Side side) {
  const bool coded = fields.has(HeaderId::kTransferEncoding);
  const bool measured = fields.has(HeaderId::kContentLength);
  if (!coded && !measured) return Framing{};
  size_t codings = 0;
  size_t lengths = 0;
  std::string_view coding;
  std::string_view length;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (fields.id(i) == HeaderId::kTransferEncoding) {
      ++codings;
      coding = fields.value(i);
    } else if (fields.id(i) == HeaderId::kContentLength) {
      ++lengths;
      length = fields.value(i);
    }
  }
  if (coded) {
    if (measured) return Bad(side, "both transfer-encoding and content-length");
    if (version == Version::kHttp10) return Bad(side, "transfer-encoding in HTTP/1.0");
    if (codings > 1) return Bad(side, "several transfer-encoding fields");
    const Error error = JudgeCoding(coding, side);
    if (!error.ok()) return error;
    return Framing{BodyKind::kStreamed, 0};
  }
  if (lengths > 1) return Bad(side, "several content-length fields");
  const auto value = ParseContentLength(length);
  if (!value) return Bad(side, "content-length is no plain number");
  return Framing{BodyKind::kLength, *value};
}

}  // namespace

Result<Framing> FramingOfRequest(const HeaderMap& fields, Version version) {
  Result<Framing> framing = FramingOf(fields, version, Side::kDownstream);
  if (framing && framing->kind == BodyKind::kLength && framing->length == 0)
    framing->kind = BodyKind::kNone;
  return framing;
}

Result<Framing> FramingOfResponse(const HeaderMap& fields, Version version, int status,
                                  bool to_head) {
  Result<Framing> framing = FramingOf(fields, version, Side::kUpstream);
  if (status < 200 || status == 204 || status == 304 || to_head) {
    // R06, R07: such a response has no body; a faulty length in it still marks a faulty pod.
    if (!framing && !to_head && status != 304) return Framing{};
    if (!framing) return framing.error();
    return Framing{BodyKind::kNone, framing->length};
  }
  if (framing && framing->kind == BodyKind::kNone) framing->kind = BodyKind::kUntilClose;
  return framing;
}

}  // namespace rouse::http
