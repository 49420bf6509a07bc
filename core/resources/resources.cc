#include "core/resources/resources.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "core/api/media.h"
#include "core/api/mesos.pb.h"
#include "core/json/writer.h"
#include "core/resources/resource_codec.h"
#include "core/resources/roles.h"

namespace quorate {
namespace {

using mesos::v1::Resource;

// Equal identities have equal bytes.
std::string Serialized(const Resource& identity) {
  return api::SerializeBody(api::MediaType::kProtobuf, identity);
}

Resource Parsed(const std::string& bytes) {
  Resource identity;
  CHECK(identity.ParseFromString(bytes));
  return identity;
}

// Whether `role` is the other one or below it.
bool IsWithin(absl::string_view role, absl::string_view other) {
  return absl::ConsumePrefix(&role, other) &&
         (role.empty() || absl::StartsWith(role, "/"));
}

std::string ReservationsText(const Resource& identity) {
  return absl::StrJoin(
      identity.reservations(), ", ",
      [](std::string* out, const Resource::ReservationInfo& reservation) {
        const bool dynamic =
            reservation.type() == Resource::ReservationInfo::DYNAMIC;
        absl::StrAppend(out, dynamic ? "dynamic " : "", reservation.role());
      });
}

}  // namespace

std::shared_ptr<const Resources::Identity> Resources::MakeIdentity(
    const Resource& identity) {
  auto made = std::make_shared<Identity>();
  made->name = identity.name();
  made->bytes = Serialized(identity);
  made->role = ReservationRole(identity);
  made->whole = IsWhole(identity);
  if (identity.has_allocation_info()) {
    Resource unmarked = identity;
    unmarked.clear_allocation_info();
    made->unmarked = MakeIdentity(unmarked);
  }
  return made;
}

absl::StatusOr<Resources::Entry> Resources::ToEntry(const Resource& resource) {
  absl::StatusOr<Amount> amount = AmountOf(resource);
  if (!amount.ok()) return amount.status();
  absl::StatusOr<Resource> identity = IdentityOf(resource);
  if (!identity.ok()) return identity.status();
  return Entry{MakeIdentity(*identity), *std::move(amount)};
}

absl::StatusOr<Resources> Resources::FromProto(const Protos& protos) {
  Resources resources;
  for (const Resource& resource : protos) {
    absl::StatusOr<Entry> entry = ToEntry(resource);
    if (!entry.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "resource '", resource.name(), "': ", entry.status().message()));
    }
    const Entry* same =
        entry->identity->whole ? nullptr : resources.Find(*entry);
    if (same != nullptr &&
        same->amount.millis > ToMillis(kMaxScalar) - entry->amount.millis) {
      return absl::InvalidArgumentError(
          absl::StrCat("resource '", resource.name(), "': too large in sum"));
    }
    resources.Add(*std::move(entry));
  }
  return resources;
}

void Resources::ToProto(Protos* protos, Form form) const {
  for (const Entry& entry : entries_) {
    Resource resource = Parsed(entry.identity->bytes);
    if (form == Form::kClassic && !ToClassicForm(resource)) continue;
    SetAmount(entry.amount, resource);
    *protos->Add() = std::move(resource);
  }
}

absl::StatusOr<Resources> Resources::ParseText(absl::string_view text,
                                               absl::string_view default_role) {
  absl::Status status = ValidateRole(default_role);
  if (!status.ok()) return status;
  Protos protos;
  status = ParseResourceList(text, &protos);
  if (!status.ok()) return status;
  for (Resource& resource : protos) {
    if (!resource.has_role() && resource.reservations().empty()) {
      resource.set_role(std::string(default_role));
    }
  }
  return FromProto(protos);
}

std::string Resources::ToText() const {
  return absl::StrJoin(entries_, ";", [](std::string* out, const Entry& entry) {
    const Identity& identity = *entry.identity;
    absl::StrAppend(out, identity.name);
    if (identity.role != kDefaultRole) {
      absl::StrAppend(out, "(", ReservationsText(Parsed(identity.bytes)), ")");
    }
    absl::StrAppend(out, ":", entry.amount.ToText());
  });
}

int Resources::Compare(const Entry& a, const Entry& b) {
  if (a.identity == b.identity) return 0;
  const int by_name = a.identity->name.compare(b.identity->name);
  return by_name != 0 ? by_name : a.identity->bytes.compare(b.identity->bytes);
}

const Resources::Entry* Resources::Find(const Entry& like) const {
  const auto at =
      std::lower_bound(entries_.begin(), entries_.end(), like, &Precedes);
  return at != entries_.end() && !Precedes(like, *at) ? &*at : nullptr;
}

