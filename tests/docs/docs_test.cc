// The pages of deploy/docs/ against the sources: each table between `<!-- NAME -->` and
// `<!-- end -->` is what the program has. What the pages should be is written to build/docs, from
// where it is copied.
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <vector>

#include <catch2/catch.hpp>

#include "autoscaler/config.h"
#include "autoscaler/metrics.h"
#include "common/app/options.h"
#include "k8s/objects/workload_policy.h"
#include "proxy/config.h"
#include "proxy/control/kubernetes_side.h"
#include "proxy/exchange/local_reply.h"
#include "proxy/telemetry/shard_stats.h"
#include "proxy/tls_material.h"

namespace rouse {
namespace {

namespace fs = std::filesystem;

std::string Read(const fs::path& path) {
  std::ifstream file(path);  // runners start in the root
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

template <typename Config, typename Add>
std::string OptionTable(const char* program, Add add) {
  Config config;
  app::Options options(program, "0", "docs");
  add(options, config);
  return options.HelpMarkdown();
}

std::string ErrorTable() {
  std::string table = "| Code | HTTP | gRPC | What |\n|---|---|---|---|\n";
  for (size_t i = 1; i < kErrorKinds; ++i) {
    const proxy::ReplyRow& row = proxy::RowOf(static_cast<ErrorKind>(i));
    table += "| `" + std::string(CodeOf(row.kind)) + "` | " + std::to_string(row.status) + " | " +
             std::to_string(row.grpc) + " | " + std::string(row.text) +
             (row.retry_later ? "; `Retry-After`" : "") + (row.close ? "; closes" : "") + " |\n";
  }
  return table;
}

const std::map<std::string, std::function<std::string()>>& Tables() {
  static const std::map<std::string, std::function<std::string()>> tables = {
      {"annotations", [] { return k8s::PolicyTableMarkdown(); }},
      {"errors", [] { return ErrorTable(); }},
      {"proxy options",
       [] { return OptionTable<proxy::Config>("rouse-proxy", proxy::AddOptions); }},
      {"autoscaler options",
       [] { return OptionTable<autoscaler::Config>("rouse-autoscaler", autoscaler::AddOptions); }},
      {"proxy metrics",
       [] {
         return proxy::MetricTable() + proxy::TlsMaterial::MetricTable() +
                proxy::KubernetesSide::MetricTable();
       }},
      {"autoscaler metrics", [] { return autoscaler::MetricTableMarkdown(); }}};
  return tables;
}

/// The page with each of its tables as the source has it; the tables' names go to `used`.
std::string Filled(const std::string& page, std::multiset<std::string>& used) {
  std::string filled;
  size_t at = 0;
  while (true) {
    const size_t open = page.find("<!-- ", at);
    if (open == std::string::npos) return filled + page.substr(at);
    const size_t close = page.find(" -->\n", open);
    const size_t end = page.find("<!-- end -->", close);
    REQUIRE(close != std::string::npos);
    REQUIRE(end != std::string::npos);
    const std::string name = page.substr(open + 5, close - open - 5);
    CAPTURE(name);
    const auto table = Tables().find(name);
    REQUIRE(table != Tables().end());
    used.insert(name);
    filled += page.substr(at, close + 5 - at) + table->second() + "<!-- end -->";
    at = end + 12;
  }
}

TEST_CASE("every table of docs is what the programs have, and each has its page") {
  std::multiset<std::string> used;
  const fs::path fresh = "build/docs";
  fs::create_directories(fresh);
  for (const auto& entry : fs::directory_iterator("deploy/docs")) {
    if (entry.path().extension() != ".md") continue;
    const std::string page = Read(entry.path());
    const std::string filled = Filled(page, used);
    std::ofstream(fresh / entry.path().filename()) << filled;
    INFO(entry.path() << " differs from the sources: cp build/docs/*.md deploy/docs/");
    CHECK((page == filled));
  }
  for (const auto& [name, table] : Tables()) {
    CAPTURE(name);
    CHECK(used.count(name) == 1);
  }
}

/// Every test by the file it is in; a title that is written in two pieces is put together.
std::map<std::string, std::string> TestFiles() {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator("tests")) {
    const std::string ending = entry.path().extension();
    if (ending != ".cc" && ending != ".py") continue;
    std::string text = Read(entry.path());
    static const std::regex pieces("\"\n *\"");
    files[entry.path().filename()] += std::regex_replace(text, pieces, "");
  }
  return files;
}

/// `file`: title; title; `file`: title -> pairs.
std::vector<std::pair<std::string, std::string>> NamedTests(const std::string& cell) {
  std::vector<std::pair<std::string, std::string>> named;
  static const std::regex one("(?:`([^`]+)`: )?([^;]+)(?:; |$)");
  std::string file;
  for (std::sregex_iterator at(cell.begin(), cell.end(), one), end; at != end; ++at) {
    if ((*at)[1].matched) file = (*at)[1];
    named.emplace_back(file, (*at)[2]);
  }
  return named;
}

TEST_CASE("each test that shows a client's duty exists") {
  const std::map<std::string, std::string> files = TestFiles();
  std::stringstream readme(Read("k8s/README.md"));
  static const std::regex row(R"(\| (\d+) \| (.*) \| (.*) \|)");
  int rows = 0;
  for (std::string line; std::getline(readme, line);) {
    std::smatch parts;
    if (!std::regex_match(line, parts, row)) continue;
    CHECK(std::stoi(parts[1]) == ++rows);
    for (const auto& [file, title] : NamedTests(parts[3])) {
      CAPTURE(line, file, title);
      REQUIRE(files.count(file) == 1);
      CHECK(files.at(file).find(title) != std::string::npos);
    }
  }
  CHECK(rows == 45);
}

TEST_CASE("troubleshooting has a line for every error code") {
  const std::string page = Read("deploy/docs/troubleshooting.md");
  for (size_t i = 1; i < kErrorKinds; ++i) {
    const std::string cell = "| `" + std::string(CodeOf(static_cast<ErrorKind>(i))) + "` | ";
    INFO(cell);
    CHECK(page.find(cell) != std::string::npos);
  }
}

}  // namespace
}  // namespace rouse
