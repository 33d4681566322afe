#include "k8s/local/pod_logs.h"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace rouse::k8s::local {

struct PodLogStreams::Stream {
  ObjectKey pod;
  PodLogs* logs = nullptr;
  std::string path;
  uint64_t offset = 0;
  std::unique_ptr<control::HttpResponder> responder;
  control::TimerId timer = 0;
};

namespace {

/// What a file holds from `offset` on, at most `most` bytes; from its start where it has shrunk.
std::string ReadFrom(const std::string& path, uint64_t& offset, size_t most) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return {};
  const uint64_t size = static_cast<uint64_t>(file.tellg());
  if (size < offset) offset = 0;
  file.seekg(static_cast<std::streamoff>(offset));
  std::string text(std::min<uint64_t>(size - offset, most), '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  offset += text.size();
  return text;
}

void Refuse(control::HttpResponder& responder, const ApiError& error) {
  responder.Respond(error.code, {{"Content-Type", "application/json"}}, error.StatusText() + "\n");
}

}  // namespace

std::string_view LastLines(std::string_view text, size_t lines) {
  size_t at = text.size();
  if (at > 0 && text.back() == '\n') --at;
  for (size_t i = 0; i < lines; ++i) {
    const size_t newline = at == 0 ? std::string_view::npos : text.rfind('\n', at - 1);
    if (newline == std::string_view::npos) return text;
    at = newline;
  }
  return lines == 0 ? std::string_view() : text.substr(at + 1);
}

PodLogStreams::PodLogStreams(control::Loop& loop)
    : loop_(loop), alive_(std::make_shared<bool>(true)) {}

PodLogStreams::~PodLogStreams() {
  *alive_ = false;
  while (!streams_.empty()) Drop(streams_.begin()->first);
}

void PodLogStreams::Start(const ApiTarget& target, PodLogs* logs,
                          std::unique_ptr<control::HttpResponder> responder) {
  if (logs == nullptr) return Refuse(*responder, NotFound(*target.kind, target.name));
  const ApiResult<std::string> path = logs->LogPath(target.key(), target.QueryFlag("previous"));
  if (!path.ok()) return Refuse(*responder, path.error());
  uint64_t offset = 0;
  const std::string text = ReadFrom(*path, offset, kLogBytesMax);
  std::string_view shown = text;
  if (const auto lines = target.QueryNumber("tailLines")) {
    shown = LastLines(text, static_cast<size_t>(std::max<int64_t>(0, *lines)));
  }
  if (const auto bytes = target.QueryNumber("limitBytes")) {
    shown = shown.substr(0, static_cast<size_t>(std::max<int64_t>(0, *bytes)));
  }
  if (!target.QueryFlag("follow")) {
    return responder->Respond(200, {{"Content-Type", "text/plain"}}, std::string(shown));
  }
  const uint64_t id = next_++;
  auto stream =
      std::make_unique<Stream>(Stream{target.key(), logs, *path, offset, std::move(responder), 0});
  stream->responder->Begin(200, {{"Content-Type", "text/plain"}});
  if (!shown.empty() && !stream->responder->Write(std::string(shown)).ok()) return;
  stream->responder->OnGone([this, id, alive = alive_] {
    if (!*alive) return;
    loop_.Post([this, id, alive] {
      if (*alive) Drop(id);
    });
  });
  streams_[id] = std::move(stream);
  Follow(id);
}

void PodLogStreams::Follow(uint64_t id) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  Stream& stream = *found->second;
  const bool open =
      stream.logs->LogOpen(stream.pod);  // Asked first, so that the last words are read.
  std::string text = ReadFrom(stream.path, stream.offset, kLogBytesMax);
  if (!text.empty() && !stream.responder->Write(std::move(text)).ok()) {
    stream.responder->Abort();
    return Drop(id);
  }
  if (!open) {
    stream.responder->End();
    return Drop(id);
  }
  stream.timer = loop_.At(Later(loop_.now(), kLogFollowInterval), [this, id] { Follow(id); });
}

void PodLogStreams::Drop(uint64_t id) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  const std::unique_ptr<Stream> stream = std::move(found->second);
  streams_.erase(found);
  loop_.Cancel(stream->timer);
}

}  // namespace rouse::k8s::local
