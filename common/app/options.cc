#include "common/app/options.h"

#include <algorithm>
#include <map>
#include <utility>

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <unistd.h>

#include "common/base/check.h"

namespace rouse::app {
namespace {

constexpr std::string_view kPrefix = "ROUSE_";

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

std::string Replaced(std::string text, char from, char to) {
  std::replace(text.begin(), text.end(), from, to);
  return text;
}

std::string EnvironmentName(std::string_view option) {
  return absl::StrCat(View(kPrefix),
                      absl::AsciiStrToUpper(Replaced(std::string(option), '-', '_')));
}

/// Kubernetes gives every container variables about the Services of its namespace, such as
/// ROUSE_PROXY_SERVICE_HOST and ROUSE_PROXY_PORT_80_TCP; those are not options of ours.
bool IsServiceLink(std::string_view name, std::string_view value) {
  if (absl::EndsWith(View(name), "_SERVICE_HOST")) return true;
  if (name.find("_SERVICE_PORT") != std::string_view::npos) return true;
  if (name.find("_PORT_") != std::string_view::npos) return true;
  const bool address =
      value.starts_with("tcp://") || value.starts_with("udp://") || value.starts_with("sctp://");
  return absl::EndsWith(View(name), "_PORT") && address;
}

}  // namespace

Environment ProcessEnvironment() {
  Environment all;
  for (char** each = environ; each != nullptr && *each != nullptr; ++each) all.emplace_back(*each);
  return all;
}

// ---- the rows -----------------------------------------------------------------------------------

Options::Options(std::string program, std::string version, std::string what)
    : program_(std::move(program)), version_(std::move(version)), what_(std::move(what)) {
  Group("Program");
  Row config = NewRow("config", "path", "", "Configuration file (YAML).");
  config.set = [this](std::string_view text) {
    config_file_ = text;
    return absl::OkStatus();
  };
  config.show = [this] { return config_file_; };
  Add(std::move(config));
}

Options::Row Options::NewRow(std::string name, std::string unit, std::string bounds,
                             std::string help) {
  Row row;
  row.name = std::move(name);
  row.unit = std::move(unit);
  row.bounds = std::move(bounds);
  row.help = std::move(help);
  return row;
}

void Options::Add(Row row) {
  CHECK(!row.name.empty() && Find(row.name) == nullptr);
  row.group = group_;
  row.initial = row.show();
  row.source = "default";
  rows_.push_back(std::move(row));
}

void Options::AddDuration(std::string name, Duration* field, Duration least, Duration most,
                          std::string help) {
  const std::string bounds = FormatDuration(least) + " to " + FormatDuration(most);
  Row row = NewRow(std::move(name), "duration", bounds, std::move(help));
  row.set = [field, least, most, bounds](std::string_view text) -> absl::Status {
    const absl::StatusOr<Duration> value = ParseDuration(text);
    if (!value.ok()) return value.status();
    if (*value < least || *value > most) return absl::OutOfRangeError("must be from " + bounds);
    *field = *value;
    return absl::OkStatus();
  };
  row.show = [field] { return FormatDuration(*field); };
  Add(std::move(row));
}

void Options::AddNumber(std::string name, double* field, double least, double most,
                        std::string help) {
  const std::string bounds = FormatNumber(least) + " to " + FormatNumber(most);
  Row row = NewRow(std::move(name), "number", bounds, std::move(help));
  row.set = [field, least, most, bounds](std::string_view text) -> absl::Status {
    const absl::StatusOr<double> value = ParseNumber(text);
    if (!value.ok()) return value.status();
    if (*value < least || *value > most) return absl::OutOfRangeError("must be from " + bounds);
    *field = *value;
    return absl::OkStatus();
  };
  row.show = [field] { return FormatNumber(*field); };
  Add(std::move(row));
}

void Options::AddBoolean(std::string name, bool* field, std::string help) {
  Row row = NewRow(std::move(name), "boolean", "", std::move(help));
  row.boolean = true;
  row.set = [field](std::string_view text) -> absl::Status {
    const absl::StatusOr<bool> value = ParseBoolean(text);
    if (value.ok()) *field = *value;
    return value.status();
  };
  row.show = [field] { return std::string(*field ? "true" : "false"); };
  Add(std::move(row));
}

void Options::AddText(std::string name, std::string* field, std::string help) {
  Row row = NewRow(std::move(name), "text", "", std::move(help));
  row.set = [field](std::string_view text) {
    *field = text;
    return absl::OkStatus();
  };
  row.show = [field] { return *field; };
  Add(std::move(row));
}

void Options::AddSecret(std::string name, std::string* field, std::string help) {
  AddText(std::move(name), field, std::move(help));
  Row& row = rows_.back();
  row.secret = true;
  row.show = [field] { return std::string(field->empty() ? "" : "***"); };
  row.initial = row.show();
}

void Options::AddList(std::string name, std::vector<std::string>* field, std::string help) {
  Row row = NewRow(std::move(name), "list", "", std::move(help));
  row.list = true;
  row.set = [field](std::string_view text) {
    *field = ParseList(text);
    return absl::OkStatus();
  };
  row.show = [field] { return absl::StrJoin(*field, ","); };
  Add(std::move(row));
}

void Options::AddChoice(std::string name, std::string* field, std::vector<std::string> choices,
                        std::string help) {
  const std::string bounds = absl::StrJoin(choices, ", ");
  Row row = NewRow(std::move(name), "text", bounds, std::move(help));
  row.set = [field, choices = std::move(choices), bounds](std::string_view text) -> absl::Status {
    if (std::find(choices.begin(), choices.end(), text) == choices.end()) {
      return absl::InvalidArgumentError(absl::StrCat("\"", View(text), "\" is none of ", bounds));
    }
    *field = text;
    return absl::OkStatus();
  };
  row.show = [field] { return *field; };
  Add(std::move(row));
}

void Options::TakeKey(std::string key, std::string help, Take take) {
  keys_.push_back({std::move(key), std::move(help), std::move(take)});
}

Options::Row* Options::Find(std::string_view name) {
  for (Row& row : rows_) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

std::vector<std::string> Options::Names() const {
  std::vector<std::string> names;
  names.reserve(rows_.size());
  for (const Row& row : rows_) names.push_back(row.name);
  return names;
}

void Options::Fail(std::string message) {
  if (errors_.size() < kErrorsMost) errors_.push_back(std::move(message));
}

void Options::Apply(Row& row, std::string_view text, const std::string& source,
                    const std::string& where) {
  const absl::Status set = row.set(text);
  row.source = source;
  if (!set.ok()) Fail(absl::StrCat(where, ": ", std::string(set.message())));
}

// ---- the sources --------------------------------------------------------------------------------

struct Options::Flags {
  std::map<std::string, std::string> values;  ///< by option
  std::vector<std::string> arguments;
  bool help = false;
  bool markdown = false;
  bool version = false;
  bool check = false;
  bool print_config = false;
};

Parsed Options::Parse(int argc, const char* const* argv, const Environment& environment) {
  const std::vector<std::string> args(argv + std::min(argc, 1), argv + argc);
  return Parse(args, environment);
}

Parsed Options::Parse(std::span<const std::string> args, const Environment& environment) {
  const Flags flags = ReadFlags(args);
  if (flags.help) return {false, 0, HelpText(), {}, {}};
  if (flags.markdown) return {false, 0, HelpMarkdown(), {}, {}};
  if (flags.version) return {false, 0, absl::StrCat(program_, " ", version_, "\n"), {}, {}};

  // Which file is read comes from the stronger sources; then each source overwrites the weaker
  // ones.
  const std::string variable = EnvironmentName("config") + "=";
  for (const std::string& each : environment) {
    if (each.starts_with(variable)) config_file_ = each.substr(variable.size());
  }
  if (const auto named = flags.values.find("config"); named != flags.values.end()) {
    config_file_ = named->second;
  }
  if (!config_file_.empty()) {
    const absl::StatusOr<ConfigNode> root = ReadConfig(config_file_);
    root.ok() ? ApplyFile(*root) : Fail(std::string(root.status().message()));
  }
  ApplyEnvironment(environment);
  for (const auto& [name, value] : flags.values) Apply(*Find(name), value, "flag", "--" + name);
  return Outcome(flags);
}

Parsed Options::Outcome(const Flags& flags) {
  for (const auto& check : checks_) {
    if (!errors_.empty()) break;
    const absl::Status status = check();
    if (!status.ok()) Fail(std::string(status.message()));
  }
  Parsed parsed;
  parsed.arguments = flags.arguments;
  for (const std::string& error : errors_)
    absl::StrAppend(&parsed.err, program_, ": ", error, "\n");
  if (!errors_.empty()) {
    absl::StrAppend(&parsed.err, "Try ", program_, " --help.\n");
    parsed.exit_code = 2;
  } else if (flags.print_config) {
    parsed.out = ConfigText();
  } else if (flags.check) {
    parsed.out = "The configuration is valid.\n";
  } else {
    parsed.run = true;
  }
  return parsed;
}

Options::Flags Options::ReadFlags(std::span<const std::string> args) {
  Flags flags;
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string& arg = args[i];
    if (arg == "--") {
      flags.arguments.insert(flags.arguments.end(), args.begin() + static_cast<ptrdiff_t>(i) + 1,
                             args.end());
      break;
    }
    if (arg == "-h" || arg == "--help") {
      flags.help = true;
    } else if (arg == "--help-markdown") {
      flags.markdown = true;
    } else if (arg == "--version") {
      flags.version = true;
    } else if (arg == "--check") {
      flags.check = true;
    } else if (arg == "--print-config") {
      flags.print_config = true;
    } else if (arg.starts_with("--")) {
      size_t used = 0;
      ReadFlag(std::string_view(arg).substr(2), args.subspan(i + 1), &used, flags);
      i += used;
    } else {
      flags.arguments.push_back(arg);
    }
  }
  if (arguments_.empty() && !flags.arguments.empty()) {
    Fail(absl::StrCat("unexpected argument \"", flags.arguments[0], "\""));
  }
  return flags;
}

void Options::ReadFlag(std::string_view flag, std::span<const std::string> rest, size_t* used,
                       Flags& flags) {
  const size_t equals = flag.find('=');
  const std::string name(flag.substr(0, equals));
  const Row* row = Find(name);
  std::string value;
  if (row == nullptr && name.starts_with("no-") && equals == std::string_view::npos) {
    const Row* positive = Find(name.substr(3));
    if (positive != nullptr && positive->boolean) {
      flags.values[positive->name] = "false";
      return;
    }
  }
  if (row == nullptr) {
    std::vector<std::string> known = Names();
    known.insert(known.end(), {"help", "help-markdown", "version", "check", "print-config"});
    return Fail(absl::StrCat("unknown flag --", name, DidYouMean(name, known, "--")));
  }
  if (equals != std::string_view::npos) {
    value = flag.substr(equals + 1);
  } else if (row->boolean) {
    value = "true";
  } else if (!rest.empty()) {
    value = rest[0];
    *used = 1;
  } else {
    return Fail(absl::StrCat("--", name, ": a value is missing"));
  }
  std::string& into = flags.values[name];
  into = row->list && !into.empty() ? absl::StrCat(into, ",", value) : value;
}

void Options::ApplyEnvironment(const Environment& environment) {
  for (const std::string& each : environment) {
    const size_t equals = each.find('=');
    if (!each.starts_with(kPrefix) || equals == std::string::npos) continue;
    const std::string name = each.substr(0, equals);
    const std::string value = each.substr(equals + 1);
    const std::string option =
        absl::AsciiStrToLower(Replaced(name.substr(kPrefix.size()), '_', '-'));
    Row* row = Find(option);
    if (row != nullptr && EnvironmentName(option) == name) {
      Apply(*row, value, "environment", name);
    } else if (!IsServiceLink(name, value)) {
      std::vector<std::string> known;
      known.reserve(rows_.size());
      for (const Row& candidate : rows_) known.push_back(EnvironmentName(candidate.name));
      Fail(absl::StrCat("unknown variable ", name, DidYouMean(name, known)));
    }
  }
}

void Options::ApplyFile(const ConfigNode& root) {
  if (root.kind == ConfigNode::Kind::kNull) return;  // an empty file
  if (!root.is_map()) return Fail(std::string(root.Error("expected keys with values").message()));
  std::vector<std::string> known;
  for (const Row& row : rows_) {
    if (row.name != "config") known.push_back(Replaced(row.name, '-', '_'));
  }
  for (const Key& key : keys_) known.push_back(key.name);

  for (const ConfigNode::Entry& entry : root.entries) {
    const ConfigNode& value = entry.value;
    const bool taken = std::any_of(keys_.begin(), keys_.end(),
                                   [&](const Key& key) { return key.name == entry.key; });
    if (taken) continue;
    Row* row = Find(Replaced(entry.key, '_', '-'));
    const std::string where = absl::StrCat(value.file, ":", entry.line);
    if (row == nullptr || row->name == "config") {
      Fail(absl::StrCat(where, ": unknown key \"", entry.key, "\"", DidYouMean(entry.key, known)));
      continue;
    }
    std::string text = value.text;
    bool fits = value.is_scalar();
    if (row->list && value.is_list()) {
      fits = std::all_of(value.items.begin(), value.items.end(),
                         [](const auto& item) { return item.is_scalar(); });
      text = absl::StrJoin(value.items, ",",
                           [](std::string* out, const ConfigNode& item) { *out += item.text; });
    }
    if (!fits) {
      Fail(absl::StrCat(where, ": ", entry.key, ": expected one ", row->unit));
      continue;
    }
    Apply(*row, text, absl::StrCat("file, line ", entry.line),
          absl::StrCat(where, ": ", entry.key));
  }
  for (const Key& key : keys_) {
    const ConfigNode* value = root.Find(key.name);
    if (value == nullptr) continue;
    const absl::Status taken = key.take(*value);
    if (!taken.ok()) Fail(std::string(taken.message()));
  }
}

}  // namespace rouse::app
