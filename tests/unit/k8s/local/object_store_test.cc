#include "k8s/local/object_store.h"

#include "tests/unit/k8s/local/store_fixture.h"

namespace rouse::k8s::local {
namespace {

TEST_CASE("a created object gets a uid, a time, a version and a generation") {
  StoreFixture f;
  const ObjectRef made = f.Add(DeploymentKind(), R"({"metadata":{"name":"a","uid":"mine",
      "resourceVersion":"5","managedFields":[]},"spec":{"replicas":1}})");
  CHECK(made->key.text() == "default/a");
  CHECK(made->uid.size() == 36);
  CHECK(made->uid != "mine");
  CHECK(TextAt(*made->json, {"metadata", "resourceVersion"}) == std::to_string(made->version));
  CHECK(TextAt(*made->json, {"metadata", "creationTimestamp"}) == "2026-01-01T00:00:00Z");
  CHECK(NumberAt(*made->json, {"metadata", "generation"}) == 1);
  CHECK(TextAt(*made->json, {"apiVersion"}) == "apps/v1");
  CHECK(TextAt(*made->json, {"kind"}) == "Deployment");
  CHECK(Find(*made->json, {"metadata", "managedFields"}) == nullptr);
}

TEST_CASE("creation is refused for a taken name, a bad name, no name and a missing namespace") {
  StoreFixture f;
  f.Add(PodKind(), R"({"metadata":{"name":"a"}})");
  const auto refusal = [&](std::string_view text, std::string_view ns) {
    return f.store.Create(PodKind(), ns, Parsed(text)).error();
  };
  CHECK(refusal(R"({"metadata":{"name":"a"}})", "default").reason == "AlreadyExists");
  CHECK(refusal(R"({"metadata":{"name":"a"}})", "default").message == "pods \"a\" already exists");
  CHECK(refusal(R"({"metadata":{"name":"A_b"}})", "default").code == 422);
  CHECK(refusal(R"({"metadata":{}})", "default").code == 422);
  CHECK(refusal(R"({"metadata":{"name":"a"}})", "nowhere").message ==
        "namespaces \"nowhere\" not found");
  CHECK(f.store.Create(PodKind(), "other", StoreFixture::Named("a")).ok());
}

TEST_CASE("generateName makes different names") {
  StoreFixture f;
  const ObjectRef one = f.Add(PodKind(), R"({"metadata":{"generateName":"a-"}})");
  const ObjectRef two = f.Add(PodKind(), R"({"metadata":{"generateName":"a-"}})");
  CHECK(one->key.name.starts_with("a-"));
  CHECK(one->key.name != two->key.name);
}

TEST_CASE("a write moves the version, a change of the spec the generation, and no change nothing") {
  StoreFixture f;
  const ObjectRef made =
      f.Add(DeploymentKind(), R"({"metadata":{"name":"a"},"spec":{"replicas":1}})");
  const ApiResult<ObjectRef> labelled = f.Set(made, {"metadata", "labels", "x"}, "y");
  REQUIRE(labelled.ok());
  CHECK((*labelled)->version > made->version);
  CHECK((*labelled)->labels.at("x") == "y");
  CHECK(NumberAt(*(*labelled)->json, {"metadata", "generation"}) == 1);
  const ApiResult<ObjectRef> scaled = f.Set(*labelled, {"spec", "replicas"}, 2);
  CHECK(NumberAt(*(*scaled)->json, {"metadata", "generation"}) == 2);
  const ApiResult<ObjectRef> same = f.Set(*scaled, {"spec", "replicas"}, 2);
  CHECK((*same)->version == (*scaled)->version);
}

TEST_CASE("a write that names another version than the current one conflicts") {
  StoreFixture f;
  const ObjectRef made =
      f.Add(DeploymentKind(), R"({"metadata":{"name":"a"},"spec":{"replicas":1}})");
  REQUIRE(f.Set(made, {"spec", "replicas"}, 2).ok());
  const ApiResult<ObjectRef> late =
      f.store.Write(DeploymentKind(), made->key, WritePart::kMain, [&](Json& copy) -> ApiError {
        copy = *made->json;
        Ensure(copy, {"spec", "replicas"}) = 3;
        return {};
      });
  CHECK(late.error().code == 409);
  CHECK(late.error().reason == "Conflict");
  CHECK(late.error().message ==
        "Operation cannot be fulfilled on deployments.apps \"a\": the object has been modified; "
        "please apply your changes to the latest version and try again");
  CHECK(NumberAt(*f.Get(DeploymentKind(), "a")->json, {"spec", "replicas"}) == 2);
}

