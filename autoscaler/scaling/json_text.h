#pragma once
// What:      JsonText writes JSON for the admin pages: objects, arrays, and values in between.
// Owner:     a value of whoever builds a page. Control thread.
// Invariant: what it wrote is valid JSON as soon as every Begin has its End; strings are escaped,
//            numbers that JSON does not have (NaN, infinity) become null.
// Never:     reads JSON (that is Boost.JSON's, in k8s and common/app).

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace rouse::autoscaler {

class JsonText {
 public:
  JsonText& BeginObject() { return Begin('{'); }
  JsonText& EndObject() { return End('}'); }
  JsonText& BeginArray() { return Begin('['); }
  JsonText& EndArray() { return End(']'); }
  /// The name of the member that follows.
  JsonText& Key(std::string_view name);

  JsonText& String(std::string_view value);
  JsonText& Number(double value);
  JsonText& Integer(int64_t value);
  JsonText& Bool(bool value);

  /// Key and value at once.
  JsonText& Field(std::string_view name, std::string_view value) { return Key(name).String(value); }
  JsonText& Field(std::string_view name, const char* value) { return Key(name).String(value); }
  template <typename T>
    requires std::is_arithmetic_v<T>
  JsonText& Field(std::string_view name, T value) {
    Key(name);
    if constexpr (std::is_same_v<T, bool>) return Bool(value);
    if constexpr (std::is_floating_point_v<T>) return Number(value);
    return Integer(static_cast<int64_t>(value));
  }

  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  JsonText& Begin(char bracket);
  JsonText& End(char bracket);
  void Separate();

  std::string text_;
  bool separate_ = false;  ///< a value stands before: the next one needs a comma
};

}  // namespace rouse::autoscaler
