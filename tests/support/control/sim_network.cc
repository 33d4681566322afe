#include "tests/support/control/sim_network.h"

#include <utility>

namespace rouse::control {

std::unique_ptr<HttpClient> SimNetwork::NewClient(Origin origin) {
  return NewSimClient(core_, std::move(origin));
}

std::unique_ptr<MessageChannel> SimNetwork::Dial(Origin origin, std::string target, Headers headers,
                                                 MessageLimits limits, MessageHandlers handlers) {
  return DialSim(core_, std::move(origin), std::move(target), std::move(headers), limits,
                 std::move(handlers));
}

absl::StatusOr<std::unique_ptr<HttpListener>> SimNetwork::Listen(ListenOptions options,
                                                                 HttpService& service) {
  if (options.port == 0) options.port = core_.NewPort();
  const bool any = options.host == "0.0.0.0" || options.host == "::";
  const std::string place = (any ? "*" : options.host) + ":" + std::to_string(options.port);
  auto listener = std::make_unique<SimListener>(core_, std::move(options), service);
  if (!core_.Open(place, listener.get())) {
    return absl::FailedPreconditionError("listen on " + place + ": Address already in use");
  }
  return listener;
}

void SimNetwork::SetLink(const std::string& place, SimLink link) { core_.SetLink(place, link); }

void SimNetwork::Cut(const std::string& place) {
  for (const auto& connection : core_.Connections()) {
    if (place == "*" || connection->place() == place) {
      connection->CutNow(absl::UnavailableError("read: Connection reset by peer"));
    }
  }
}

size_t SimNetwork::open_connections() const { return core_.Connections().size(); }

}  // namespace rouse::control
