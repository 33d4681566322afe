#pragma once
// What:      an H1Server on one end of a pipe in simulated time, and the test as its client on the
//            other. What a request gets is chosen by its path (see Serve).
// Owner:     the test. One thread.
// Invariant: a message sent through Exchange arrives at every split of the pipe's seed; output is
//            read as it comes.

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/http/h1_server.h"
#include "tests/support/control/sim_clock.h"
#include "tests/support/net/pipe_transport.h"
#include "tests/support/net/sim_shards.h"

namespace rouse::http::testing {

class ServerRig final : public StreamHandler {
 public:
  struct Setup {
    H1Options options = {};
    net::testing::PipeOptions pipe = {};
    net::ShardLimits limits = {};
  };
  explicit ServerRig(Setup setup);
  ServerRig() : ServerRig(Setup{}) {}
  ~ServerRig() override;

  /// Sends and runs until nothing is left to do; `each`: that many bytes at a time.
  void Send(std::string_view bytes, size_t each = SIZE_MAX);
  void Run();
  void Advance(Duration by);
  /// All that has come back since the last call.
  [[nodiscard]] std::string Take();
  /// Sends, and takes what comes back.
  [[nodiscard]] std::string Ask(std::string_view bytes, size_t each = SIZE_MAX) {
    Send(bytes, each);
    return Take();
  }
  void SendFin() {
    client_->ShutdownWrite();
    Run();
  }
  void Reset() {
    client_->Close(true);
    Run();
  }
  /// Lets requests for /hold go on.
  void OpenGate() {
    gate_.Signal();
    Run();
  }
  /// The client does not read until told otherwise.
  void StopReading(bool stop) { deaf_ = stop; }

  [[nodiscard]] bool ended() const { return ended_; }    ///< FIN has arrived at the client
  [[nodiscard]] bool reset() const { return reset_; }    ///< or a reset
  [[nodiscard]] bool closed() const { return closed_; }  ///< OnConnectionClosed was called
  [[nodiscard]] H1Server& server() { return *server_; }
  [[nodiscard]] net::Shard& shard() { return shards_.shard(); }
  [[nodiscard]] const std::vector<std::string>& seen() const { return seen_; }
  [[nodiscard]] bool told_gone() const { return told_gone_; }
  [[nodiscard]] size_t parked_bytes() const { return parked_bytes_; }
  [[nodiscard]] size_t loaned_most() const { return loaned_most_; }
  [[nodiscard]] uint64_t received() const { return received_; }

 private:
  void OnStream(ServerStream& stream) override;
  void OnBadRequest(ServerStream& stream, const Error& error) override;
  void OnConnectionClosed() override { closed_ = true; }

  net::Task<void> Serve(ServerStream& stream);
  net::Task<void> Hold(ServerStream& stream);
  net::Task<void> Echo(ServerStream& stream);
  net::Task<void> Tunnel(ServerStream& stream);
  net::Task<void> Pour(ServerStream& stream);
  net::Task<void> Reply(ServerStream& stream, int status, std::string body);
  net::Task<Error> ReadBody(ServerStream& stream, std::string& body);
  net::Task<Error> Copy(BodyReader& from, BodyWriter& to);
  void ReadClient();
  [[nodiscard]] TimePoint soon() { return Later(shard().now(), std::chrono::hours(1)); }

  SimClock clock_;
  net::testing::SimShards shards_;
  H1Options options_;
  std::unique_ptr<net::testing::PipeTransport> client_;
  std::unique_ptr<H1Server> server_;
  net::Event gate_;
  std::vector<std::string> seen_;
  std::string output_;
  uint64_t received_ = 0;
  size_t parked_bytes_ = 0;
  size_t loaned_most_ = 0;
  bool ended_ = false;
  bool reset_ = false;
  bool closed_ = false;
  bool deaf_ = false;
  bool told_gone_ = false;
};

/// The status codes of the responses in `output`, in order, as "200 404"; bodies are not looked
/// into, so test bodies must not hold the text "HTTP/1.1 ".
[[nodiscard]] std::string Statuses(std::string_view output);

}  // namespace rouse::http::testing
