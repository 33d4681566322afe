#include "k8s/local/selector.h"

#include <algorithm>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <boost/json.hpp>

namespace rouse::k8s::local {

namespace {

std::string Trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t") - first + 1));
}

/// Cuts at commas that stand outside parentheses.
std::vector<std::string> SplitOutside(std::string_view text) {
  std::vector<std::string> parts;
  int depth = 0;
  size_t start = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] == '(') ++depth;
    if (i < text.size() && text[i] == ')') --depth;
    if (i == text.size() || (text[i] == ',' && depth == 0)) {
      parts.push_back(Trimmed(text.substr(start, i - start)));
      start = i + 1;
    }
  }
  return parts;
}

bool IsLabelText(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == '/';
  });
}

ApiError Unparsable(std::string_view text) {
  return BadRequest(absl::StrCat("unable to parse requirement: found '", std::string(text),
                                 "', expected: a label selector such as a=b, a in (b,c) or !a"));
}

/// `key in (a,b)`: the word between and the list; false where it has another form.
bool ParseSet(const std::string& part, LabelSelector::Requirement& into) {
  const size_t open = part.find('(');
  if (open == std::string::npos || part.back() != ')') return false;
  const std::string head = Trimmed(std::string_view(part).substr(0, open));
  const size_t space = head.find_last_of(" \t");
  if (space == std::string::npos) return false;
  const std::string word = head.substr(space + 1);
  if (word != "in" && word != "notin") return false;
  into.op = word == "in" ? LabelSelector::Operator::kIn : LabelSelector::Operator::kNotIn;
  into.key = Trimmed(std::string_view(head).substr(0, space));
  const std::string list = part.substr(open + 1, part.size() - open - 2);
  for (const std::string& value : SplitOutside(list)) into.values.push_back(value);
  return true;
}

bool ParseOne(const std::string& part, LabelSelector::Requirement& into) {
  using Operator = LabelSelector::Operator;
  if (part.empty()) return false;
  if (part.find('(') != std::string::npos) {
    if (!ParseSet(part, into)) return false;
  } else if (const size_t at = part.find('='); at != std::string::npos) {
    const bool unequal = at > 0 && part[at - 1] == '!';
    const bool twice = at + 1 < part.size() && part[at + 1] == '=';
    into.op = unequal ? Operator::kNotIn : Operator::kIn;
    into.key = Trimmed(std::string_view(part).substr(0, unequal ? at - 1 : at));
    into.values.push_back(Trimmed(std::string_view(part).substr(at + (twice ? 2 : 1))));
  } else if (part.front() == '!') {
    into.op = Operator::kNotExists;
    into.key = Trimmed(std::string_view(part).substr(1));
  } else {
    into.op = Operator::kExists;
    into.key = part;
  }
  return !into.key.empty() && IsLabelText(into.key) &&
         std::all_of(into.values.begin(), into.values.end(), IsLabelText);
}

bool Holds(const LabelSelector::Requirement& requirement, const TextMap& labels) {
  using Operator = LabelSelector::Operator;
  const auto found = labels.find(requirement.key);
  const bool exists = found != labels.end();
  const bool listed = exists && std::find(requirement.values.begin(), requirement.values.end(),
                                          found->second) != requirement.values.end();
  switch (requirement.op) {
    case Operator::kIn:
      return listed;
    case Operator::kNotIn:
      return !listed;
    case Operator::kExists:
      return exists;
    case Operator::kNotExists:
      return !exists;
  }
  return false;
}

}  // namespace

ApiResult<LabelSelector> LabelSelector::Parse(std::string_view text) {
  LabelSelector selector;
  if (Trimmed(text).empty()) return selector;
  for (const std::string& part : SplitOutside(text)) {
    Requirement requirement;
    if (!ParseOne(part, requirement)) return Unparsable(part);
    selector.requirements_.push_back(std::move(requirement));
    if (selector.requirements_.size() > kRequirementsMax) {
      return BadRequest("the label selector has too many requirements");
    }
  }
  return selector;
}

