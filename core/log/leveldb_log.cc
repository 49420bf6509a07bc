#include "core/log/leveldb_log.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "core/base/crc32c.h"
#include "core/log/fixed_bytes.h"

namespace quorate::log {
namespace {

constexpr size_t kBlockBytes = 32 << 10;
// checksum, size, type.
constexpr size_t kFragmentHeaderBytes = 4 + 2 + 1;
enum FragmentType { kFull = 1, kFirst = 2, kMiddle = 3, kLast = 4 };
// sequence, number of records.
constexpr size_t kBatchHeaderBytes = 8 + 4;
enum RecordType { kDeletion = 0, kValue = 1 };

// Checksums are stored rotated, so that one of data with checksums in it is
// not trivial.
uint32_t Masked(uint32_t sum) {
  return ((sum >> 15) | (sum << 17)) + 0xa282ead8u;
}

std::optional<uint32_t> TakeVarint(absl::string_view* in) {
  uint32_t value = 0;
  for (int shift = 0; shift <= 28 && !in->empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(in->front());
    in->remove_prefix(1);
    value |= static_cast<uint32_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  return std::nullopt;
}

std::optional<absl::string_view> TakeString(absl::string_view* in) {
  const std::optional<uint32_t> size = TakeVarint(in);
  if (!size || in->size() < *size) return std::nullopt;
  const absl::string_view taken = in->substr(0, *size);
  in->remove_prefix(*size);
  return taken;
}

void ReadBatch(absl::string_view batch, const OnPut& on_put) {
  if (batch.size() < kBatchHeaderBytes) return;
  batch.remove_prefix(kBatchHeaderBytes);
  while (!batch.empty()) {
    const char type = batch.front();
    batch.remove_prefix(1);
    const std::optional<absl::string_view> key = TakeString(&batch);
    if (!key || (type != kValue && type != kDeletion)) return;
    if (type == kDeletion) continue;
    const std::optional<absl::string_view> value = TakeString(&batch);
    if (!value) return;
    on_put(*key, *value);
  }
}

// Puts fragments together.
class BatchReader {
 public:
  explicit BatchReader(const OnPut& on_put) : on_put_(on_put) {}

  void OnFragment(int type, absl::string_view data) {
    if (type == kFull || type == kFirst) {
      batch_.assign(data.data(), data.size());
      begun_ = true;
    } else if (begun_) {
      batch_.append(data.data(), data.size());
    }
    if (begun_ && (type == kFull || type == kLast)) {
      ReadBatch(batch_, on_put_);
      begun_ = false;
    }
  }
  void OnDamage() { begun_ = false; }

 private:
  const OnPut& on_put_;
  std::string batch_;
  bool begun_ = false;
};

}  // namespace

void ForEachPut(absl::string_view log, const OnPut& on_put) {
  BatchReader reader(on_put);
  for (; !log.empty();
       log.remove_prefix(std::min<size_t>(kBlockBytes, log.size()))) {
    absl::string_view block = log.substr(0, kBlockBytes);
    while (block.size() >= kFragmentHeaderBytes) {
      const uint64_t size = GetFixed(block, 4, 2);
      const int type = static_cast<unsigned char>(block[6]);
      const bool whole =
          type >= kFull && type <= kLast &&
          size + kFragmentHeaderBytes <= block.size() &&
          Masked(Crc32c(block.substr(6, 1 + size))) == GetFixed(block, 0, 4);
      if (!whole) {
        reader.OnDamage();
        break;
      }
      reader.OnFragment(type, block.substr(kFragmentHeaderBytes, size));
      block.remove_prefix(kFragmentHeaderBytes + size);
    }
  }
}

}  // namespace quorate::log