void Resources::Add(Entry entry) {
  if (entry.amount.empty()) return;
  auto at =
      std::lower_bound(entries_.begin(), entries_.end(), entry, &Precedes);
  const auto is_same = [&] {
    return at != entries_.end() && Compare(*at, entry) == 0;
  };
  if (!entry.identity->whole && is_same()) {
    at->amount.Add(entry.amount);
    return;
  }
  while (is_same() && at->amount.millis < entry.amount.millis) ++at;
  entries_.insert(at, std::move(entry));
}

bool Resources::Contains(const Resources& other) const {
  auto held = entries_.begin();
  for (const Entry& wanted : other.entries_) {
    // Both are sorted.
    while (held != entries_.end() && Precedes(*held, wanted)) ++held;
    if (held == entries_.end() || Precedes(wanted, *held)) return false;
    if (!wanted.identity->whole) {
      if (!held->amount.Contains(wanted.amount)) return false;
      continue;
    }
    // As many of the same.
    if (std::count(held, entries_.end(), wanted) <
        std::count(other.entries_.begin(), other.entries_.end(), wanted)) {
      return false;
    }
  }
  return true;
}

Resources& Resources::operator+=(const Resources& other) {
  if (this == &other) return *this += Resources(other);
  if (entries_.empty()) {
    entries_ = other.entries_;
    return *this;
  }
  for (const Entry& entry : other.entries_) Add(entry);
  return *this;
}

Resources& Resources::operator-=(const Resources& other) {
  if (this == &other) {
    entries_.clear();
    return *this;
  }
  CHECK(Contains(other)) << ToText() << " does not contain " << other.ToText();
  for (const Entry& entry : other.entries_) {
    if (entry.identity->whole) {
      entries_.erase(std::find(entries_.begin(), entries_.end(), entry));
      continue;
    }
    const auto at =
        std::lower_bound(entries_.begin(), entries_.end(), entry, &Precedes);
    at->amount.Subtract(entry.amount);
    if (at->amount.empty()) entries_.erase(at);
  }
  return *this;
}

void Resources::EditIdentities(
    const std::function<std::shared_ptr<const Identity>(
        const std::shared_ptr<const Identity>&)>& edit) {
  std::vector<Entry> entries;
  entries.swap(entries_);
  for (Entry& entry : entries) {
    entry.identity = edit(entry.identity);
    Add(std::move(entry));
  }
}

void Resources::Allocate(absl::string_view role) {
  EditIdentities([role](const std::shared_ptr<const Identity>& identity) {
    const auto& unmarked = identity->unmarked ? identity->unmarked : identity;
    Resource proto = Parsed(unmarked->bytes);
    proto.mutable_allocation_info()->set_role(std::string(role));
    auto marked = std::make_shared<Identity>(*unmarked);
    marked->bytes = Serialized(proto);
    marked->unmarked = unmarked;
    return marked;
  });
}

void Resources::Unallocate() {
  if (std::all_of(entries_.begin(), entries_.end(), [](const Entry& entry) {
        return entry.identity->unmarked == nullptr;
      })) {
    return;
  }
  EditIdentities([](const std::shared_ptr<const Identity>& identity) {
    return identity->unmarked ? identity->unmarked : identity;
  });
}

Resources Resources::Unreserved() const {
  Resources unreserved;
  std::copy_if(
      entries_.begin(), entries_.end(), std::back_inserter(unreserved.entries_),
      [](const Entry& entry) { return entry.identity->role == kDefaultRole; });
  return unreserved;
}

Resources Resources::VisibleTo(absl::string_view role) const {
  Resources visible;
  for (const Entry& entry : entries_) {
    const std::string& reserved_to = entry.identity->role;
    if (reserved_to == kDefaultRole || IsWithin(role, reserved_to)) {
      visible.entries_.push_back(entry);
    }
  }
  return visible;
}

std::map<std::string, Resources> Resources::Reserved() const {
  std::map<std::string, Resources> by_role;
  for (const Entry& entry : entries_) {
    if (entry.identity->role != kDefaultRole) {
      by_role[entry.identity->role].entries_.push_back(entry);
    }
  }
  return by_role;
}

double Resources::Scalar(absl::string_view name) const {
  Amount sum;
  for (const Entry& entry : entries_) {
    if (entry.identity->name == name) sum.millis += entry.amount.millis;
  }
  return sum.scalar();
}

void Resources::WriteSummary(json::JsonWriter& writer) const {
  std::map<std::string, Amount> sums;
  for (const Entry& entry : entries_)
    sums[entry.identity->name].Add(entry.amount);
  writer.StartObject();
  for (const char* name : {"disk", "mem", "gpus", "cpus"}) {
    writer.Key(name).Double(sums[name].scalar());
    sums.erase(name);
  }
  for (const auto& [name, sum] : sums) {
    writer.Key(name);
    if (sum.millis != 0) {
      writer.Double(sum.scalar());
    } else {
      writer.String(sum.ToText());
    }
  }
  writer.EndObject();
}

}  // namespace quorate
