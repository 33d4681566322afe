#include "tests/tidy/source_tree.h"

#include <algorithm>
#include <fstream>
#include <regex>
#include <sstream>

namespace rouse::tidy {
namespace {

bool EndsWith(std::string_view text, std::string_view ending) {
  return text.size() >= ending.size() && text.substr(text.size() - ending.size()) == ending;
}

enum class Lexing { kCode, kString, kChar, kLineComment, kBlockComment, kRaw };

/// Blanks comments and the contents of string and character literals; line structure stays.
std::string StripComments(const std::string& text) {
  std::string out = text;
  Lexing state = Lexing::kCode;
  std::string raw_end;
  for (size_t i = 0; i < out.size(); ++i) {
    const char c = text[i];
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    if (state == Lexing::kCode) {
      if (c == '/' && next == '/') state = Lexing::kLineComment;
      if (c == '/' && next == '*') state = Lexing::kBlockComment;
      const bool digit_separator =
          i > 0 && std::isalnum(static_cast<unsigned char>(text[i - 1])) != 0;
      if (c == '\'' && !digit_separator) state = Lexing::kChar;
      if (c == '"') {
        if (i > 0 && text[i - 1] == 'R') {
          const size_t open = text.find('(', i);
          raw_end = ")" + text.substr(i + 1, open - i - 1) + "\"";
          state = Lexing::kRaw;
        } else {
          state = Lexing::kString;
        }
      }
      if (state == Lexing::kLineComment || state == Lexing::kBlockComment) out[i] = ' ';
      continue;
    }
    if (c == '\n') {
      if (state == Lexing::kLineComment) state = Lexing::kCode;
      continue;
    }
    const bool quote =
        (state == Lexing::kString && c == '"') || (state == Lexing::kChar && c == '\'');
    if (quote) {
      state = Lexing::kCode;
      continue;
    }
    if (state == Lexing::kRaw && text.compare(i, raw_end.size(), raw_end) == 0) {
      i += raw_end.size() - 1;
      state = Lexing::kCode;
      continue;
    }
    if (state == Lexing::kBlockComment && c == '*' && next == '/') {
      out[i] = out[i + 1] = ' ';
      ++i;
      state = Lexing::kCode;
      continue;
    }
    if ((state == Lexing::kString || state == Lexing::kChar) && c == '\\' && next != '\n') {
      out[i] = out[i + 1] = ' ';
      ++i;
      continue;
    }
    out[i] = ' ';
  }
  return out;
}

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

}  // namespace

bool SourceFile::is_header() const { return EndsWith(path, ".h"); }
bool SourceFile::is_cpp() const { return is_header() || EndsWith(path, ".cc"); }
std::string SourceFile::unit() const { return path.substr(0, path.rfind('.')); }

bool Below(std::string_view path, std::string_view prefix) {
  return path.substr(0, prefix.size()) == prefix &&
         (path.size() == prefix.size() || path[prefix.size()] == '/' || EndsWith(prefix, "/"));
}

std::vector<SourceFile> ReadTree(const std::filesystem::path& root) {
  namespace fs = std::filesystem;
  std::vector<SourceFile> files;
  for (auto it = fs::recursive_directory_iterator(root); it != fs::recursive_directory_iterator();
       ++it) {
    const std::string name = it->path().filename().string();
    if (it->is_directory() && (name.front() == '.' || name == "build" || name == "corpus" ||
                               name == "node_modules" || name == "__pycache__")) {
      it.disable_recursion_pending();
      continue;
    }
    if (!it->is_regular_file()) continue;
    static const std::vector<std::string> kEndings = {".h",  ".cc", ".md", ".sh",
                                                      ".py", ".c",  ".txt"};
    const bool wanted = std::any_of(kEndings.begin(), kEndings.end(),
                                    [&](const std::string& e) { return EndsWith(name, e); });
    if (!wanted) continue;
    std::ifstream in(it->path(), std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    SourceFile file;
    file.path = fs::relative(it->path(), root).generic_string();
    file.lines = Lines(text);
    if (file.is_cpp()) file.code = Lines(StripComments(text));
    files.push_back(std::move(file));
  }
  std::sort(files.begin(), files.end(),
            [](const auto& a, const auto& b) { return a.path < b.path; });
  return files;
}

std::vector<Include> IncludesOf(const SourceFile& file) {
  static const std::regex kInclude(R"re(^\s*#\s*include\s*([<"])([^>"]+)[>"])re");
  std::vector<Include> includes;
  for (size_t i = 0; i < file.lines.size(); ++i) {
    std::smatch match;
    if (std::regex_search(file.lines[i], match, kInclude)) {
      includes.push_back({match[2].str(), match[1].str() == "\"", i + 1});
    }
  }
  return includes;
}

std::vector<std::vector<std::string>> Rules(const std::filesystem::path& root,
                                            std::string_view keyword) {
  std::ifstream in(root / "tests/tidy/layers.txt");
  std::vector<std::vector<std::string>> rules;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string first;
    if (!(words >> first) || first != keyword) continue;
    rules.emplace_back();
    for (std::string word; words >> word;) rules.back().push_back(word);
  }
  return rules;
}

}  // namespace rouse::tidy
