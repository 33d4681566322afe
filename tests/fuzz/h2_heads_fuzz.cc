// Header translation: whatever fields come (as nghttp2 lets them through), what is accepted means
// the same written as HTTP/1.1 and as HTTP/2. Fields are lines of `name SP value`.

#include <algorithm>
#include <string>
#include <vector>

#include "common/base/check.h"
#include "common/http/h1_head.h"
#include "common/http/h1_writer.h"
#include "common/http/h2_heads.h"
#include "common/http/syntax.h"

namespace {

using namespace rouse;        // NOLINT: one small program
using namespace rouse::http;  // NOLINT

struct Block {
  std::string bytes;
  std::vector<H2Block::Field> fields;
  [[nodiscard]] H2Block view(bool end) const {
    return {.bytes = bytes, .fields = fields, .end = end};
  }
  void Add(std::string_view name, std::string_view value) {
    fields.push_back({static_cast<uint32_t>(bytes.size()),
                      static_cast<uint32_t>(bytes.size() + name.size()),
                      static_cast<uint32_t>(value.size()), static_cast<uint16_t>(name.size())});
    bytes.append(name).append(value);
  }
};

bool LowerToken(std::string_view name) {
  if (name.starts_with(':')) name.remove_prefix(1);
  return IsToken(name) &&
         std::none_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

/// What nghttp2 does not let through ends here.
bool Fill(std::string_view text, Block& block) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const size_t space = line.find(' ');
    if (space == std::string_view::npos) return false;
    const std::string_view name = line.substr(0, space);
    const std::string_view value = line.substr(space + 1);
    if (!LowerToken(name) || name.size() > 1000) return false;
    if (value != TrimOws(value)) return false;
    const HeaderId id = IdOf(name);
    if (id == HeaderId::kConnection || id == HeaderId::kTransferEncoding ||
        id == HeaderId::kKeepAlive || id == HeaderId::kProxyConnection ||
        id == HeaderId::kUpgrade || id == HeaderId::kTe)
      return false;
    block.Add(name, value);
  }
  return block.fields.size() <= 100;
}

/// HTTP/2 may still have to say the end of a body of length 0, so there it is one.
BodyKind KindOf(const RequestHead& head) {
  const bool empty = head.body == BodyKind::kLength && head.content_length == 0;
  return empty ? BodyKind::kNone : head.body;
}

void CheckAsHttp1(const RequestHead& head) {
  std::vector<char> out(256 * 1024);
  const size_t size = WriteRequestHead(head, {}, out);
  CHECK(size > 0);
  out.resize(size);
  RequestParser parser{
      HeadLimits{.fields_max = 110, .field_bytes_max = 70'000, .head_bytes_max = 160'000}};
  RequestHead again;
  CHECK(parser.Parse(out, again) == ParseStep::kDone);
  CHECK(parser.head_bytes() == size);
  CHECK(again.method == head.method && again.path == head.path);
  CHECK(again.authority == head.authority && again.host == head.host);
  CHECK(KindOf(again) == KindOf(head) && again.content_length == head.content_length);
  CHECK(again.upgrade == head.upgrade);
}

void CheckAsHttp2(const RequestHead& head, bool end, Random& random) {
  std::vector<char> room(128 * 1024);
  H2FieldList list(room);
  WriteRequest(head, {}, list);
  CHECK(!list.full());
  Block block;
  for (const H2Field& field : list.fields()) block.Add(field.name, field.value);
  H2HeadBytes bytes;
  RequestHead again;
  const Error error = ReadRequest(block.view(end), {}, "http", random, bytes, again);
  CHECK(error.ok());
  CHECK(again.method == head.method && again.path == head.path);
  CHECK(again.authority == head.authority && again.host == head.host);
  CHECK(KindOf(again) == KindOf(head) && again.content_length == head.content_length);
  CHECK(again.upgrade == head.upgrade);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1 || size > 60'000) return 0;
  Random random(1);
  Block block;
  if (!Fill({reinterpret_cast<const char*>(data + 1), size - 1}, block)) return 0;
  const bool end = (data[0] & 1) != 0;
  H2HeadBytes bytes;
  RequestHead head;
  const Error error = ReadRequest(block.view(end), {}, "http", random, bytes, head);
  if (error.ok()) {
    CheckAsHttp1(head);
    CheckAsHttp2(head, end, random);
  }
  H2HeadBytes answer_bytes;
  ResponseHead answer;
  if (ReadResponse(block.view(end), false, {}, answer_bytes, answer).ok()) {
    std::vector<char> out(256 * 1024);
    CHECK(WriteResponseHead(answer, {}, {}, out) > 0);
  }
  return 0;
}
