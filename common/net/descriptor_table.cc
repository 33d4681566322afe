#include "common/net/descriptor_table.h"

#include <algorithm>

#include <fcntl.h>
#include <sys/resource.h>

#include "common/base/check.h"
#include "common/net/descriptor.h"

namespace rouse::net {

size_t PrepareDescriptors(size_t reserved) {
  rlimit limit{};
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  if (limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  }
  const size_t most = std::min<size_t>(reserved, limit.rlim_cur);
  if (most == 0) return limit.rlim_cur;
  // The table grows for a descriptor with a high number, and never shrinks.
  const Descriptor any(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const Descriptor high(fcntl(any.get(), F_DUPFD_CLOEXEC, static_cast<int>(most - 1)));
  return limit.rlim_cur;
}

}  // namespace rouse::net
