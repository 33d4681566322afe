#pragma once
// What:   cuts JSON text into the parts we hand on: a list into its items, a watch's document into
//         type and object, without building either.
// Owner:  functions; the views point into the argument. Any thread; pure.
// Limits: none of its own: what comes in is bounded (ApiLimits, JsonStreamLimits); no recursion.
// Never:  judges what is inside a part; its decoder does.

#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

namespace rouse::k8s {

struct ListPage {
  std::string resource_version;
  std::string continue_token;  ///< empty on the last page
  std::vector<std::string_view> items;
};

[[nodiscard]] absl::StatusOr<ListPage> SplitList(std::string_view body);

struct WatchDocument {
  std::string_view type;  ///< "ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"
  std::string_view object;
};

[[nodiscard]] absl::StatusOr<WatchDocument> SplitWatchDocument(std::string_view document);

}  // namespace rouse::k8s
