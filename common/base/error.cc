#include "common/base/error.h"

#include <array>
#include <string>

#include "common/base/check.h"

namespace rouse {

std::string_view CodeOf(ErrorKind kind) {
  static constexpr std::array<std::string_view, kErrorKinds> kCodes = {
#define ROUSE_ERROR_CODE(kind, code) code,
      ROUSE_ERROR_KINDS(ROUSE_ERROR_CODE)
#undef ROUSE_ERROR_CODE
  };
  return kCodes[static_cast<size_t>(kind)];
}

std::string_view NameOf(Side side) {
  switch (side) {
    case Side::kDownstream:
      return "downstream";
    case Side::kUpstream:
      return "upstream";
    case Side::kLocal:
      return "local";
  }
  UNREACHABLE();
}

void throw_exception_from_error(const Error& error, const boost::source_location& where) {
  CheckFailed(where.file_name(), static_cast<int>(where.line()),
              std::string(CodeOf(error.kind)).c_str());
}

}  // namespace rouse
