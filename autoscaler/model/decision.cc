#include "autoscaler/model/decision.h"

#include "common/base/check.h"

namespace rouse::autoscaler {

std::string_view NameOf(Reason reason) {
  switch (reason) {
#define ROUSE_REASON_NAME(reason, name) \
  case Reason::reason:                  \
    return name;
    ROUSE_REASONS(ROUSE_REASON_NAME)
#undef ROUSE_REASON_NAME
  }
  UNREACHABLE();
}

}  // namespace rouse::autoscaler
