#pragma once
// What:      the harness of the data-driven head cases: bytes in, verdict out, at every way of
//            cutting them.
// Owner:     the tests of common/http. One thread.
// Invariant: a case is judged whole, byte by byte, and at seeded random cuts; each time the bytes
//            move to a buffer of exactly their size, so that reading beyond them is seen by the
//            address sanitizer.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/error.h"
#include "common/base/random.h"
#include "common/http/h1_head.h"

namespace rouse::http::testing {

/// What a parser made of a message.
struct Verdict {
  ParseStep step = ParseStep::kMore;
  ErrorKind error = ErrorKind::kNone;
  size_t head_bytes = 0;
  std::string summary;  ///< what the head says, in words; empty unless kDone
  bool operator==(const Verdict&) const = default;
};

inline std::string_view NameOf(BodyKind kind) {
  switch (kind) {
    case BodyKind::kNone:
      return "none";
    case BodyKind::kLength:
      return "length";
    case BodyKind::kStreamed:
      return "chunked";
    case BodyKind::kUntilClose:
      return "close";
  }
  return "?";
}

inline std::string Summary(const HeaderMap& fields) {
  std::string text;
  for (size_t i = 0; i < fields.size(); ++i) {
    text.append("|").append(fields.name(i)).append("=").append(fields.value(i));
  }
  return text;
}

/// "GET h /p none" or with "length 5"; then " close" unless kept alive, and what else is out of the
/// common.
inline std::string Summary(const RequestHead& head, bool keep_alive) {
  std::string text;
  text.append(head.method).append(" ").append(head.authority).append(" ").append(head.path);
  text.append(" ").append(NameOf(head.body));
  if (head.body == BodyKind::kLength) text += " " + std::to_string(head.content_length);
  if (!keep_alive) text += " close";
  if (head.version == Version::kHttp10) text += " 1.0";
  if (head.expects_continue) text += " expects";
  if (head.accepts_trailers) text += " trailers";
  if (!head.upgrade.empty()) text.append(" upgrade");
  return text;
}

inline std::string Summary(const ResponseHead& head, bool keep_alive) {
  std::string text = std::to_string(head.status);
  text.append(" ").append(NameOf(head.body));
  if (head.body == BodyKind::kLength) text += " " + std::to_string(head.content_length);
  if (!keep_alive) text += " close";
  return text;
}

/// Feeds `bytes` up to each of `cuts` (ascending), each time from a fresh exact-size copy of what
/// the parser has made of them so far.
template <typename Parser, typename Head, typename Parse>
Verdict Feed(std::string_view bytes, std::span<const size_t> cuts, Parser parser, Parse parse) {
  std::vector<char> held;
  Head head;
  for (const size_t cut : cuts) {
    std::vector<char> next(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(cut));
    std::copy(held.begin(), held.end(), next.begin());
    held = std::move(next);
    const ParseStep step = parse(parser, std::span<char>(held), head);
    if (step == ParseStep::kMore) continue;
    Verdict verdict{step, parser.error().kind, parser.head_bytes(), {}};
    if (step == ParseStep::kDone) verdict.summary = Summary(head, parser.keep_alive());
    if (step == ParseStep::kFailed) verdict.head_bytes = 0;
    return verdict;
  }
  return {};
}

inline Verdict FeedRequest(std::string_view bytes, std::span<const size_t> cuts) {
  return Feed<RequestParser, RequestHead>(
      bytes, cuts, RequestParser(HeadLimits{}),
      [](RequestParser& parser, std::span<char> held, RequestHead& head) {
        return parser.Parse(held, head);
      });
}

inline Verdict FeedResponse(std::string_view bytes, std::span<const size_t> cuts, bool to_head) {
  return Feed<ResponseParser, ResponseHead>(
      bytes, cuts, ResponseParser(kResponseLimits),
      [to_head](ResponseParser& parser, std::span<char> held, ResponseHead& head) {
        return parser.Parse(held, to_head, head);
      });
}

inline std::vector<size_t> WholeCut(size_t size) { return {size}; }

inline std::vector<size_t> EveryByte(size_t size) {
  std::vector<size_t> cuts;
  for (size_t i = 1; i <= size; ++i) cuts.push_back(i);
  return cuts;
}

inline std::vector<size_t> RandomCuts(size_t size, Random& random) {
  std::vector<size_t> cuts;
  for (size_t at = 0; at < size;) {
    at = std::min(size, at + 1 + random.Below(random.Below(4) == 0 ? 64 : 7));
    cuts.push_back(at);
  }
  return cuts;
}

/// The verdict on a message; "depends on the cuts" where it does. Very long ones are not cut at
/// each byte.
template <typename FeedAt>
Verdict Judge(std::string_view bytes, FeedAt feed) {
  Verdict whole = feed(WholeCut(bytes.size()));
  constexpr size_t kEveryByteMax = 4096;
  bool same = bytes.size() > kEveryByteMax || feed(EveryByte(bytes.size())) == whole;
  Random random(bytes.size());
  for (int i = 0; i < 3; ++i) same = feed(RandomCuts(bytes.size(), random)) == whole && same;
  if (!same) whole.summary = "depends on the cuts";
  return whole;
}

inline Verdict JudgeRequest(std::string_view bytes) {
  return Judge(bytes, [&](const std::vector<size_t>& cuts) { return FeedRequest(bytes, cuts); });
}

inline Verdict JudgeResponse(std::string_view bytes, bool to_head = false) {
  return Judge(bytes,
               [&](const std::vector<size_t>& cuts) { return FeedResponse(bytes, cuts, to_head); });
}

/// One row: a message and either the error it earns, or the summary of its head.
struct Case {
  const char* id;
  std::string bytes;
  ErrorKind error = ErrorKind::kNone;
  std::string summary = {};
};

/// The rows that were judged otherwise than they say, as text; empty where all is well.
inline std::string Misjudged(const std::vector<Case>& cases) {
  std::string wrong;
  for (const Case& row : cases) {
    const Verdict verdict = JudgeRequest(row.bytes);
    const bool refused = row.error != ErrorKind::kNone;
    const ParseStep step = refused ? ParseStep::kFailed : ParseStep::kDone;
    if (verdict.step == step && verdict.error == row.error && verdict.summary == row.summary)
      continue;
    wrong.append(row.id).append(": ").append(row.bytes, 0, 200).append(" -> ");
    wrong.append(CodeOf(verdict.error)).append(" ").append(verdict.summary).append("\n");
  }
  return wrong;
}

/// Bytes with NUL in them, from a literal.
template <size_t kSize>
std::string Bytes(const char (&literal)[kSize]) {
  return {literal, kSize - 1};
}

}  // namespace rouse::http::testing
