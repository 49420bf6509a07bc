#include "core/files/download.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace quorate::files {
namespace {

// How long to wait when the peer has not taken what was sent.
constexpr io::Duration kPace = std::chrono::milliseconds(20);
constexpr uint64_t kPieceBytes = 1 << 18;

http::Headers HeadersOf(const Download& download) {
  std::string name = download.name;
  // It stands unquoted in a header field.
  std::replace_if(
      name.begin(), name.end(),
      [](unsigned char c) { return c <= ' ' || c >= 127 || c == ';'; }, '_');
  return {{"Content-Disposition", absl::StrCat("attachment; filename=", name)},
          {"Content-Type", "application/octet-stream"}};
}

}  // namespace

// A large file on its way.
class Transfers::Transfer {
 public:
  // `on_end` is called once, from the event loop, and may destroy this.
  Transfer(io::Environment& environment, std::unique_ptr<Download> download,
           std::unique_ptr<http::Stream> stream, std::function<void()> on_end)
      : clock_(environment.clock()),
        on_end_(std::move(on_end)),
        download_(std::move(download)),
        stream_(std::move(stream)),
        lane_(environment.NewLane("download")) {
    stream_->OnClosed([this] { EndLater(); });
    Write(download_->beginning);
  }

 private:
  void Write(absl::string_view piece) {
    if (ending_) return;
    offset_ += piece.size();
    stream_->Write(piece);
    if (!piece.empty() && offset_ < download_->size) return Continue();
    // A file that shrank meanwhile ends early.
    stream_->Close();
    EndLater();
  }

  void Continue() {
    if (stream_->queued_bytes() >= kPieceBytes) {
      timer_ = clock_.RunAfter(kPace, [this] { Continue(); });
      return;
    }
    piece_.clear();
    lane_->Run(
        [this, size = std::min(kPieceBytes, download_->size - offset_)] {
          if (!download_->file->ReadAt(offset_, size, &piece_).ok()) {
            piece_.clear();
          }
        },
        [this] { Write(piece_); });
  }

  void EndLater() {
    ending_ = true;
    timer_ = clock_.RunAfter(io::Duration::zero(), on_end_);
  }

  io::Clock& clock_;
  const std::function<void()> on_end_;
  const std::unique_ptr<Download> download_;
  uint64_t offset_ = 0;
  std::string piece_;
  bool ending_ = false;
  const std::unique_ptr<http::Stream> stream_;
  io::Timer timer_;
  // The last member: work on it uses the others.
  const std::unique_ptr<io::Lane> lane_;
};

Transfers::Transfers(io::Environment& environment)
    : environment_(environment) {}
Transfers::~Transfers() = default;

void Transfers::Add(std::unique_ptr<Download> download,
                    http::Responder responder) {
  http::Headers headers = HeadersOf(*download);
  if (download->size <= kMaxWholeDownloadBytes) {
    return responder.Send({.headers = std::move(headers),
                           .body = std::move(download->beginning)});
  }
  if (running_.size() >= kMaxTransfers) {
    return responder.Send(http::Response::Text(
        503, "Too many downloads are running; try again."));
  }
  const uint64_t id = ++last_id_;
  running_[id] =
      std::make_unique<Transfer>(environment_, std::move(download),
                                 responder.StartStream(200, std::move(headers)),
                                 [this, id] { running_.erase(id); });
}

absl::StatusOr<std::unique_ptr<Download>> PrepareDownload(
    io::Disk& disk, const Location& location) {
  auto download = std::make_unique<Download>();
  download->name = location.path.substr(location.path.rfind('/') + 1);
  auto file = OpenFile(disk, location);
  if (!file.ok()) return file.status();
  download->file = *std::move(file);
  auto size = download->file->Size();
  if (!size.ok()) return size.status();
  download->size = *size;
  const absl::Status read = download->file->ReadAt(
      0, std::min(*size, kMaxWholeDownloadBytes), &download->beginning);
  if (!read.ok()) return read;
  return download;
}

}  // namespace quorate::files
