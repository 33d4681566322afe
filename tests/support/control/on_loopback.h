#pragma once
// What:  OnLoopback, a RealNetwork with what a test needs round it; RawSocket, bytes as they are on
//        the wire; ScriptedService and Recorder, a service and a call that note what happens to
//        them.
// Owner: one test case each.
// Never: waits longer than kPatience; uses a fixed port.

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/control/real_network.h"
#include "common/obs/log.h"

namespace rouse::control {

inline constexpr Duration kPatience = std::chrono::seconds(10);

struct OnLoopback {
  SteadyClock clock;
  std::vector<std::string> log_lines;
  obs::Log log;
  std::unique_ptr<RealNetwork> network;

  OnLoopback();
  /// Runs the loop until `done`; false where that takes longer than `most`.
  bool Until(absl::FunctionRef<bool()> done, Duration most = kPatience);
  /// Runs the loop for `time`.
  void For(Duration time);
  /// How many lines of the log have `text` in them, so far.
  [[nodiscard]] size_t Logged(std::string_view text);
  std::unique_ptr<HttpListener> Listen(HttpService& service, ListenOptions options = {});
  [[nodiscard]] static Origin At(uint16_t port);
};

/// A plain socket on loopback, in either role, that never blocks.
class RawSocket {
 public:
  RawSocket() = default;
  explicit RawSocket(int descriptor) : descriptor_(descriptor) {}
  ~RawSocket();
  RawSocket(RawSocket&& other) noexcept : descriptor_(other.descriptor_) { other.descriptor_ = -1; }
  RawSocket& operator=(RawSocket&& other) noexcept;

  [[nodiscard]] static RawSocket Connect(uint16_t port);
  /// A listening socket, with its port.
  [[nodiscard]] static RawSocket Listen(uint16_t* port);
  /// The next connection; not open() where there is none yet.
  [[nodiscard]] RawSocket Accept();
  void Send(std::string_view data) const;
  void EndSending() const;
  /// Takes in what has come; all that ever came.
  const std::string& Received();
  /// The peer has ended or reset the connection.
  bool Ended();
  [[nodiscard]] bool open() const { return descriptor_ >= 0; }
  void Close();

 private:
  int descriptor_ = -1;
  std::string received_;
  bool ended_ = false;
};

/// Keeps each request with its responder, or answers at once through `on_request`.
struct ScriptedService : HttpService {
  struct Taken {
    IncomingRequest request;
    std::unique_ptr<HttpResponder> responder;
  };
  std::deque<Taken> taken;
  std::function<void(Taken)> on_request;
  void Serve(IncomingRequest request, std::unique_ptr<HttpResponder> responder) override;
};

/// What became of one call.
struct Recorder {
  int status = 0;
  Headers headers;
  std::string body;
  std::vector<std::string> pieces;
  int ends = 0;
  absl::Status end = absl::UnknownError("not ended");
  HttpHandlers Handlers();
  [[nodiscard]] bool ended() const { return ends > 0; }
};

/// What became of one channel.
struct ChannelRecorder {
  int opens = 0;
  int closes = 0;
  std::vector<std::string> messages;
  std::vector<bool> binary;
  absl::Status close = absl::UnknownError("not closed");
  MessageHandlers Handlers();
};

}  // namespace rouse::control
