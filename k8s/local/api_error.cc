#include "k8s/local/api_error.h"

#include <absl/strings/str_cat.h>
#include <boost/json.hpp>

namespace rouse::k8s::local {

namespace json = boost::json;

std::string ApiError::StatusText() const {
  json::object status{{"kind", "Status"},
                      {"apiVersion", "v1"},
                      {"metadata", json::object()},
                      {"status", "Failure"},
                      {"message", message}};
  if (!reason.empty()) status["reason"] = reason;
  json::object details;
  if (!name.empty()) details["name"] = name;
  if (!group.empty()) details["group"] = group;
  if (!kind.empty()) details["kind"] = kind;
  if (!uid.empty()) details["uid"] = uid;
  json::array list;
  for (const ApiCause& cause : causes) {
    json::object one{{"reason", cause.reason}, {"message", cause.message}};
    if (!cause.field.empty()) one["field"] = cause.field;
    list.emplace_back(std::move(one));
  }
  if (!list.empty()) details["causes"] = std::move(list);
  if (retry_after_seconds > 0) details["retryAfterSeconds"] = retry_after_seconds;
  if (!details.empty()) status["details"] = std::move(details);
  status["code"] = code;
  return json::serialize(status);
}

namespace {

ApiError About(const ResourceKind& kind, std::string_view name, int code, std::string_view reason) {
  ApiError error;
  error.code = code;
  error.reason = reason;
  error.name = name;
  error.group = kind.group;
  error.kind = kind.plural;
  return error;
}

ApiError Plain(int code, std::string_view reason, std::string message) {
  ApiError error;
  error.code = code;
  error.reason = reason;
  error.message = std::move(message);
  return error;
}

std::string Quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

}  // namespace

ApiError NotFound(const ResourceKind& kind, std::string_view name) {
  ApiError error = About(kind, name, 404, "NotFound");
  error.message = absl::StrCat(kind.qualified_plural(), " ", Quoted(name), " not found");
  return error;
}

ApiError PathNotFound() {
  return Plain(404, "NotFound", "the server could not find the requested resource");
}

ApiError AlreadyExists(const ResourceKind& kind, std::string_view name) {
  ApiError error = About(kind, name, 409, "AlreadyExists");
  error.message = absl::StrCat(kind.qualified_plural(), " ", Quoted(name), " already exists");
  return error;
}

ApiError Conflict(const ResourceKind& kind, std::string_view name) {
  ApiError error = About(kind, name, 409, "Conflict");
  error.message =
      absl::StrCat("Operation cannot be fulfilled on ", kind.qualified_plural(), " ", Quoted(name),
                   ": the object has been modified; please apply your changes to the "
                   "latest version and try again");
  return error;
}

ApiError PreconditionFailed(const ResourceKind& kind, std::string_view name, std::string_view why) {
  ApiError error = About(kind, name, 409, "Conflict");
  error.message = absl::StrCat("Operation cannot be fulfilled on ", kind.qualified_plural(), " ",
                               Quoted(name), ": ", std::string(why));
  return error;
}

ApiError BadRequest(std::string message) { return Plain(400, "BadRequest", std::move(message)); }

ApiError Invalid(const ResourceKind& kind, std::string_view name, std::vector<ApiCause> causes) {
  ApiError error = About(kind, name, 422, "Invalid");
  error.kind = kind.kind;
  std::string why;
  for (const ApiCause& cause : causes) {
    if (!why.empty()) why += ", ";
    absl::StrAppend(&why, cause.field, ": ", cause.message);
  }
  if (causes.size() > 1) why = "[" + why + "]";
  error.message = absl::StrCat(kind.qualified_kind(), " ", Quoted(name), " is invalid: ", why);
  error.causes = std::move(causes);
  return error;
}

ApiError Expired(std::string message) { return Plain(410, "Expired", std::move(message)); }

ApiError VersionTooLarge(std::string_view asked, uint64_t current) {
  ApiError error = Plain(504, "Timeout",
                         absl::StrCat("Timeout: Too large resource version: ", std::string(asked),
                                      ", current: ", current));
  error.causes.push_back({"ResourceVersionTooLarge", "Too large resource version", ""});
  error.retry_after_seconds = 1;
  return error;
}

ApiError Unauthorized() { return Plain(401, "Unauthorized", "Unauthorized"); }

ApiError MethodNotAllowed() {
  return Plain(405, "MethodNotAllowed",
               "the server does not allow this method on the requested resource");
}

ApiError UnsupportedMediaType(std::string_view accepted) {
  return Plain(415, "UnsupportedMediaType",
               absl::StrCat("the body of the request was in an unknown format - accepted media "
                            "types include: ",
                            std::string(accepted)));
}

ApiError ErrorOfCode(int code, int retry_after_seconds) {
  ApiError error;
  switch (code) {
    case 401:
      return Unauthorized();
    case 403:
      error = Plain(403, "Forbidden", "forbidden on demand");
      break;
    case 409:
      error = Plain(409, "Conflict", "conflict on demand");
      break;
    case 410:
      error = Expired("The resourceVersion for the provided watch is too old.");
      break;
    case 429:
      error = Plain(429, "TooManyRequests", "Too many requests, please try again later.");
      break;
    case 503:
      error = Plain(503, "ServiceUnavailable", "unavailable on demand");
      break;
    case 504:
      error = Plain(504, "Timeout", "timeout on demand");
      break;
    default:
      error = Plain(code, "InternalError", "Internal error occurred: fault on demand");
      break;
  }
  error.retry_after_seconds = retry_after_seconds;
  return error;
}

}  // namespace rouse::k8s::local
