#pragma once
// What:      Options, the table of a program's options: each a row of name, unit, default, bounds,
//            help and the field it fills. Flags beat environment (ROUSE_ + name) beat file
//            (--config) beat default.
// Owner:     main, while it starts; fields belong to the program's Config and outlive the table's
//            use.
// Invariant: a row's default is what its field holds when the row is added.
// Limits:    the first kErrorsMost errors are reported, each with its source, line and nearest
//            known name.
// Never:     prints, exits or reads the process's environment by itself (see ProcessEnvironment).

#include <functional>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <absl/status/status.h>

#include "common/app/config_node.h"
#include "common/app/values.h"
#include "common/base/clock.h"

namespace rouse::app {

inline constexpr size_t kErrorsMost = 20;

/// What to do after Parse: run, or print and exit.
struct Parsed {
  bool run = false;
  int exit_code = 0;  ///< 0 after --help and the like, 2 after an error in usage or configuration
  std::string out;    ///< for standard output
  std::string err;    ///< for standard error
  std::vector<std::string> arguments;  ///< those that are no flags, where allowed
};

/// `NAME=value` each. main passes ProcessEnvironment().
using Environment = std::vector<std::string>;
[[nodiscard]] Environment ProcessEnvironment();

class Options {
 public:
  using Set = std::function<absl::Status(std::string_view text)>;
  using Show = std::function<std::string()>;
  using Take = std::function<absl::Status(const ConfigNode& node)>;

  struct Row {
    std::string
        name;  ///< kebab-case; in the file with underscores, in the environment ROUSE_ upper case
    std::string unit;
    std::string bounds;
    std::string help;
    Set set;
    Show show;
    bool secret = false;
    bool boolean = false;  ///< `--name` alone means true, `--no-name` false
    bool list = false;     ///< repeated flags add up; a list in the file
    // filled by Add
    std::string group;
    std::string initial;
    std::string source;
  };

  /// `what` is one line for --help.
  Options(std::string program, std::string version, std::string what);

  /// The rows that follow belong under this heading.
  void Group(std::string title) { group_ = std::move(title); }

  void AddDuration(std::string name, Duration* field, Duration least, Duration most,
                   std::string help);
  /// Any unsigned type of bytes.
  template <typename T>
  void AddSize(std::string name, T* field, uint64_t least, uint64_t most, std::string help);
  template <typename T>
  void AddInteger(std::string name, T* field, int64_t least, int64_t most, std::string help);
  void AddNumber(std::string name, double* field, double least, double most, std::string help);
  void AddBoolean(std::string name, bool* field, std::string help);
  void AddText(std::string name, std::string* field, std::string help);
  /// Never shown in full.
  void AddSecret(std::string name, std::string* field, std::string help);
  void AddList(std::string name, std::vector<std::string>* field, std::string help);
  void AddChoice(std::string name, std::string* field, std::vector<std::string> choices,
                 std::string help);
  /// Whatever else: the caller reads, checks and shows.
  void Add(Row row);

  /// A top-level key of the file that the program reads itself; called for it after all rows are
  /// set.
  void TakeKey(std::string key, std::string help, Take take);
  /// Looks at the options together; called last, if there was no error.
  void AddCheck(std::function<absl::Status()> check) { checks_.push_back(std::move(check)); }
  /// Without this an argument that is no flag is an error.
  void AllowArguments(std::string synopsis) { arguments_ = std::move(synopsis); }

  /// `args` without the program's name.
  [[nodiscard]] Parsed Parse(std::span<const std::string> args, const Environment& environment);
  [[nodiscard]] Parsed Parse(int argc, const char* const* argv, const Environment& environment);

  [[nodiscard]] std::string HelpText() const;
  /// The reference table of the README.
  [[nodiscard]] std::string HelpMarkdown() const;
  /// The options in force as a configuration file, each with its source; secrets masked.
  [[nodiscard]] std::string ConfigText() const;
  [[nodiscard]] const std::vector<Row>& rows() const { return rows_; }
  /// The file named by --config; empty without one.
  [[nodiscard]] const std::string& config_file() const { return config_file_; }

 private:
  struct Key {
    std::string name;
    std::string help;
    Take take;
  };
  struct Flags;

  static Row NewRow(std::string name, std::string unit, std::string bounds, std::string help);
  Row* Find(std::string_view name);
  [[nodiscard]] std::vector<std::string> Names() const;
  void Fail(std::string message);
  void Apply(Row& row, std::string_view text, const std::string& source, const std::string& where);
  Flags ReadFlags(std::span<const std::string> args);
  void ReadFlag(std::string_view flag, std::span<const std::string> rest, size_t* used,
                Flags& flags);
  void ApplyFile(const ConfigNode& root);
  void ApplyEnvironment(const Environment& environment);
  [[nodiscard]] Parsed Outcome(const Flags& flags);

  std::string program_;
  std::string version_;
  std::string what_;
  std::string group_;
  std::string arguments_;
  std::string config_file_;
  std::vector<Row> rows_;
  std::vector<Key> keys_;
  std::vector<std::function<absl::Status()>> checks_;
  std::vector<std::string> errors_;
};

template <typename T>
void Options::AddSize(std::string name, T* field, uint64_t least, uint64_t most, std::string help) {
  static_assert(std::is_unsigned_v<T>);
  Row row = NewRow(std::move(name), "size", FormatSize(least) + " to " + FormatSize(most),
                   std::move(help));
  row.set = [field, least, most](std::string_view text) -> absl::Status {
    const absl::StatusOr<uint64_t> value = ParseSize(text);
    if (!value.ok()) return value.status();
    if (*value < least || *value > most || *value > std::numeric_limits<T>::max()) {
      return absl::OutOfRangeError("must be from " + FormatSize(least) + " to " + FormatSize(most));
    }
    *field = static_cast<T>(*value);
    return absl::OkStatus();
  };
  row.show = [field] { return FormatSize(*field); };
  Add(std::move(row));
}

template <typename T>
void Options::AddInteger(std::string name, T* field, int64_t least, int64_t most,
                         std::string help) {
  static_assert(std::is_integral_v<T> && !std::is_same_v<T, bool>);
  const std::string bounds = std::to_string(least) + " to " + std::to_string(most);
  Row row = NewRow(std::move(name), "integer", bounds, std::move(help));
  row.set = [field, least, most, bounds](std::string_view text) -> absl::Status {
    const absl::StatusOr<int64_t> value = ParseInteger(text);
    if (!value.ok()) return value.status();
    if (*value < least || *value > most) return absl::OutOfRangeError("must be from " + bounds);
    *field = static_cast<T>(*value);
    return absl::OkStatus();
  };
  row.show = [field] { return std::to_string(*field); };
  Add(std::move(row));
}

}  // namespace rouse::app
