#include "tests/support/net/h2_wire.h"

#include <nghttp2/nghttp2.h>

#include "common/base/check.h"
#include "tests/support/net/fake_upstream.h"

namespace rouse::net::testing {
namespace {

constexpr size_t kHeadBytes = 9;

uint32_t Read32(std::string_view bytes) {
  uint32_t number = 0;
  for (size_t i = 0; i < 4; ++i) number = number << 8 | static_cast<uint8_t>(bytes[i]);
  return number;
}

std::string ValueIn(const H2Fields& fields, std::string_view name) {
  for (const auto& [field, value] : fields)
    if (field == name) return value;
  return {};
}

/// An integer with a prefix of `bits` bits (RFC 7541 section 5.1).
std::string HpackNumber(size_t number, int bits) {
  const size_t most = (size_t{1} << bits) - 1;
  if (number < most) return {static_cast<char>(number)};
  std::string out(1, static_cast<char>(most));
  for (number -= most; number >= 128; number /= 128) out += static_cast<char>(number % 128 + 128);
  return out + static_cast<char>(number);
}

}  // namespace

std::string Number32(uint32_t number) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(number >> shift);
  return out;
}

std::string H2Frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string out = Number32(static_cast<uint32_t>(payload.size())).substr(1);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  return out.append(Number32(stream)).append(payload);
}

std::string HpackLiteral(std::string_view name, std::string_view value) {
  std::string out(1, '\x10');
  out.append(HpackNumber(name.size(), 7)).append(name);
  return out.append(HpackNumber(value.size(), 7)).append(value);
}

std::string Hpack(const H2Fields& fields) {
  std::string out;
  for (const auto& [name, value] : fields) out += HpackLiteral(name, value);
  return out;
}

std::string H2Setting(uint16_t id, uint32_t value) {
  std::string out;
  out += static_cast<char>(id >> 8);
  out += static_cast<char>(id);
  return out + Number32(value);
}

H2Fields H2Get(std::string path, H2Fields more) {
  H2Fields fields = {{":method", "GET"},
                     {":scheme", "http"},
                     {":authority", "fn.example"},
                     {":path", std::move(path)}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

H2Fields H2Post(std::string path, H2Fields more) {
  H2Fields fields = H2Get(std::move(path), std::move(more));
  fields[0].second = "POST";
  return fields;
}

std::string H2Answer::Field(std::string_view name) const { return ValueIn(head, name); }
std::string H2Answer::Trailer(std::string_view name) const { return ValueIn(trailers, name); }

struct H2Reader::Inflater {
  Inflater() { CHECK(nghttp2_hd_inflate_new(&state) == 0); }
  ~Inflater() { nghttp2_hd_inflate_del(state); }
  H2Fields Decode(std::string_view block) {
    H2Fields fields;
    const auto* at = reinterpret_cast<const uint8_t*>(block.data());
    size_t left = block.size();
    for (;;) {
      nghttp2_nv nv{};
      int flags = 0;
      const ssize_t taken = nghttp2_hd_inflate_hd2(state, &nv, &flags, at, left, 1);
      CHECK(taken >= 0);
      at += taken;
      left -= static_cast<size_t>(taken);
      if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0)
        fields.emplace_back(std::string(reinterpret_cast<char*>(nv.name), nv.namelen),
                            std::string(reinterpret_cast<char*>(nv.value), nv.valuelen));
      if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
    }
    nghttp2_hd_inflate_end_headers(state);
    return fields;
  }
  nghttp2_hd_inflater* state = nullptr;
};

H2Reader::H2Reader() : inflater_(std::make_unique<Inflater>()) {}
H2Reader::~H2Reader() = default;
H2Reader::H2Reader(H2Reader&&) noexcept = default;

void H2Wire::Start(std::string_view settings) {
  Send(std::string(kH2Preface) + H2Frame(kSettings, 0, 0, settings));
}

void H2Wire::Send(std::string_view bytes) { client_.Send(bytes); }

void H2Wire::Headers(uint32_t stream, const H2Fields& fields, bool end) {
  const auto flags = static_cast<uint8_t>(kEndHeaders | (end ? kEndStream : 0));
  Send(H2Frame(kHeaders, flags, stream, Hpack(fields)));
}

void H2Wire::Data(uint32_t stream, std::string_view bytes, bool end) {
  Send(H2Frame(kData, end ? kEndStream : 0, stream, bytes));
}

void H2Wire::Update(uint32_t stream, uint32_t bytes) {
  Send(H2Frame(kWindowUpdate, 0, stream, Number32(bytes)));
}

void H2Wire::Reset(uint32_t stream, uint32_t code) {
  Send(H2Frame(kRstStream, 0, stream, Number32(code)));
}

H2Reader& H2Wire::read() {
  const std::string& all = client_.received();
  reader_.Feed(std::string_view(all).substr(fed_));
  fed_ = all.size();
  return reader_;
}

void H2Reader::Feed(std::string_view bytes) {
  unread_ += bytes;
  size_t at = 0;
  while (unread_.size() - at >= kHeadBytes) {
    const std::string_view head = std::string_view(unread_).substr(at);
    const uint32_t size = Read32(head) >> 8;
    if (head.size() < kHeadBytes + size) break;
    at += kHeadBytes + size;
    Take(static_cast<uint8_t>(head[3]), static_cast<uint8_t>(head[4]),
         Read32(head.substr(5)) & 0x7fffffff, head.substr(kHeadBytes, size));
  }
  unread_.erase(0, at);
}

void H2Reader::Take(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  const bool end = (flags & kEndStream) != 0;
  switch (type) {
    case kData:
      streams_[stream].body += payload;
      streams_[stream].ended = streams_[stream].ended || end;
      break;
    case kHeaders:
      block_ends_ = end;
      block_ = payload;
      if ((flags & kEndHeaders) != 0) TakeBlock(stream, block_ends_);
      break;
    case kContinuation:
      block_ += payload;
      if ((flags & kEndHeaders) != 0) TakeBlock(stream, block_ends_);
      break;
    case kRstStream:
      streams_[stream].reset = Read32(payload);
      break;
    case kSettings:
      (end ? settings_acked_ : settled_) = true;
      break;
    case kPing:
      if (end) {
        ++ping_acks_;
      } else {
        last_ping_ = payload;
      }
      break;
    case kGoAway:
      goaway_ids_.push_back(Read32(payload));
      goaway_ = Read32(payload.substr(4));
      break;
    case kWindowUpdate:
      credit_[stream] += Read32(payload);
      break;
    default:
      break;
  }
}

void H2Reader::TakeBlock(uint32_t stream, bool end) {
  const H2Fields fields = inflater_->Decode(block_);
  H2Answer& answer = streams_[stream];
  const std::string status = ValueIn(fields, ":status");
  if (status.empty() && answer.head.empty()) {
    answer.head = fields;  // a request's
  } else if (status.empty()) {
    answer.trailers = fields;
  } else if (status[0] == '1') {
    answer.early.push_back(fields);
  } else {
    answer.status = std::stoi(status);
    answer.head = fields;
  }
  answer.ended = answer.ended || end;
}

}  // namespace rouse::net::testing
