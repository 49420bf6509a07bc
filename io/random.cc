#include "io/random.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace quorate::io {
namespace {

uint64_t SplitMix64(uint64_t* state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

uint64_t RotateLeft(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

}  // namespace

uint64_t Random::Below(uint64_t bound) {
  // Multiply-shift; the bias is below 2^-32 for every bound used here.
  return static_cast<uint64_t>(
      (static_cast<unsigned __int128>(Next()) * bound) >> 64);
}

Duration Random::Between(Duration low, Duration high) {
  if (high <= low) return low;
  return low + Duration(static_cast<Duration::rep>(
                   Below(static_cast<uint64_t>((high - low).count()))));
}

double Random::Fraction() {
  return static_cast<double>(Next() >> 11) * 0x1.0p-53;
}

std::string Random::UuidBytes() {
  std::string bytes;
  for (int word = 0; word < 2; ++word) {
    uint64_t bits = Next();
    for (int i = 0; i < 8; ++i, bits >>= 8) {
      bytes.push_back(static_cast<char>(bits & 0xff));
    }
  }
  bytes[6] = static_cast<char>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<char>((bytes[8] & 0x3f) | 0x80);
  return bytes;
}

std::string Random::Uuid() { return UuidText(UuidBytes()); }

SeededRandom::SeededRandom(uint64_t seed) : seed_(seed) {
  for (uint64_t& word : state_) word = SplitMix64(&seed);
}

uint64_t SeededRandom::Next() {
  const uint64_t result = RotateLeft(state_[1] * 5, 7) * 9;
  const uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = RotateLeft(state_[3], 45);
  return result;
}

std::unique_ptr<Random> SeededRandom::Split(absl::string_view name) const {
  uint64_t seed = seed_ ^ 0xcbf29ce484222325;
  for (char c : name) {
    seed = (seed ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return std::make_unique<SeededRandom>(SplitMix64(&seed));
}

std::string UuidText(absl::string_view bytes) {
  const std::string hex = absl::BytesToHexString(bytes);
  return absl::StrCat(hex.substr(0, 8), "-", hex.substr(8, 4), "-",
                      hex.substr(12, 4), "-", hex.substr(16, 4), "-",
                      hex.substr(20));
}

}  // namespace quorate::io
