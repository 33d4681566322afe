#include "proxy/telemetry/demand_meter.h"

namespace rouse::proxy {

DemandSample DemandMeter::Sample(TimePoint now) {
  Integrate(now);
  DemandSample sample;
  if (span_ > Duration::zero()) {
    sample.average_concurrency = area_ / static_cast<double>(span_.count());
  }
  sample.request_count = request_count_;
  sample.concurrency = concurrency_;
  span_ = Duration::zero();
  area_ = 0;
  request_count_ = 0;
  return sample;
}

}  // namespace rouse::proxy