TEST_CASE("status and the rest are written apart") {
  StoreFixture f;
  const ObjectRef made =
      f.Add(DeploymentKind(), R"({"metadata":{"name":"a"},"spec":{"replicas":1}})");
  const auto both = [](Json& copy) -> ApiError {
    Ensure(copy, {"spec", "replicas"}) = 9;
    Ensure(copy, {"status", "replicas"}) = 9;
    return {};
  };
  const auto status = f.store.Write(DeploymentKind(), made->key, WritePart::kStatus, both);
  CHECK(NumberAt(*(*status)->json, {"spec", "replicas"}) == 1);
  CHECK(NumberAt(*(*status)->json, {"status", "replicas"}) == 9);
  CHECK(NumberAt(*(*status)->json, {"metadata", "generation"}) == 1);
  REQUIRE(f.Set(made, {"spec", "replicas"}, 4).ok());
  const auto main = f.Set(made, {"status", "replicas"}, 1);
  CHECK(NumberAt(*(*main)->json, {"spec", "replicas"}) == 4);
  CHECK(NumberAt(*(*main)->json, {"status", "replicas"}) == 9);
}

TEST_CASE("nobody can rename an object or change what belongs to the server") {
  StoreFixture f;
  const ObjectRef made = f.Add(PodKind(), R"({"metadata":{"name":"a"}})");
  const auto edit = [](Json& copy) -> ApiError {
    Ensure(copy, {"metadata", "name"}) = "b";
    Ensure(copy, {"metadata", "creationTimestamp"}) = "1970-01-01T00:00:00Z";
    Ensure(copy, {"metadata", "labels", "x"}) = "y";
    return {};
  };
  const auto written = f.store.Write(PodKind(), made->key, WritePart::kMain, edit);
  REQUIRE(written.ok());
  CHECK(TextAt(*(*written)->json, {"metadata", "name"}) == "a");
  CHECK(TextAt(*(*written)->json, {"metadata", "creationTimestamp"}) == "2026-01-01T00:00:00Z");
  const auto other = f.Set(made, {"metadata", "uid"}, "another");
  CHECK(other.error().code == 409);
}

TEST_CASE("a running pod goes gracefully, a waiting one at once") {
  StoreFixture f;
  const ObjectRef waiting = f.Add(PodKind(), R"({"metadata":{"name":"w"}})");
  REQUIRE(f.store.Delete(PodKind(), waiting->key, {}).ok());
  CHECK(f.Get(PodKind(), "w") == nullptr);

  const ObjectRef pod = f.Add(PodKind(), R"({"metadata":{"name":"r"},
      "spec":{"nodeName":"n","terminationGracePeriodSeconds":20}})");
  REQUIRE(f.store.Delete(PodKind(), pod->key, {}).ok());
  const ObjectRef leaving = f.Get(PodKind(), "r");
  REQUIRE(leaving != nullptr);
  CHECK(leaving->deleting());
  CHECK(NumberAt(*leaving->json, {"metadata", "deletionGracePeriodSeconds"}) == 20);
  CHECK(TextAt(*leaving->json, {"metadata", "deletionTimestamp"}) == "2026-01-01T00:00:20Z");
  // Again changes nothing, sooner does.
  CHECK((*f.store.Delete(PodKind(), pod->key, {}))->version == leaving->version);
  DeleteOptions sooner;
  sooner.grace_seconds = 5;
  REQUIRE(f.store.Delete(PodKind(), pod->key, sooner).ok());
  CHECK(NumberAt(*f.Get(PodKind(), "r")->json, {"metadata", "deletionGracePeriodSeconds"}) == 5);
  DeleteOptions now;
  now.grace_seconds = 0;
  REQUIRE(f.store.Delete(PodKind(), pod->key, now).ok());
  CHECK(f.Get(PodKind(), "r") == nullptr);
}

TEST_CASE("deletion heeds preconditions and finalizers") {
  StoreFixture f;
  const ObjectRef made =
      f.Add(ConfigMapKind(), R"({"metadata":{"name":"a","finalizers":["x/y"]}})");
  CHECK(f.store.Delete(ConfigMapKind(), made->key, DeleteOptions::Exactly("other")).error().code ==
        409);
  DeleteOptions old;
  old.expected_version = "1";
  CHECK(f.store.Delete(ConfigMapKind(), made->key, old).error().reason == "Conflict");
  REQUIRE(f.store.Delete(ConfigMapKind(), made->key, {}).ok());
  REQUIRE(f.Get(ConfigMapKind(), "a") != nullptr);
  CHECK(f.Get(ConfigMapKind(), "a")->deleting());
  REQUIRE(f.Set(made, {"metadata", "finalizers"}, boost::json::array()).ok());
  CHECK(f.Get(ConfigMapKind(), "a") == nullptr);
}

TEST_CASE("a watch sees each change once, in order, and never from inside the write") {
  StoreFixture f;
  ChangeNotes notes;
  const auto watch = f.store.Watch(ConfigMapKind(), f.store.version(), notes.Handlers());
  const ObjectRef a = f.Add(ConfigMapKind(), R"({"metadata":{"name":"a"}})");
  f.Add(PodKind(), R"({"metadata":{"name":"p"}})");
  CHECK(notes.lines.empty());
  f.Settle();
  REQUIRE(f.Set(a, {"data", "k"}, "v").ok());
  REQUIRE(f.store.Delete(ConfigMapKind(), a->key, {}).ok());
  f.Settle();
  CHECK(notes.lines == std::vector<std::string>{"+a", "~a", "-a"});
}

