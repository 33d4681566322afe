#pragma once
// What:  ProxyRig with clients, and if asked for pods, that speak HTTP/2.
// Owner: the test. One thread.

#include <memory>
#include <string>

#include "tests/integration/proxy_rig.h"
#include "tests/support/net/h2_origin.h"
#include "tests/support/net/h2_wire.h"

namespace rouse::proxy::testing {

using net::testing::H2Answer;
using net::testing::H2Fields;
using net::testing::H2Frame;
using net::testing::H2Get;
using net::testing::H2Ok;
using net::testing::H2Origin;
using net::testing::H2Post;
using net::testing::H2Wire;
using net::testing::Hpack;
using net::testing::Number32;

/// What a pod answers where a test has not said otherwise.
inline FakeAnswer SayLine(const FakeRequest& request) { return Ok(request.Line()); }

class H2Rig : public ProxyRig {
 public:
  explicit H2Rig(const DataPlaneOptions& options = Defaults()) : ProxyRig(options) {}

  using ProxyRig::Ask;

  /// A connection, its preface and settings said.
  H2Wire& Dial(std::string_view settings = {}) {
    wires_.push_back(std::make_unique<H2Wire>(Connect()));
    wires_.back()->Start(settings);
    wires_.back()->Send(H2Frame(net::testing::kSettings, net::testing::kEndStream, 0, {}));
    return *wires_.back();
  }
  /// Waits for the answer on a stream.
  H2Answer& Wait(H2Wire& wire, uint32_t stream) {
    const bool over = RunUntil([&] {
      return wire.stream(stream).over() || wire.read().goaway() || wire.client().ended();
    });
    CHECK(over);
    return wire.stream(stream);
  }
  H2Answer& Ask(H2Wire& wire, uint32_t stream, const H2Fields& fields, std::string_view body = {}) {
    wire.Headers(stream, fields, body.empty());
    if (!body.empty()) wire.Data(stream, body, true);
    return Wait(wire, stream);
  }
  /// From now on the workload's pod is this one, which lives as long as the rig.
  H2Origin& UsePod(std::string settings) {
    auto pod = std::make_shared<H2Origin>(shard(), std::move(settings));
    AlsoStep([pod] { pod->Step(); });
    view().workloads.front().endpoints = {pod->address().text()};
    view().workloads.front().protocol = UpstreamProtocol::kHttp2;
    Publish();
    return *pod;
  }

 private:
  std::vector<std::unique_ptr<H2Wire>> wires_;
};

}  // namespace rouse::proxy::testing
