#include "common/control/real_network.h"

#include <utility>

#include "common/control/asio_loop.h"
#include "common/control/http_client.h"
#include "common/control/http_server.h"
#include "common/control/web_socket.h"

namespace rouse::control {
namespace {

class AsioNetwork final : public RealNetwork {
 public:
  AsioNetwork(const Clock& clock, obs::Log& log) : log_(log), loop_(clock) {}

  Loop& loop() override { return loop_; }
  std::unique_ptr<HttpClient> NewClient(Origin origin) override {
    return NewHttpClient(loop_, std::move(origin));
  }
  absl::StatusOr<std::unique_ptr<HttpListener>> Listen(ListenOptions options,
                                                       HttpService& service) override {
    return ListenHttp(loop_, log_, std::move(options), service);
  }
  std::unique_ptr<MessageChannel> Dial(Origin origin, std::string target, Headers headers,
                                       MessageLimits limits, MessageHandlers handlers) override {
    return DialWebSocket(loop_, std::move(origin), std::move(target), std::move(headers), limits,
                         std::move(handlers));
  }
  void Run() override { loop_.Run(); }
  void Stop() override { loop_.Stop(); }
  bool RunUntil(absl::FunctionRef<bool()> done, Duration most) override {
    return loop_.RunUntil(done, most);
  }
  void OnSignal(int signal, absl::AnyInvocable<void()> told) override {
    loop_.OnSignal(signal, std::move(told));
  }

 private:
  obs::Log& log_;
  AsioLoop loop_;
};

}  // namespace

std::unique_ptr<RealNetwork> NewRealNetwork(const Clock& clock, obs::Log& log) {
  return std::make_unique<AsioNetwork>(clock, log);
}

}  // namespace rouse::control
