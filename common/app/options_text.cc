// What an options table prints about itself: help, the README's reference, the values in force.
#include <algorithm>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>

#include "common/app/options.h"

namespace rouse::app {
namespace {

constexpr size_t kWidth = 100;

/// `text` in lines of at most kWidth, each behind `indent` blanks.
std::string Wrapped(std::string_view text, size_t indent) {
  std::string out;
  std::string line(indent, ' ');
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    if (line.size() + 1 + end > kWidth && line.size() > indent) {
      absl::StrAppend(&out, line, "\n");
      line.assign(indent, ' ');
    }
    if (line.size() > indent) line += ' ';
    line += text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return absl::StrCat(out, line, "\n");
}

std::string Facts(const Options::Row& row) {
  std::string facts = row.unit;
  if (!row.bounds.empty()) absl::StrAppend(&facts, ", ", row.bounds);
  absl::StrAppend(&facts, "; default ", row.initial.empty() ? "none" : row.initial);
  return facts;
}

std::string Cell(std::string_view text) {
  return absl::StrReplaceAll({text.data(), text.size()}, {{"|", "\\|"}, {"\n", " "}});
}

bool IsPlain(std::string_view text) {
  return !text.empty() && text.find_first_of(":#'\"{}[]&*!|>%@`, \n") == std::string_view::npos;
}

}  // namespace

std::string Options::HelpText() const {
  std::string out =
      absl::StrCat(program_, " ", version_, "\n", what_, "\n\nUsage: ", program_, " [flags]");
  if (!arguments_.empty()) absl::StrAppend(&out, " ", arguments_);
  out +=
      "\n\nEach option is a flag (--name VALUE), a variable (ROUSE_NAME) and a key of the file\n";
  out += "(name, with underscores); flags beat variables, variables beat the file.\n";
  std::string group;
  for (const Row& row : rows_) {
    if (row.group != group) absl::StrAppend(&out, "\n", row.group, "\n");
    group = row.group;
    absl::StrAppend(&out, "  --", row.name, "  (", Facts(row), ")\n", Wrapped(row.help, 6));
  }
  if (!keys_.empty()) out += "\nKeys of the configuration file only\n";
  for (const Key& key : keys_) absl::StrAppend(&out, "  ", key.name, "\n", Wrapped(key.help, 6));
  out +=
      "\nInstead of running\n"
      "  --help             this text\n"
      "  --help-markdown    the options as a table\n"
      "  --version          the version\n"
      "  --check            say whether the configuration is valid; exit code 2 where not\n"
      "  --print-config     the options in force and where each comes from\n";
  return out;
}

std::string Options::HelpMarkdown() const {
  std::string out;
  std::string group;
  for (const Row& row : rows_) {
    if (row.group != group) {
      absl::StrAppend(&out, out.empty() ? "" : "\n", "**", row.group, "**\n\n",
                      "| Option | Unit | Default | Bounds | What |\n|---|---|---|---|---|\n");
    }
    group = row.group;
    absl::StrAppend(&out, "| `", row.name, "` | ", row.unit, " | ",
                    row.initial.empty() ? "" : absl::StrCat("`", Cell(row.initial), "`"), " | ",
                    Cell(row.bounds), " | ", Cell(row.help), " |\n");
  }
  if (!keys_.empty())
    out += "\n**Keys of the configuration file only**\n\n| Key | What |\n|---|---|\n";
  for (const Key& key : keys_)
    absl::StrAppend(&out, "| `", key.name, "` | ", Cell(key.help), " |\n");
  return out;
}

std::string Options::ConfigText() const {
  std::string out;
  for (const Row& row : rows_) {
    if (row.name == "config") continue;
    const std::string value = row.show();
    absl::StrAppend(&out, absl::StrReplaceAll(row.name, {{"-", "_"}}), ": ");
    if (row.list) {
      std::string items;
      for (const std::string& item : ParseList(value)) {
        absl::StrAppend(&items, items.empty() ? "" : ", ", "\"", item, "\"");
      }
      absl::StrAppend(&out, "[", items, "]");
    } else if (IsPlain(value)) {
      out += value;
    } else {
      absl::StrAppend(&out, "\"",
                      absl::StrReplaceAll(value, {{"\\", "\\\\"}, {"\"", "\\\""}, {"\n", "\\n"}}),
                      "\"");
    }
    absl::StrAppend(&out, "  # ", row.source, "\n");
  }
  return out;
}

}  // namespace rouse::app