LabelSelector LabelSelector::FromMap(const TextMap& labels) {
  LabelSelector selector;
  for (const auto& [key, value] : labels) {
    selector.requirements_.push_back({key, Operator::kIn, {value}});
  }
  return selector;
}

LabelSelector LabelSelector::FromObject(const Json& object) {
  LabelSelector selector = FromMap(TextMapAt(object, {"matchLabels"}));
  for (const Json& expression : ArrayAt(object, {"matchExpressions"})) {
    Requirement requirement;
    requirement.key = TextAt(expression, {"key"});
    const std::string word = TextAt(expression, {"operator"});
    requirement.op = word == "In"       ? Operator::kIn
                     : word == "NotIn"  ? Operator::kNotIn
                     : word == "Exists" ? Operator::kExists
                                        : Operator::kNotExists;
    for (const Json& value : ArrayAt(expression, {"values"})) {
      requirement.values.push_back(TextAt(value, {}));
    }
    selector.requirements_.push_back(std::move(requirement));
  }
  return selector;
}

bool LabelSelector::Matches(const TextMap& labels) const {
  return std::all_of(requirements_.begin(), requirements_.end(),
                     [&](const Requirement& requirement) { return Holds(requirement, labels); });
}

std::string LabelSelector::text() const {
  std::vector<std::string> parts;
  for (const Requirement& requirement : requirements_) {
    const std::string values = absl::StrJoin(requirement.values, ",");
    switch (requirement.op) {
      case Operator::kIn:
        parts.push_back(requirement.values.size() == 1 ? requirement.key + "=" + values
                                                       : requirement.key + " in (" + values + ")");
        break;
      case Operator::kNotIn:
        parts.push_back(requirement.key + " notin (" + values + ")");
        break;
      case Operator::kExists:
        parts.push_back(requirement.key);
        break;
      case Operator::kNotExists:
        parts.push_back("!" + requirement.key);
        break;
    }
  }
  return absl::StrJoin(parts, ",");
}

namespace {

bool Selectable(const ResourceKind& kind, std::string_view field) {
  if (field == "metadata.name") return true;
  if (field == "metadata.namespace") return kind.namespaced;
  if (kind.plural == "pods") {
    return field == "status.phase" || field == "spec.nodeName" || field == "status.podIP" ||
           field == "spec.restartPolicy";
  }
  if (kind.plural == "events") {
    return field == "reason" || field == "type" || field == "involvedObject.kind" ||
           field == "involvedObject.name" || field == "involvedObject.namespace" ||
           field == "involvedObject.uid";
  }
  return kind.plural == "secrets" && field == "type";
}

}  // namespace

ApiResult<FieldSelector> FieldSelector::Parse(const ResourceKind& kind, std::string_view text) {
  FieldSelector selector;
  if (Trimmed(text).empty()) return selector;
  for (const std::string& part : SplitOutside(text)) {
    const size_t at = part.find('=');
    if (at == std::string::npos || at == 0) {
      return BadRequest(absl::StrCat("invalid selector: '", std::string(text),
                                     "'; can't understand '", part, "'"));
    }
    Requirement requirement;
    requirement.equal = part[at - 1] != '!';
    const std::string field = part.substr(0, requirement.equal ? at : at - 1);
    const bool twice = at + 1 < part.size() && part[at + 1] == '=';
    requirement.value = part.substr(at + (twice ? 2 : 1));
    if (!Selectable(kind, field)) {
      return BadRequest(absl::StrCat("field label not supported: ", field));
    }
    requirement.path = absl::StrSplit(field, '.');
    selector.requirements_.push_back(std::move(requirement));
    if (selector.requirements_.size() > kRequirementsMax) {
      return BadRequest("the field selector has too many requirements");
    }
  }
  return selector;
}

bool FieldSelector::Matches(const Json& object) const {
  for (const Requirement& requirement : requirements_) {
    const Json* at = &object;
    for (const std::string& key : requirement.path) {
      if (at != nullptr) at = Find(*at, {key});
    }
    const std::string value = at == nullptr ? std::string() : TextAt(*at, {});
    if ((value == requirement.value) != requirement.equal) return false;
  }
  return true;
}

}  // namespace rouse::k8s::local
