// The resource algebra: what agents have, offers hold and tasks take.
//
//   absl::StatusOr<Resources> total =
//       Resources::ParseText("cpus:4;mem:8192;ports:[31000-32000]");
//   Resources left = *total - used;
//   if (left.Contains(wanted)) ...
//
// A Resources value is a set of amounts. An amount is a scalar with three
// decimals, a set of ranges or a set of items; it belongs to an identity, which
// is all else that a v1 Resource says: name, type, reservations, allocation,
// disk, provider. Amounts of one identity are kept as one, amounts of different
// identities never mix: cpus reserved to "eng" do not satisfy a request for
// unreserved cpus. Persistent volumes and whole disks (MOUNT, BLOCK, RAW) are
// neither merged nor split.
//
// Reservations are kept as a stack, outermost role first, as the API has them
// since reservation refinement; the older form is converted on the way in and
// out.

#ifndef QUORATE_CORE_RESOURCES_RESOURCES_H_
#define QUORATE_CORE_RESOURCES_RESOURCES_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/resources/amount.h"

namespace google::protobuf {
template <typename Element>
class RepeatedPtrField;
}

namespace mesos::v1 {
class Resource;
}

namespace quorate::json {
class JsonWriter;
}

namespace quorate {

class Resources {
 public:
  using Protos = google::protobuf::RepeatedPtrField<mesos::v1::Resource>;

  // The greatest scalar of one resource that is accepted from outside: sums
  // over 90,000 agents still fit.
  static constexpr double kMaxScalar = 1e11;

  // How reservations are written.
  enum class Form {
    kRefined,  // `reservations`, and no `role`.
    // `role` ("*" if unreserved) and `reservation` if it is dynamic. What has
    // more than one reservation cannot be said in this form and is left out:
    // it is not for peers that lack RESERVATION_REFINEMENT.
    kClassic,
  };

  Resources() = default;

  // Takes both forms, but not both in one resource. Amounts of zero vanish.
  // InvalidArgument for an empty name, a value that is not of the type stated,
  // negative, NaN, infinite or above kMaxScalar, a range that is backwards or
  // overlaps another, an item given twice, an invalid role, and for shared
  // resources, which are not supported.
  static absl::StatusOr<Resources> FromProto(const Protos& protos);
  // Appends, ordered by name.
  void ToProto(Protos* protos, Form form = Form::kRefined) const;

  // The form of the --resources flag: "cpus:4;ports:[31000-32000];disks:{a,b}",
  // with a static reservation "cpus(eng):2"; or a JSON array of v1 Resources.
  // What names no role is reserved to `default_role` unless that is "*".
  // InvalidArgument as FromProto and for bad syntax.
  static absl::StatusOr<Resources> ParseText(
      absl::string_view text, absl::string_view default_role = "*");
  // The same form. Reservations that it cannot express are written so that they
  // can be read: "cpus(dynamic eng, dynamic eng/ci):2". The rest of the
  // identity does not show.
  std::string ToText() const;

  bool empty() const { return entries_.empty(); }
  bool Contains(const Resources& other) const;

  // Ranges and items that both sides hold are held once in the sum.
  Resources& operator+=(const Resources& other);
  // Requires Contains(other).
  Resources& operator-=(const Resources& other);
  friend Resources operator+(Resources a, const Resources& b) { return a += b; }
  friend Resources operator-(Resources a, const Resources& b) { return a -= b; }
  friend bool operator==(const Resources& a, const Resources& b) {
    return a.entries_ == b.entries_;
  }
  friend bool operator!=(const Resources& a, const Resources& b) {
    return !(a == b);
  }

  // Marks everything as offered or allocated to `role`, in place of any other.
  void Allocate(absl::string_view role);
  // Removes such marks.
  void Unallocate();

  Resources Unreserved() const;
  // By the role of the innermost reservation.
  std::map<std::string, Resources> Reserved() const;
  // What is unreserved, and what is reserved to the role or to one above it.
  Resources VisibleTo(absl::string_view role) const;

  // The sum of the scalars of that name, whatever else their identities say.
  double Scalar(absl::string_view name) const;

  // One JSON object, as /state shows resources: the sum by name, for disk, mem,
  // gpus and cpus even if it is 0, ranges and sets as text.
  void WriteSummary(json::JsonWriter& writer) const;

 private:
  // All that a v1 Resource says but its amount; copies share it.
  struct Identity {
    std::string name;
    // The v1 Resource without its amount, serialized: equal for equal
    // identities.
    std::string bytes;
    // Of the innermost reservation; "*" if unreserved.
    std::string role;
    // Neither merged nor split.
    bool whole = false;
    // The same without an allocation mark; null if there is none.
    std::shared_ptr<const Identity> unmarked;
  };
  struct Entry {
    std::shared_ptr<const Identity> identity;
    Amount amount;

    bool operator==(const Entry& other) const {
      return Compare(*this, other) == 0 && amount == other.amount;
    }
  };

  static std::shared_ptr<const Identity> MakeIdentity(
      const mesos::v1::Resource& identity);
  static absl::StatusOr<Entry> ToEntry(const mesos::v1::Resource& resource);
  // Of the identities, as for std::string.
  static int Compare(const Entry& a, const Entry& b);
  static bool Precedes(const Entry& a, const Entry& b) {
    return Compare(a, b) < 0;
  }

  const Entry* Find(const Entry& like) const;
  void Add(Entry entry);
  // Replaces every identity; those that are equal then merge.
  void EditIdentities(
      const std::function<std::shared_ptr<const Identity>(
          const std::shared_ptr<const Identity>& identity)>& edit);

  // Sorted by name, then identity, then (for whole entries) scalar. No amount
  // is empty.
  std::vector<Entry> entries_;
};

}  // namespace quorate

#endif  // QUORATE_CORE_RESOURCES_RESOURCES_H_
