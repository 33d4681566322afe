// Whatever a watch's body says: the same documents and the same verdict, whole and byte by byte.

#include <string>
#include <vector>

#include "common/base/check.h"
#include "k8s/json_stream.h"

namespace {

using rouse::k8s::JsonStream;

struct Cut {
  std::vector<std::string> documents;
  bool good = true;
};

Cut CutUp(std::string_view bytes, size_t each) {
  Cut cut;
  JsonStream stream({.document_bytes_max = 4096, .depth_max = 16});
  JsonStream::OnDocument take = [&cut](std::string_view document) {
    cut.documents.emplace_back(document);
    return true;
  };
  for (size_t begin = 0; begin < bytes.size() && cut.good; begin += each) {
    cut.good = stream.Feed(bytes.substr(begin, each), take).ok();
  }
  cut.good = cut.good && stream.Finish().ok();
  return cut;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Cut whole = CutUp(bytes, bytes.size() + 1);
  const Cut parts = CutUp(bytes, 1);
  CHECK(whole.good == parts.good);
  CHECK(whole.documents == parts.documents);
  return 0;
}
