#include "k8s/local/patch.h"

#include <absl/strings/str_cat.h>
#include <boost/json.hpp>

namespace rouse::k8s::local {

namespace json = boost::json;

void MergePatch(Json& target, const Json& patch) {
  if (!patch.is_object()) {
    target = patch;
    return;
  }
  if (!target.is_object()) target = json::object();
  for (const json::key_value_pair& member : patch.get_object()) {
    if (member.value().is_null()) {
      target.get_object().erase(member.key());
    } else {
      MergePatch(target.get_object()[member.key()], member.value());
    }
  }
}

namespace {

bool AllNamed(const json::value& list) {
  if (!list.is_array() || list.get_array().empty()) return false;
  for (const json::value& element : list.get_array()) {
    if (TextAt(element, {"name"}).empty()) return false;
  }
  return true;
}

void MergeNamedList(json::array& target, const json::array& patch) {
  for (const json::value& element : patch) {
    const std::string name = TextAt(element, {"name"});
    json::value* found = nullptr;
    size_t index = 0;
    for (size_t i = 0; i < target.size(); ++i) {
      if (TextAt(target[i], {"name"}) == name) {
        found = &target[i];
        index = i;
      }
    }
    if (TextAt(element, {"$patch"}) == "delete") {
      if (found != nullptr) target.erase(target.begin() + static_cast<std::ptrdiff_t>(index));
    } else if (found != nullptr) {
      StrategicMergePatch(*found, element);
    } else {
      target.push_back(element);
    }
  }
}

}  // namespace

void StrategicMergePatch(Json& target, const Json& patch) {
  if (AllNamed(patch) && AllNamed(target)) {
    MergeNamedList(target.get_array(), patch.get_array());
    return;
  }
  if (!patch.is_object()) {
    target = patch;
    return;
  }
  if (!target.is_object()) target = json::object();
  for (const json::key_value_pair& member : patch.get_object()) {
    // Hints of kubectl about order; they change nothing here.
    if (std::string_view(member.key().data(), member.key().size()).starts_with("$setElementOrder"))
      continue;
    if (member.value().is_null()) {
      target.get_object().erase(member.key());
    } else {
      StrategicMergePatch(target.get_object()[member.key()], member.value());
    }
  }
}

namespace {

/// One place in a document, RFC 6901: the container and the last reference token.
struct Place {
  json::value* parent = nullptr;  ///< nullptr: the whole document
  std::string token;
};

/// A reference token with ~1 and ~0 undone, in that order (RFC 6901 section 4).
std::string Unescaped(std::string_view token) {
  std::string text;
  for (size_t i = 0; i < token.size(); ++i) {
    if (token[i] == '~' && i + 1 < token.size() && (token[i + 1] == '0' || token[i + 1] == '1')) {
      text += token[++i] == '0' ? '~' : '/';
    } else {
      text += token[i];
    }
  }
  return text;
}

/// An array index: digits without a leading zero, at most `most`.
bool ParseIndex(const std::string& token, size_t most, size_t& index) {
  if (token.empty() || token.size() > 9 || (token.size() > 1 && token[0] == '0')) return false;
  index = 0;
  for (char c : token) {
    if (c < '0' || c > '9') return false;
    index = index * 10 + static_cast<size_t>(c - '0');
  }
  return index <= most;
}

json::value* Child(json::value& parent, const std::string& token) {
  if (parent.is_object()) return parent.get_object().if_contains(token);
  size_t index = 0;
  if (!parent.is_array() || parent.get_array().empty()) return nullptr;
  if (!ParseIndex(token, parent.get_array().size() - 1, index)) return nullptr;
  return &parent.get_array()[index];
}

absl::Status Missing(std::string_view pointer) {
  return absl::FailedPreconditionError(
      absl::StrCat("the server rejected our request due to an error in our request: the path \"",
                   std::string(pointer), "\" does not exist"));
}

absl::Status Locate(json::value& root, std::string_view pointer, Place& place) {
  if (pointer.empty()) return absl::OkStatus();
  if (pointer[0] != '/') return absl::InvalidArgumentError("a path must start with a slash");
  json::value* at = &root;
  std::string_view rest = pointer.substr(1);
  while (true) {
    const size_t slash = rest.find('/');
    const std::string token = Unescaped(rest.substr(0, slash));
    if (slash == std::string_view::npos) {
      place = {at, token};
      return absl::OkStatus();
    }
    at = Child(*at, token);
    if (at == nullptr) return Missing(pointer);
    rest.remove_prefix(slash + 1);
  }
}

absl::Status Add(json::value& root, const Place& place, json::value value, std::string_view path) {
  if (place.parent == nullptr) {
    root = std::move(value);
    return absl::OkStatus();
  }
  if (place.parent->is_object()) {
    place.parent->get_object()[place.token] = std::move(value);
    return absl::OkStatus();
  }
  if (!place.parent->is_array()) return Missing(path);
  json::array& array = place.parent->get_array();
  size_t index = array.size();
  if (place.token != "-" && !ParseIndex(place.token, array.size(), index)) return Missing(path);
  array.insert(array.begin() + static_cast<std::ptrdiff_t>(index), std::move(value));
  return absl::OkStatus();
}

/// Takes the value at a place out of the document.
absl::Status Take(json::value& root, const Place& place, std::string_view path, json::value& into) {
  if (place.parent == nullptr) {
    into = std::move(root);
    root = nullptr;
    return absl::OkStatus();
  }
  json::value* found = Child(*place.parent, place.token);
  if (found == nullptr) return Missing(path);
  into = std::move(*found);
  if (place.parent->is_object()) {
    place.parent->get_object().erase(place.token);
  } else {
    json::array& array = place.parent->get_array();
    array.erase(array.begin() + (found - array.data()));
  }
  return absl::OkStatus();
}

absl::Status ReadAt(json::value& root, std::string_view path, json::value*& found) {
  Place place;
  if (absl::Status status = Locate(root, path, place); !status.ok()) return status;
  found = place.parent == nullptr ? &root : Child(*place.parent, place.token);
  return found == nullptr ? Missing(path) : absl::OkStatus();
}

absl::Status ApplyMoveOrCopy(json::value& root, const std::string& op, const std::string& path,
                             const std::string& from) {
  json::value value;
  if (op == "copy") {
    json::value* found = nullptr;
    if (absl::Status status = ReadAt(root, from, found); !status.ok()) return status;
    value = *found;
  } else {
    if (path.starts_with(from + "/")) {
      return absl::InvalidArgumentError("a value cannot be moved into itself");
    }
    Place source;
    if (absl::Status status = Locate(root, from, source); !status.ok()) return status;
    if (absl::Status status = Take(root, source, from, value); !status.ok()) return status;
  }
  Place target;
  if (absl::Status status = Locate(root, path, target); !status.ok()) return status;
  return Add(root, target, std::move(value), path);
}

absl::Status ApplyOne(json::value& root, const json::value& operation) {
  const std::string op = TextAt(operation, {"op"});
  const std::string path = TextAt(operation, {"path"});
  const json::object* fields = operation.if_object();
  if (fields == nullptr || fields->if_contains("path") == nullptr) {
    return absl::InvalidArgumentError("an operation needs op and path");
  }
  if (op == "move" || op == "copy") {
    return ApplyMoveOrCopy(root, op, path, TextAt(operation, {"from"}));
  }
  const json::value* value = fields->if_contains("value");
  if (op != "remove" && value == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("operation \"", op, "\" needs a value"));
  }
  if (op == "test") {
    json::value* found = nullptr;
    if (absl::Status status = ReadAt(root, path, found); !status.ok()) return status;
    if (*found == *value) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat("testing path ", path, " failed"));
  }
  if (op == "replace") {
    json::value* found = nullptr;
    if (absl::Status status = ReadAt(root, path, found); !status.ok()) return status;
    *found = *value;
    return absl::OkStatus();
  }
  Place place;
  if (absl::Status status = Locate(root, path, place); !status.ok()) return status;
  if (op == "add") return Add(root, place, *value, path);
  json::value dropped;
  if (op == "remove") return Take(root, place, path, dropped);
  return absl::InvalidArgumentError(absl::StrCat("unknown operation \"", op, "\""));
}

}  // namespace

absl::Status JsonPatch(Json& target, const Json& operations) {
  if (!operations.is_array()) return absl::InvalidArgumentError("a JSON patch is an array");
  if (operations.get_array().size() > kPatchOperationsMax) {
    return absl::InvalidArgumentError("the JSON patch has too many operations");
  }
  for (const json::value& operation : operations.get_array()) {
    if (absl::Status status = ApplyOne(target, operation); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace rouse::k8s::local
