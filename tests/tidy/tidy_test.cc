// The rules of the tree, checked: layers, rooms of libraries, cycles, sizes, room cards, banned
// words, tests for every unit, nothing unused, links. Each failure names file, line and what to do.

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <regex>
#include <set>

#include <catch2/catch.hpp>

#include "tests/tidy/source_tree.h"

namespace rouse::tidy {
namespace {

const std::filesystem::path& Root() {
  static const std::filesystem::path root = ROUSE_SOURCE_DIR;
  return root;
}

const std::vector<SourceFile>& Tree() {
  static const std::vector<SourceFile> tree = ReadTree(Root());
  return tree;
}

std::string At(const SourceFile& file, size_t line) {
  return file.path + ":" + std::to_string(line);
}

/// Reports all breaches of a rule at once.
void Report(const std::vector<std::string>& breaches) {
  for (const std::string& breach : breaches) UNSCOPED_INFO(breach);
  CHECK(breaches.empty());
}

struct Layer {
  int level;
  std::string path;
};

/// The module that a path lies in: the longest layer path that is a prefix.
std::optional<Layer> LayerOf(std::string_view path) {
  static const auto rules = Rules(Root(), "layer");
  std::optional<Layer> best;
  for (const auto& rule : rules) {
    if (Below(path, rule[1]) && (!best || rule[1].size() > best->path.size())) {
      best = Layer{std::stoi(rule[0]), rule[1]};
    }
  }
  return best;
}

/// The position of a path in its module's inner order; nullopt where it has none.
std::optional<size_t> InnerOrder(std::string_view path, const std::string& module) {
  for (const auto& rule : Rules(Root(), "inner")) {
    if (rule[0] != module) continue;
    for (size_t i = 1; i < rule.size(); ++i) {
      const std::string part = module + "/" + rule[i];
      if (Below(path, part) || path == part + ".h" || path == part + ".cc") return i;
    }
  }
  return std::nullopt;
}

TEST_CASE("an include goes downwards, never to a sibling") {
  static const auto apart = Rules(Root(), "apart");
  std::vector<std::string> breaches;
  for (const SourceFile& file : Tree()) {
    if (!file.is_cpp()) continue;
    const auto from = LayerOf(file.path);
    for (const Include& include : IncludesOf(file)) {
      if (!include.quoted) continue;
      const auto to = LayerOf(include.target);
      if (!to) {
        if (include.target.find(".pb.h") != std::string::npos) continue;
        breaches.push_back(At(file, include.line) + " includes " + include.target +
                           ": not from the root");
        continue;
      }
      if (!from) continue;
      if (to->path != from->path && to->level >= from->level) {
        breaches.push_back(At(file, include.line) + ": " + from->path + " may not include " +
                           to->path);
      }
      for (const auto& rule : apart) {
        if (Below(file.path, rule[0]) && Below(include.target, rule[1])) {
          breaches.push_back(At(file, include.line) + ": " + rule[0] + " and " + rule[1] +
                             " are apart");
        }
      }
      const auto inner_from = InnerOrder(file.path, from->path);
      const auto inner_to = InnerOrder(include.target, from->path);
      if (inner_from && inner_to && *inner_to > *inner_from) {
        breaches.push_back(At(file, include.line) + ": " + include.target + " lies above " +
                           file.path);
      }
    }
  }
  Report(breaches);
}

TEST_CASE("a library's headers stay in their room") {
  static const auto rooms = Rules(Root(), "room");
  std::vector<std::string> breaches;
  for (const SourceFile& file : Tree()) {
    if (!file.is_cpp()) continue;
    for (const Include& include : IncludesOf(file)) {
      if (include.quoted) continue;
      bool has_room = false;
      bool inside = false;
      for (const auto& rule : rooms) {
        if (include.target.rfind(rule[0], 0) != 0) continue;
        has_room = true;
        const bool ending = file.path.substr(file.path.rfind('.')) == rule[2];
        inside = inside || (Below(file.path, rule[1]) && ending);
      }
      if (has_room && !inside) {
        breaches.push_back(At(file, include.line) + ": <" + include.target + "> outside its room");
      }
    }
  }
  Report(breaches);
}

TEST_CASE("units do not include each other in a circle") {
  std::map<std::string, std::set<std::string>> graph;
  for (const SourceFile& file : Tree()) {
    if (!file.is_cpp()) continue;
    for (const Include& include : IncludesOf(file)) {
      if (!include.quoted) continue;
      const std::string target = include.target.substr(0, include.target.rfind('.'));
      if (target != file.unit()) graph[file.unit()].insert(target);
    }
  }
  std::set<std::string> done;
  std::vector<std::string> path;
  std::vector<std::string> breaches;
  std::function<void(const std::string&)> visit = [&](const std::string& unit) {
    const auto on_path = std::find(path.begin(), path.end(), unit);
    if (on_path != path.end()) {
      std::string circle;
      for (auto it = on_path; it != path.end(); ++it) circle += *it + " -> ";
      breaches.push_back(circle + unit);
      return;
    }
    if (done.count(unit) != 0) return;
    path.push_back(unit);
    for (const std::string& next : graph[unit]) visit(next);
    path.pop_back();
    done.insert(unit);
  };
  std::vector<std::string> units;
  for (const auto& [unit, unused] : graph) units.push_back(unit);
  for (const std::string& unit : units) visit(unit);
  Report(breaches);
}

size_t Indent(const std::string& line) {
  const size_t at = line.find_first_not_of(' ');
  return at == std::string::npos ? line.size() : at;
}

/// Whether a line of code opens a function's body (not a type, a namespace, an initialiser or a
/// branch).
bool OpensFunction(const std::string& line) {
  static const std::regex kOpens(
      R"(\)\s*(const|noexcept|override|final|mutable|->\s*[^{;]+|\s)*\{\s*$)");
  static const std::regex kBranch(
      R"(^\s*(\}\s*)?(if|for|while|switch|else|do|catch|TEST_CASE|SECTION)\b)");
  return std::regex_search(line, kOpens) && !std::regex_search(line, kBranch);
}

TEST_CASE("files, functions and lines keep their size") {
  constexpr size_t kFileLines = 500;
  constexpr size_t kFunctionLines = 70;
  constexpr size_t kLineColumns = 100;
  std::vector<std::string> breaches;
  for (const SourceFile& file : Tree()) {
    if (file.path.find(".md") != std::string::npos || file.path.find(".txt") != std::string::npos)
      continue;
    if (file.lines.size() > kFileLines) {
      breaches.push_back(file.path + ": " + std::to_string(file.lines.size()) + " lines");
    }
    if (!file.is_cpp()) continue;
    for (size_t i = 0; i < file.lines.size(); ++i) {
      if (file.lines[i].size() > kLineColumns)
        breaches.push_back(At(file, i + 1) + ": line too long");
      if (!OpensFunction(file.code[i])) continue;
      // The body ends where a brace closes at the indent of the line that opened the statement.
      size_t start = i;
      while (start > 0 && Indent(file.code[start]) > 2 && !file.code[start - 1].empty() &&
             file.code[start - 1].find_first_of(";{}") == std::string::npos) {
        --start;
      }
      const size_t indent = Indent(file.code[start]);
      if (indent > 2) continue;
      for (size_t j = i + 1; j < file.code.size(); ++j) {
        if (Indent(file.code[j]) != indent || file.code[j].compare(indent, 1, "}") != 0) continue;
        if (j - start + 1 > kFunctionLines) {
          breaches.push_back(At(file, start + 1) + ": function of " +
                             std::to_string(j - start + 1) + " lines");
        }
        break;
      }
    }
  }
  Report(breaches);
}

TEST_CASE("every header opens with its room card") {
  std::vector<std::string> breaches;
  for (const SourceFile& file : Tree()) {
    if (!file.is_header()) continue;
    const bool once = !file.lines.empty() && file.lines[0] == "#pragma once";
    const bool card = file.lines.size() > 1 && file.lines[1].rfind("// What:", 0) == 0;
    if (!once) breaches.push_back(file.path + ": does not open with #pragma once");
    if (!card) breaches.push_back(file.path + ": no room card (// What: ...) after #pragma once");
  }
  Report(breaches);
}

TEST_CASE("banned words stay out of the code") {
  static const auto banned = Rules(Root(), "banned");
  std::vector<std::string> breaches;
  for (const auto& rule : banned) {
    const std::regex word("(^|[^A-Za-z0-9_:])" + rule[0] + "($|[^A-Za-z0-9_])");
    for (const SourceFile& file : Tree()) {
      if (!file.is_cpp()) continue;
      const bool room = std::any_of(rule.begin() + 2, rule.end(), [&](const std::string& prefix) {
        return Below(file.path, prefix);
      });
      if (room) continue;
      for (size_t i = 0; i < file.code.size(); ++i) {
        if (file.code[i].find(rule[0]) != std::string::npos &&
            std::regex_search(file.code[i], word)) {
          breaches.push_back(At(file, i + 1) + ": " + rule[0] + ": use " + rule[1]);
        }
      }
    }
  }
  Report(breaches);
}

TEST_CASE("a naked new, a catch or a TODO without its issue does not land") {
  static const std::regex kNew(R"((^|[=(,\s])new\s+[A-Za-z_:])");
  static const std::regex kCatch(R"((^|[\s}])catch\s*\()");
  static const std::regex kTodo(R"(\b(TODO|FIXME|XXX)\b(?!\(#[0-9]+\)))");
  std::vector<std::string> breaches;
  for (const SourceFile& file : Tree()) {
    if (!file.is_cpp()) continue;
    const auto includes = IncludesOf(file);
    const bool yaml = std::any_of(includes.begin(), includes.end(), [](const Include& i) {
      return i.target.rfind("yaml-cpp", 0) == 0;
    });
    for (size_t i = 0; i < file.code.size(); ++i) {
      if (std::regex_search(file.code[i], kNew))
        breaches.push_back(At(file, i + 1) + ": naked new");
      if (!yaml && std::regex_search(file.code[i], kCatch))
        breaches.push_back(At(file, i + 1) + ": catch");
      if (!Below(file.path, "tests/tidy") && std::regex_search(file.lines[i], kTodo)) {
        breaches.push_back(At(file, i + 1) + ": TODO without an issue");
      }
    }
  }
  Report(breaches);
}

TEST_CASE("every unit is tested, every header used") {
  std::set<std::string> exempt;
  for (const auto& rule : Rules(Root(), "untested")) exempt.insert(rule[0]);
  std::map<std::string, std::set<std::string>> included_by;  // header -> units
  for (const SourceFile& file : Tree()) {
    if (!file.is_cpp()) continue;
    for (const Include& include : IncludesOf(file)) included_by[include.target].insert(file.unit());
  }
  std::vector<std::string> breaches;
  for (const SourceFile& file : Tree()) {
    if (!file.is_header() || Below(file.path, "tests")) continue;
    const auto& users = included_by[file.path];
    const bool used = std::any_of(users.begin(), users.end(), [&](const std::string& unit) {
      return unit != file.unit() && !Below(unit, "tests");
    });
    const bool tested = std::any_of(users.begin(), users.end(),
                                    [](const std::string& unit) { return Below(unit, "tests"); });
    const std::string mirror = "tests/unit/" + file.unit() + "_test.cc";
    const bool mirrored = std::filesystem::exists(Root() / mirror);
    if (!used) breaches.push_back(file.path + ": nothing but its own unit or tests includes it");
    if (!tested && !mirrored && exempt.count(file.unit()) == 0) {
      breaches.push_back(file.path + ": no test includes it (or list it: untested UNIT REASON)");
    }
  }
  Report(breaches);
}

TEST_CASE("every link in a README resolves") {
  static const std::regex kLink(R"(\]\(([^)#]+)(#[^)]*)?\))");
  std::vector<std::string> breaches;
  for (const SourceFile& file : Tree()) {
    if (file.path.find(".md") == std::string::npos) continue;
    for (size_t i = 0; i < file.lines.size(); ++i) {
      for (auto it = std::sregex_iterator(file.lines[i].begin(), file.lines[i].end(), kLink);
           it != std::sregex_iterator(); ++it) {
        const std::string target = (*it)[1].str();
        if (target.find("://") != std::string::npos) continue;
        const auto path = (Root() / file.path).parent_path() / target;
        if (!std::filesystem::exists(path)) breaches.push_back(At(file, i + 1) + ": " + target);
      }
    }
  }
  Report(breaches);
}

}  // namespace
}  // namespace rouse::tidy
