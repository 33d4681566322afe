#include "common/http/h1_chunks.h"

#include <algorithm>

#include "common/http/syntax.h"

namespace rouse::http {

void ChunkDecoder::Reset() {
  state_ = State::kSize;
  left_ = 0;
  digits_ = 0;
  extension_.clear();
  trailer_bytes_.clear();
  scanner_.Reset();
  trailers_.Clear();
  error_ = {};
}

ChunkDecoder::Step ChunkDecoder::Fail(const char* detail) {
  const bool upstream = side_ == Side::kUpstream;
  error_ = {upstream ? ErrorKind::kUpstreamProtocol : ErrorKind::kBadRequest, side_, false, detail};
  return Step::kFailed;
}

bool ChunkDecoder::SizeByte(char c) {
  constexpr int kDigitsMax = 16;
  const uint8_t value = HexValue(c);
  if (value == kNotHex || ++digits_ > kDigitsMax || (left_ >> 59) != 0) return false;
  left_ = left_ * 16 + value;
  return true;
}

/// `*( ";" token [ "=" ( token / quoted-string ) ] )`, without the spaces that RFC 9112 calls bad.
bool ChunkDecoder::ExtensionsValid() const {
  std::string_view rest = extension_;
  while (!rest.empty()) {
    if (rest[0] != ';') return false;
    rest.remove_prefix(1);
    size_t name = 0;
    while (name < rest.size() && IsA(rest[name], kTokenChar)) ++name;
    if (name == 0) return false;
    rest.remove_prefix(name);
    if (rest.empty() || rest[0] != '=') continue;
    rest.remove_prefix(1);
    size_t value = 0;
    if (!rest.empty() && rest[0] == '"') {
      value = 1;
      while (value < rest.size() && rest[value] != '"') value += rest[value] == '\\' ? 2 : 1;
      if (value >= rest.size()) return false;
      ++value;
    } else {
      while (value < rest.size() && IsA(rest[value], kTokenChar)) ++value;
    }
    if (value == 0) return false;
    rest.remove_prefix(value);
  }
  return IsFieldValue(extension_);
}

ChunkDecoder::Step ChunkDecoder::Next(std::string_view input, size_t& consumed,
                                      std::string_view& data) {
  consumed = 0;
  data = {};
  while (consumed < input.size()) {
    const char c = input[consumed];
    switch (state_) {
      case State::kSize:
        if (c == '\r' || c == ';') {
          if (digits_ == 0) return Fail("a chunk without a size");
          state_ = c == ';' ? State::kExtension : State::kSizeLf;
          if (c == ';') continue;
        } else if (!SizeByte(c)) {
          return Fail("a chunk's size is malformed");
        }
        ++consumed;
        continue;
      case State::kExtension:
        ++consumed;
        if (c != '\r') {
          extension_.push_back(c);
          if (c == '\n' || extension_.size() > kExtensionBytesMax)
            return Fail("a chunk extension is malformed");
          continue;
        }
        if (!ExtensionsValid()) return Fail("a chunk extension is malformed");
        extension_.clear();
        state_ = State::kSizeLf;
        continue;
      case State::kSizeLf:
        if (c != '\n') return Fail("a chunk's size ends without CRLF");
        ++consumed;
        digits_ = 0;
        state_ = left_ == 0 ? State::kTrailers : State::kData;
        continue;
      case State::kData: {
        const size_t take = static_cast<size_t>(std::min<uint64_t>(left_, input.size() - consumed));
        data = input.substr(consumed, take);
        consumed += take;
        left_ -= take;
        if (left_ == 0) state_ = State::kDataCr;
        return Step::kData;
      }
      case State::kDataCr:
      case State::kDataLf:
        if (c != (state_ == State::kDataCr ? '\r' : '\n'))
          return Fail("a chunk is longer than its size");
        ++consumed;
        state_ = state_ == State::kDataCr ? State::kDataLf : State::kSize;
        continue;
      case State::kTrailers:
        return TrailerBytes(input, consumed);
      case State::kEnd:
        return Step::kEnd;
    }
  }
  return state_ == State::kEnd ? Step::kEnd : Step::kMore;
}

/// The trailer section is kept whole, since the trailers point into it; each line is judged as it
/// ends.
ChunkDecoder::Step ChunkDecoder::TrailerBytes(std::string_view input, size_t& consumed) {
  while (consumed < input.size()) {
    const size_t newline = input.find('\n', consumed);
    const size_t end = newline == std::string_view::npos ? input.size() : newline + 1;
    trailer_bytes_.append(input, consumed, end - consumed);
    consumed = end;
    trailers_.Bind(trailer_bytes_.data());
    size_t offset = 0;
    size_t length = 0;
    const ParseStep step = scanner_.NextLine(trailer_bytes_, offset, length);
    if (step == ParseStep::kMore) continue;
    if (step == ParseStep::kDone && length == 0) {
      state_ = State::kEnd;
      return Step::kEnd;
    }
    if (step == ParseStep::kFailed || !scanner_.Field(trailer_bytes_, offset, length, trailers_)) {
      error_ = scanner_.error();
      return Step::kFailed;
    }
  }
  return Step::kMore;
}

}  // namespace rouse::http
