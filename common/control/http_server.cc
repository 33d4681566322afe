#include "common/control/http_server.h"

#include <set>
#include <utility>

#include "common/control/http_session.h"
#include "common/control/tcp.h"

namespace rouse::control {
namespace {

class RealHttpListener final : public HttpListener {
 public:
  RealHttpListener(AsioLoop& loop, obs::Log& log, ListenOptions options, HttpService& service)
      : loop_(loop), log_(log), options_(std::move(options)), service_(service) {}

  ~RealHttpListener() override {
    accepting_ = nullptr;
    // Cutting a session may destroy what others of the service look at: the table is empty by then.
    const std::set<std::shared_ptr<HttpSession>> sessions = std::exchange(sessions_, {});
    for (const auto& session : sessions) session->Cut();
  }

  absl::Status Open() {
    TlsContext tls;
    if (options_.tls) {
      absl::StatusOr<TlsContext> made = NewServerContext(*options_.tls);
      if (!made.ok()) return made.status();
      tls = *std::move(made);
    }
    auto accepting =
        Accept(loop_, log_, options_, std::move(tls),
               [this](std::unique_ptr<ByteStream> stream) { Take(std::move(stream)); });
    if (!accepting.ok()) return accepting.status();
    accepting_ = *std::move(accepting);
    port_ = accepting_->port();
    return absl::OkStatus();
  }

  [[nodiscard]] uint16_t port() const override { return port_; }
  void StopAccepting() override { accepting_ = nullptr; }

 private:
  void Take(std::unique_ptr<ByteStream> stream) {
    const auto open = static_cast<size_t>(ticket_.use_count() - 1);  // WebSockets too
    if (open >= options_.connections_max) {
      log_.Warn("connection_refused",
                {{"port", port_}, {"connections_max", options_.connections_max}});
      return;
    }
    stream->ticket = ticket_;
    auto session = std::make_shared<HttpSession>(
        loop_, options_, service_, std::move(stream),
        [this](HttpSession* over) { sessions_.erase(over->shared_from_this()); });
    sessions_.insert(session);
    session->Start();
  }

  AsioLoop& loop_;
  obs::Log& log_;
  const ListenOptions options_;
  HttpService& service_;
  std::unique_ptr<Accepting> accepting_;
  std::set<std::shared_ptr<HttpSession>> sessions_;
  std::shared_ptr<void> ticket_ = std::make_shared<char>();
  uint16_t port_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpListener>> ListenHttp(AsioLoop& loop, obs::Log& log,
                                                         ListenOptions options,
                                                         HttpService& service) {
  auto listener = std::make_unique<RealHttpListener>(loop, log, std::move(options), service);
  absl::Status opened = listener->Open();
  if (!opened.ok()) return opened;
  return listener;
}

}  // namespace rouse::control
