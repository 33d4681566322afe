#include "autoscaler/scaling/json_text.h"

#include <cmath>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

namespace rouse::autoscaler {
namespace {

void AppendEscaped(std::string_view value, std::string& out) {
  out += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&out, "\\u%04x", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  out += '"';
}

}  // namespace

JsonText& JsonText::Key(std::string_view name) {
  Separate();
  AppendEscaped(name, text_);
  text_ += ':';
  separate_ = false;
  return *this;
}

JsonText& JsonText::String(std::string_view value) {
  Separate();
  AppendEscaped(value, text_);
  return *this;
}

JsonText& JsonText::Number(double value) {
  Separate();
  if (std::isfinite(value)) {
    absl::StrAppend(&text_, value);
  } else {
    text_ += "null";
  }
  return *this;
}

JsonText& JsonText::Integer(int64_t value) {
  Separate();
  absl::StrAppend(&text_, value);
  return *this;
}

JsonText& JsonText::Bool(bool value) {
  Separate();
  text_ += value ? "true" : "false";
  return *this;
}

JsonText& JsonText::Begin(char bracket) {
  Separate();
  text_ += bracket;
  separate_ = false;
  return *this;
}

JsonText& JsonText::End(char bracket) {
  text_ += bracket;
  separate_ = true;
  return *this;
}

void JsonText::Separate() {
  if (separate_) text_ += ',';
  separate_ = true;
}

}  // namespace rouse::autoscaler