TEST_CASE("a watch from an earlier version replays what came since") {
  StoreFixture f;
  f.Add(ConfigMapKind(), R"({"metadata":{"name":"a"}})");
  const uint64_t version = f.store.version();
  f.Add(ConfigMapKind(), R"({"metadata":{"name":"b"}})");
  ChangeNotes notes;
  const auto watch = f.store.Watch(ConfigMapKind(), version, notes.Handlers());
  f.Settle();
  CHECK(notes.lines == std::vector<std::string>{"+b"});
}

TEST_CASE("the deletion's object carries the deletion's version") {
  StoreFixture f;
  const ObjectRef a = f.Add(ConfigMapKind(), R"({"metadata":{"name":"a"}})");
  const auto deleted = f.store.Delete(ConfigMapKind(), a->key, {});
  CHECK((*deleted)->version == f.store.version());
  CHECK(TextAt(Parsed((*deleted)->text), {"metadata", "resourceVersion"}) ==
        std::to_string(f.store.version()));
}

TEST_CASE("history is bounded: old versions are forgotten, a slow watch is told") {
  StoreLimits limits;
  limits.history_max = 3;
  StoreFixture f(limits);
  const uint64_t begin = f.store.version();
  ChangeNotes notes;
  const auto watch = f.store.Watch(ConfigMapKind(), begin, notes.Handlers());
  ChangeNotes reliable;
  for (int i = 0; i < 5; ++i) {
    f.Add(ConfigMapKind(), R"({"metadata":{"generateName":"a"}})");
  }
  CHECK_FALSE(f.store.Remembers(ConfigMapKind(), begin));
  CHECK(f.store.Remembers(ConfigMapKind(), f.store.version() - 3));
  CHECK(f.store.Remembers(PodKind(), begin));
  f.Settle();
  CHECK(notes.expired == 1);
  CHECK(notes.lines.empty());
}

TEST_CASE("history waits for a reliable watch") {
  StoreLimits limits;
  limits.history_max = 3;
  StoreFixture f(limits);
  ChangeNotes notes;
  StoreWatchHandlers handlers = notes.Handlers();
  handlers.reliable = true;
  const auto watch = f.store.Watch(ConfigMapKind(), f.store.version(), std::move(handlers));
  for (int i = 0; i < 20; ++i) f.Add(ConfigMapKind(), R"({"metadata":{"generateName":"a"}})");
  f.Settle();
  CHECK(notes.lines.size() == 20);
  CHECK(notes.expired == 0);
}

TEST_CASE("a compaction makes every earlier version too old, and leaves open watches alone") {
  StoreFixture f;
  ChangeNotes notes;
  const auto watch = f.store.Watch(ConfigMapKind(), f.store.version(), notes.Handlers());
  f.Add(ConfigMapKind(), R"({"metadata":{"name":"a"}})");
  const uint64_t before = f.store.version();
  f.store.Compact();
  CHECK_FALSE(f.store.Remembers(ConfigMapKind(), before));
  CHECK(f.store.Remembers(ConfigMapKind(), f.store.version()));
  f.Add(ConfigMapKind(), R"({"metadata":{"name":"b"}})");
  f.Settle();
  CHECK(notes.lines == std::vector<std::string>{"+a", "+b"});
  CHECK(notes.expired == 0);
}

TEST_CASE("a handler may end its own watch, another's, and write") {
  StoreFixture f;
  std::unique_ptr<StoreWatch> first;
  std::unique_ptr<StoreWatch> second;
  ChangeNotes notes;
  int calls = 0;
  StoreWatchHandlers ending;
  ending.on_change = [&](const Change&) {
    ++calls;
    first.reset();
    second.reset();
    (void)f.store.Create(ConfigMapKind(), "default", StoreFixture::Named("from-inside")).ok();
  };
  first = f.store.Watch(ConfigMapKind(), f.store.version(), std::move(ending));
  second = f.store.Watch(ConfigMapKind(), f.store.version(), notes.Handlers());
  f.Add(ConfigMapKind(), R"({"metadata":{"name":"a"}})");
  f.Settle();
  CHECK(calls == 1);
  CHECK(notes.lines.empty());
  CHECK(f.Get(ConfigMapKind(), "from-inside") != nullptr);
}

TEST_CASE("events are bounded: the oldest go") {
  StoreLimits limits;
  limits.events_max = 20;
  StoreFixture f(limits);
  for (int i = 0; i < 50; ++i) f.Add(EventKind(), R"({"metadata":{"generateName":"e"}})");
  CHECK(f.store.List(EventKind(), "").size() <= 20);
}

TEST_CASE("a list is in the order of namespace and name") {
  StoreFixture f;
  f.Add(PodKind(), R"({"metadata":{"name":"b"}})");
  f.Add(PodKind(), R"({"metadata":{"name":"a"}})", "other");
  f.Add(PodKind(), R"({"metadata":{"name":"a"}})");
  std::string names;
  for (const ObjectRef& pod : f.store.List(PodKind(), "")) names += pod->key.text() + " ";
  CHECK(names == "default/a default/b other/a ");
  CHECK(f.store.List(PodKind(), "default").size() == 2);
}

}  // namespace
}  // namespace rouse::k8s::local
