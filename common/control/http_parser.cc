#include "common/control/http_parser.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/status.hpp>

namespace rouse::control {
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Error = beast::error_code;

namespace {

std::string_view View(beast::string_view text) { return {text.data(), text.size()}; }

absl::Status StatusOf(const Error& error) {
  if (error == http::error::header_limit)
    return absl::ResourceExhaustedError("HTTP: head too large");
  if (error == http::error::body_limit) return absl::OutOfRangeError("HTTP: body too large");
  return absl::InvalidArgumentError("HTTP: " + error.message());
}

}  // namespace

class HttpParser::Machine {
 public:
  virtual ~Machine() = default;
  virtual size_t Put(std::string_view data, Error& error) = 0;
  virtual void PutEnd(Error& error) = 0;
  [[nodiscard]] virtual bool head_done() const = 0;
  [[nodiscard]] virtual bool done() const = 0;
  [[nodiscard]] virtual bool keep_alive() const = 0;
};

namespace {

/// The library's parser tells what it meets through virtual functions; this passes it on.
template <bool is_request>
class Machinery : public http::basic_parser<is_request> {
 public:
  Machinery(const HttpParser::Limits& limits, HttpParser::Events& events, bool no_body)
      : events_(events) {
    this->eager(true);
    this->header_limit(static_cast<std::uint32_t>(limits.head_bytes_max));
    if (limits.body_bytes_max == std::numeric_limits<uint64_t>::max()) {
      this->body_limit(boost::none);
    } else {
      this->body_limit(limits.body_bytes_max);
    }
    if constexpr (!is_request) this->skip(no_body);
  }

 private:
  void on_request_impl(http::verb, beast::string_view method, beast::string_view target,
                       int version, Error&) override {
    head_.method = View(method);
    head_.target = View(target);
    head_.version = version;
  }
  void on_response_impl(int status, beast::string_view, int version, Error&) override {
    head_.status = status;
    head_.version = version;
  }
  void on_field_impl(http::field, beast::string_view name, beast::string_view value,
                     Error&) override {
    if (head_told_) return;  // trailers
    head_.headers.push_back({std::string(View(name)), std::string(View(value))});
  }
  void on_header_impl(Error&) override {
    head_told_ = true;
    events_.on_head(std::move(head_));
  }
  void on_body_init_impl(boost::optional<std::uint64_t> const&, Error&) override {}
  std::size_t on_body_impl(beast::string_view body, Error&) override {
    events_.on_body(View(body));
    return body.size();
  }
  void on_chunk_header_impl(std::uint64_t, beast::string_view, Error&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view body, Error&) override {
    events_.on_body(View(body));
    return body.size();
  }
  void on_finish_impl(Error&) override {}

  HttpParser::Events& events_;
  HttpHead head_;
  bool head_told_ = false;
};

template <bool is_request, typename Base>
class MachineOf final : public Base {
 public:
  MachineOf(const HttpParser::Limits& limits, HttpParser::Events& events, bool no_body)
      : parser_(limits, events, no_body) {}
  size_t Put(std::string_view data, Error& error) override {
    return parser_.put(boost::asio::const_buffer(data.data(), data.size()), error);
  }
  void PutEnd(Error& error) override { parser_.put_eof(error); }
  [[nodiscard]] bool head_done() const override { return parser_.is_header_done(); }
  [[nodiscard]] bool done() const override { return parser_.is_done(); }
  [[nodiscard]] bool keep_alive() const override { return parser_.keep_alive(); }

 private:
  Machinery<is_request> parser_;
};

}  // namespace

HttpParser::HttpParser(Role role, Limits limits, Events events)
    : role_(role), limits_(limits), events_(std::move(events)) {
  Next();
}

HttpParser::~HttpParser() = default;

void HttpParser::Next(bool no_body) {
  if (role_ == Role::kRequests) {
    machine_ = std::make_unique<MachineOf<true, Machine>>(limits_, events_, false);
  } else {
    machine_ = std::make_unique<MachineOf<false, Machine>>(limits_, events_, no_body);
  }
}

absl::Status HttpParser::Feed(std::string_view data) {
  size_t used = 0;
  if (held_.empty()) {
    absl::Status status = Drain(data, &used);
    held_.assign(data.substr(used));
    return status;
  }
  held_.append(data);
  absl::Status status = Drain(held_, &used);
  held_.erase(0, used);
  return status;
}

absl::Status HttpParser::Drain(std::string_view data, size_t* used) {
  while (!machine_->done() && *used < data.size()) {
    Error error;
    const size_t taken = machine_->Put(data.substr(*used), error);
    *used += taken;
    if (error == http::error::need_more) return absl::OkStatus();
    if (error) return StatusOf(error);
    if (taken == 0) return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status HttpParser::FeedEnd() {
  Error error;
  machine_->PutEnd(error);
  if (error) return StatusOf(error);
  return absl::OkStatus();
}

bool HttpParser::head_done() const { return machine_->head_done(); }
bool HttpParser::done() const { return machine_->done(); }
bool HttpParser::keep_alive() const { return machine_->keep_alive(); }

bool ValidHeader(std::string_view name, std::string_view value) {
  if (name.empty()) return false;
  for (const char c : name) {
    const bool token = absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                       std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
    if (!token) return false;
  }
  for (const char c : value) {
    if (c == '\r' || c == '\n' || c == '\0') return false;
  }
  return true;
}

bool HasToken(std::string_view value, std::string_view token) {
  while (true) {
    const size_t comma = value.find(',');
    const absl::string_view part =
        absl::StripAsciiWhitespace({value.data(), std::min(comma, value.size())});
    if (absl::EqualsIgnoreCase(part, {token.data(), token.size()})) return true;
    if (comma == std::string_view::npos) return false;
    value.remove_prefix(comma + 1);
  }
}

std::string_view ReasonOf(int status) {
  return View(http::obsolete_reason(http::int_to_status(static_cast<unsigned>(status))));
}

}  // namespace rouse::control
