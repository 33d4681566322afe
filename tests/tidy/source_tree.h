#pragma once
// What:  SourceTree: the checkout as the tidy tests read it, every file in lines, code apart from
//        comments and strings.
// Owner: one per test run, read once.

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace rouse::tidy {

struct SourceFile {
  std::string path;                ///< from the root, with '/'
  std::vector<std::string> lines;  ///< as written
  std::vector<std::string> code;   ///< comments and contents of strings replaced by spaces

  [[nodiscard]] bool is_header() const;
  [[nodiscard]] bool is_cpp() const;
  /// The path without its ending: x.h and x.cc are one unit.
  [[nodiscard]] std::string unit() const;
};

struct Include {
  std::string target;
  bool quoted = false;
  size_t line = 0;
};

/// Every file of the project's folders (build output and dotfolders left out), sorted by path.
[[nodiscard]] std::vector<SourceFile> ReadTree(const std::filesystem::path& root);
[[nodiscard]] std::vector<Include> IncludesOf(const SourceFile& file);
/// The first lines of tests/tidy/layers.txt that begin with `keyword`, split at spaces, keyword
/// left out.
[[nodiscard]] std::vector<std::vector<std::string>> Rules(const std::filesystem::path& root,
                                                          std::string_view keyword);
/// `path` is `prefix` or lies below it.
[[nodiscard]] bool Below(std::string_view path, std::string_view prefix);

}  // namespace rouse::tidy
