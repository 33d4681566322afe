#include "common/net/descriptor_table.h"

#include <algorithm>
#include <fstream>
#include <string>

#include <catch2/catch.hpp>
#include <sys/resource.h>

namespace rouse::net {
namespace {

/// Places in this process's table, as the kernel says (proc_pid_status(5), FDSize).
size_t TableSize() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != "FDSize:") continue;
    size_t places = 0;
    status >> places;
    return places;
  }
  return 0;
}

TEST_CASE("the table has places for many connections before the first one comes") {
  const size_t most = PrepareDescriptors();
  rlimit limit{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  CHECK(limit.rlim_cur == limit.rlim_max);
  CHECK(most == limit.rlim_cur);
  CHECK(TableSize() >= std::min(most, kDescriptorsReserved));
}

}  // namespace
}  // namespace rouse::net
