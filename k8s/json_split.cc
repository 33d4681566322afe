#include "k8s/json_split.h"

#include <absl/functional/function_ref.h>

#include "k8s/objects/json_node.h"

namespace rouse::k8s {
namespace {

/// A place in JSON text. Every step returns false where the text is not what it should be.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  bool Take(char c) {
    SkipSpace();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  [[nodiscard]] bool AtEnd() {
    SkipSpace();
    return at_ == text_.size();
  }

  /// A string without its quotes, escapes as they stand.
  bool TakeString(std::string_view& inside) {
    SkipSpace();
    const size_t begin = at_ + 1;
    if (!SkipString()) return false;
    inside = text_.substr(begin, at_ - 1 - begin);
    return true;
  }

  bool TakeValue(std::string_view& value) {
    SkipSpace();
    const size_t begin = at_;
    if (!SkipValue()) return false;
    value = text_.substr(begin, at_ - begin);
    return true;
  }

 private:
  void SkipSpace() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) {
      ++at_;
    }
  }

  bool SkipString() {
    if (at_ >= text_.size() || text_[at_] != '"') return false;
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '\\') {
        ++at_;
      } else if (text_[at_] == '"') {
        ++at_;
        return true;
      }
    }
    return false;
  }

  bool SkipValue() {
    if (at_ >= text_.size()) return false;
    if (text_[at_] == '"') return SkipString();
    if (text_[at_] != '{' && text_[at_] != '[') return SkipScalar();
    size_t depth = 0;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        if (!SkipString()) return false;
        continue;
      }
      ++at_;
      if (c == '{' || c == '[') ++depth;
      if ((c == '}' || c == ']') && --depth == 0) return true;
    }
    return false;
  }

  bool SkipScalar() {
    const size_t begin = at_;
    at_ = std::min(text_.find_first_of(",]} \n\r\t", at_), text_.size());
    return at_ > begin;
  }

  std::string_view text_;
  size_t at_ = 0;
};

using OnMember = absl::FunctionRef<void(std::string_view key, std::string_view value)>;

bool EachMember(std::string_view text, OnMember on_member) {
  Cursor cursor(text);
  if (!cursor.Take('{')) return false;
  if (cursor.Take('}')) return cursor.AtEnd();
  do {
    std::string_view key;
    std::string_view value;
    if (!cursor.TakeString(key) || !cursor.Take(':') || !cursor.TakeValue(value)) return false;
    on_member(key, value);
  } while (cursor.Take(','));
  return cursor.Take('}') && cursor.AtEnd();
}

bool Elements(std::string_view text, std::vector<std::string_view>& elements) {
  Cursor cursor(text);
  if (!cursor.Take('[')) return false;
  if (cursor.Take(']')) return cursor.AtEnd();
  do {
    std::string_view element;
    if (!cursor.TakeValue(element)) return false;
    elements.push_back(element);
  } while (cursor.Take(','));
  return cursor.Take(']') && cursor.AtEnd();
}

}  // namespace

absl::StatusOr<ListPage> SplitList(std::string_view body) {
  std::string_view metadata;
  std::string_view items;
  const bool whole = EachMember(body, [&](std::string_view key, std::string_view value) {
    if (key == "metadata") metadata = value;
    if (key == "items") items = value;
  });
  if (!whole) return absl::InvalidArgumentError("the list is not a JSON object");
  JsonDocument document(metadata);
  ListPage page;
  page.resource_version = document.root()["resourceVersion"].Text();
  page.continue_token = document.root()["continue"].Text();
  if (!document.status().ok()) {
    return absl::InvalidArgumentError("the list's metadata: " +
                                      std::string(document.status().message()));
  }
  // An empty list may be written `null`.
  if (!items.empty() && items != "null" && !Elements(items, page.items)) {
    return absl::InvalidArgumentError("the list's items are not an array");
  }
  return page;
}

absl::StatusOr<WatchDocument> SplitWatchDocument(std::string_view document) {
  WatchDocument parts;
  const bool whole = EachMember(document, [&](std::string_view key, std::string_view value) {
    if (key == "type" && value.size() >= 2) parts.type = value.substr(1, value.size() - 2);
    if (key == "object") parts.object = value;
  });
  if (!whole || parts.type.empty() || parts.object.empty()) {
    return absl::InvalidArgumentError("not a watch event");
  }
  return parts;
}

}  // namespace rouse::k8s
