#include "core/wire/frame.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/crc32c.h"
#include "core/wire/handshake.pb.h"

namespace quorate::wire {
namespace {

constexpr size_t kMaxIdBytes = 255;

void PutU32(uint32_t value, std::string* out) {
  for (int i = 0; i < 4; ++i) {
    out->push_back(static_cast<char>((value >> (8 * i)) & 0xff));
  }
}

uint32_t GetU32(const char* bytes) {
  uint32_t value = 0;
  for (int i = 3; i >= 0; --i) {
    value = (value << 8) | static_cast<unsigned char>(bytes[i]);
  }
  return value;
}

std::string Describe(const Versions& versions) {
  return versions.oldest == versions.newest
             ? absl::StrCat("version ", versions.newest)
             : absl::StrCat("the versions ", versions.oldest, " to ",
                            versions.newest);
}

}  // namespace

std::string EncodeFrame(absl::string_view payload) {
  std::string frame;
  frame.reserve(kFrameHeaderBytes + payload.size());
  PutU32(static_cast<uint32_t>(payload.size()), &frame);
  PutU32(Crc32c(payload), &frame);
  frame.append(payload.data(), payload.size());
  return frame;
}

absl::StatusOr<bool> FrameDecoder::Next(std::string* payload) {
  const size_t have = buffer_.size() - begin_;
  if (have < kFrameHeaderBytes) return false;
  const char* header = buffer_.data() + begin_;
  const size_t size = GetU32(header);
  if (size > max_frame_bytes_) {
    return absl::DataLossError(absl::StrCat("a frame of ", size, " bytes"));
  }
  if (have < kFrameHeaderBytes + size) return false;
  payload->assign(header + kFrameHeaderBytes, size);
  if (Crc32c(*payload) != GetU32(header + 4)) {
    return absl::DataLossError("a frame with a wrong checksum");
  }
  begin_ += kFrameHeaderBytes + size;
  // Moving the rest to the front costs no more than what was taken.
  if (begin_ * 2 >= buffer_.size()) {
    buffer_.erase(0, begin_);
    begin_ = 0;
  }
  return true;
}

absl::StatusOr<uint32_t> CommonVersion(const Versions& mine,
                                       const Versions& peers) {
  const uint32_t common = std::min(mine.newest, peers.newest);
  if (common >= std::max(mine.oldest, peers.oldest)) return common;
  const bool peer_is_old = peers.newest < mine.oldest;
  return absl::FailedPreconditionError(absl::StrCat(
      "the peer speaks ", Describe(peers), " of the protocol, this program ",
      Describe(mine), ": upgrade ", peer_is_old ? "the peer" : "this program",
      " to a release that speaks version ",
      peer_is_old ? mine.oldest : peers.oldest, "; one that speaks version ",
      common, " as well can be rolled out node by node"));
}

std::string EncodeHandshake(const Handshake& handshake) {
  HandshakeFrame frame;
  frame.set_protocol_version(handshake.versions.newest);
  frame.set_oldest_protocol_version(handshake.versions.oldest);
  frame.set_purpose(static_cast<uint32_t>(handshake.purpose));
  frame.set_cluster_id(handshake.cluster_id);
  frame.set_node_id(handshake.node_id);
  frame.set_ip(handshake.address.ip);
  frame.set_port(handshake.address.port);
  return frame.SerializeAsString();
}

absl::StatusOr<Handshake> DecodeHandshake(absl::string_view payload) {
  HandshakeFrame frame;
  if (!frame.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    return absl::InvalidArgumentError("not a handshake");
  }
  const auto purpose = static_cast<Purpose>(frame.purpose());
  if ((purpose < Purpose::kLog || purpose > Purpose::kDetector) ||
      frame.cluster_id().size() > kMaxIdBytes ||
      frame.oldest_protocol_version() > frame.protocol_version() ||
      frame.node_id().size() > kMaxIdBytes || frame.ip().size() > kMaxIdBytes ||
      frame.port() > 65535) {
    return absl::InvalidArgumentError("a handshake with bad fields");
  }
  Handshake handshake;
  handshake.purpose = purpose;
  handshake.versions = {frame.oldest_protocol_version(),
                        frame.protocol_version()};
  handshake.cluster_id = frame.cluster_id();
  handshake.node_id = frame.node_id();
  handshake.address = {frame.ip(), static_cast<uint16_t>(frame.port())};
  return handshake;
}

}  // namespace quorate::wire
