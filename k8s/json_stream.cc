#include "k8s/json_stream.h"

namespace rouse::k8s {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

}  // namespace

absl::Status JsonStream::Feed(std::string_view data, OnDocument& on_document) {
  if (!failure_.ok()) return failure_;
  size_t begin = 0;  // of what belongs to the document under way
  for (size_t i = 0; i < data.size(); ++i) {
    const char c = data[i];
    if (closers_.empty() && IsSpace(c)) {
      begin = i + 1;
      continue;
    }
    const Step step = Take(c);
    if (step == Step::kBroken) return failure_;
    if (step == Step::kMore) continue;
    if (pending_.size() + (i + 1 - begin) > limits_.document_bytes_max) return TooLarge();
    // What follows may end the life of this stream, so nothing of it is touched after a refusal.
    std::string whole = std::move(pending_);
    pending_.clear();
    const std::string_view tail = data.substr(begin, i + 1 - begin);
    begin = i + 1;
    if (whole.empty()) {
      if (!on_document(tail)) return absl::OkStatus();
    } else {
      whole += tail;
      if (!on_document(whole)) return absl::OkStatus();
    }
  }
  if (pending_.size() + (data.size() - begin) > limits_.document_bytes_max) return TooLarge();
  pending_ += data.substr(begin);
  return absl::OkStatus();
}

JsonStream::Step JsonStream::Take(char c) {
  if (in_string_) {
    if (escaped_) {
      escaped_ = false;
    } else if (c == '\\') {
      escaped_ = true;
    } else if (c == '"') {
      in_string_ = false;
    }
    return Step::kMore;
  }
  if (closers_.empty() && c != '{') return Break("a document does not begin with `{`");
  if (c == '"') {
    in_string_ = true;
  } else if (c == '{' || c == '[') {
    if (closers_.size() >= limits_.depth_max) return Break("nested too deeply");
    closers_ += c == '{' ? '}' : ']';
  } else if (c == '}' || c == ']') {
    if (closers_.back() != c) return Break("brackets do not match");
    closers_.pop_back();
    if (closers_.empty()) return Step::kComplete;
  }
  return Step::kMore;
}

JsonStream::Step JsonStream::Break(const char* why) {
  failure_ = absl::InvalidArgumentError(why);
  return Step::kBroken;
}

absl::Status JsonStream::TooLarge() {
  failure_ = absl::ResourceExhaustedError("a document is larger than " +
                                          std::to_string(limits_.document_bytes_max) + " bytes");
  return failure_;
}

absl::Status JsonStream::Finish() const {
  if (!failure_.ok()) return failure_;
  if (closers_.empty()) return absl::OkStatus();
  return absl::DataLossError("the last document is incomplete");
}

}  // namespace rouse::k8s
