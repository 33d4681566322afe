#pragma once
// What:   the process's table of descriptors, made large enough before it is needed.
// Owner:  whoever starts the process calls it once, before there are threads.
// Limits: kDescriptorsReserved; a process that opens more lets the kernel double the table then.

#include <cstddef>

namespace rouse::net {

/// Costs the kernel 8 bytes each, 512 KiB.
inline constexpr size_t kDescriptorsReserved = 65536;

/// Allows this process as many descriptors as its hard limit says, and has the kernel make the
/// table for the first `reserved` of them. Later, with threads, every doubling of the table stops
/// all threads that open or accept anything: Linux waits for an RCU grace period (expand_fdtable),
/// measured as 6 to 44 ms. Returns the limit.
size_t PrepareDescriptors(size_t reserved = kDescriptorsReserved);

}  // namespace rouse::net
