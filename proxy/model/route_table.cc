#include "proxy/model/route_table.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <tuple>
#include <utility>

#include <absl/container/flat_hash_map.h>
#include <absl/strings/string_view.h>

#include "common/base/check.h"

namespace rouse::proxy {

namespace {

absl::string_view Key(std::string_view text) { return {text.data(), text.size()}; }

/// "/api/" and "/api" say the same; the root is the empty text.
std::string_view Trimmed(std::string_view prefix) {
  while (!prefix.empty() && prefix.back() == '/') prefix.remove_suffix(1);
  return prefix;
}

bool CoversSegment(std::string_view path, std::string_view prefix) {
  if (!path.starts_with(prefix)) return false;
  return prefix.empty() || path.size() == prefix.size() || path[prefix.size()] == '/';
}

/// Beyond this many prefixes a host finds its prefix by hash, one look for each distinct length.
constexpr size_t kScanMost = 8;

struct HostPaths {
  size_t begin = 0;
  size_t count = 0;
  std::vector<size_t> lengths;  ///< distinct, longest first; only where count > kScanMost
  absl::flat_hash_map<absl::string_view, size_t> by_path;

  const Route* Find(std::span<const Route> routes, std::string_view path) const {
    if (lengths.empty()) {
      for (const Route& route : routes.subspan(begin, count)) {
        if (CoversSegment(path, Trimmed(route.path_prefix))) return &route;
      }
      return nullptr;
    }
    for (const size_t length : lengths) {
      if (length > path.size()) continue;
      const bool at_boundary = length == 0 || length == path.size() || path[length] == '/';
      if (!at_boundary) continue;
      const auto found = by_path.find(Key(path.substr(0, length)));
      if (found != by_path.end()) return &routes[found->second];
    }
    return nullptr;
  }
};

}  // namespace

struct RouteTable::Hosts {
  absl::flat_hash_map<absl::string_view, HostPaths> exact;
  absl::flat_hash_map<absl::string_view, HostPaths> suffix;  ///< by ".example.com"
  HostPaths any;
};

RouteTable::RouteTable(std::vector<Route> routes) : hosts_(std::make_unique<Hosts>()) {
  const auto path_of = [](const Route& route) { return Trimmed(route.path_prefix); };
  // By host, the longest path first, and what was given first before its equals.
  std::vector<size_t> order(routes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const std::string_view a_path = path_of(routes[a]);
    const std::string_view b_path = path_of(routes[b]);
    const size_t a_size = a_path.size();
    const size_t b_size = b_path.size();
    return std::tie(routes[a].host, b_size, a_path, a) <
           std::tie(routes[b].host, a_size, b_path, b);
  });
  routes_.reserve(routes.size());
  for (const size_t at : order) {
    const bool again = !routes_.empty() && routes_.back().host == routes[at].host &&
                       path_of(routes_.back()) == path_of(routes[at]);
    if (!again) routes_.push_back(std::move(routes[at]));
  }

  for (size_t begin = 0; begin < routes_.size();) {
    size_t end = begin;
    HostPaths paths{.begin = begin, .count = 0, .lengths = {}, .by_path = {}};
    while (end < routes_.size() && routes_[end].host == routes_[begin].host) ++end;
    paths.count = end - begin;
    for (size_t i = begin; paths.count > kScanMost && i < end; ++i) {
      const std::string_view path = path_of(routes_[i]);
      if (paths.lengths.empty() || paths.lengths.back() != path.size()) {
        paths.lengths.push_back(path.size());
      }
      paths.by_path.emplace(Key(path), i);
    }
    const std::string_view host = routes_[begin].host;
    if (host == "*") {
      hosts_->any = std::move(paths);
    } else if (host.starts_with("*.")) {
      hosts_->suffix.emplace(Key(host.substr(1)), std::move(paths));
    } else {
      hosts_->exact.emplace(Key(host), std::move(paths));
    }
    begin = end;
  }
}

RouteTable::~RouteTable() = default;

const Route* RouteTable::Match(std::string_view host, std::string_view path) const {
  path = path.substr(0, path.find('?'));
  if (const auto found = hosts_->exact.find(Key(host)); found != hosts_->exact.end()) {
    if (const Route* route = found->second.Find(routes_, path)) return route;
  }
  if (!hosts_->suffix.empty()) {
    // The first label must not be empty, so a dot at the very front is no boundary.
    for (size_t dot = host.find('.', 1); dot < host.size(); dot = host.find('.', dot + 1)) {
      const auto found = hosts_->suffix.find(Key(host.substr(dot)));
      if (found == hosts_->suffix.end()) continue;
      if (const Route* route = found->second.Find(routes_, path)) return route;
    }
  }
  return hosts_->any.count == 0 ? nullptr : hosts_->any.Find(routes_, path);
}

void RouteTable::CheckInvariants() const {
  size_t reached = hosts_->any.count;
  for (const auto& [host, paths] : hosts_->exact) reached += paths.count;
  for (const auto& [host, paths] : hosts_->suffix) reached += paths.count;
  CHECK(reached == routes_.size());
  for (size_t i = 1; i < routes_.size(); ++i) CHECK(routes_[i - 1].host <= routes_[i].host);
}

}  // namespace rouse::proxy
