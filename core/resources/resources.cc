#include "core/resources/resources.h"

#include <glog/logging.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
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

Resource Identity(const std::string& bytes) {
  Resource identity;
  CHECK(identity.ParseFromString(bytes));
  return identity;
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

absl::StatusOr<Resources::Entry> Resources::ToEntry(const Resource& resource) {
  absl::StatusOr<Amount> amount = AmountOf(resource);
  if (!amount.ok()) return amount.status();
  absl::StatusOr<Resource> identity = IdentityOf(resource);
  if (!identity.ok()) return identity.status();
  Entry entry;
  entry.name = resource.name();
  entry.identity = Serialized(*identity);
  entry.role = ReservationRole(*identity);
  entry.whole = IsWhole(*identity);
  entry.amount = *std::move(amount);
  return entry;
}

absl::StatusOr<Resources> Resources::FromProto(const Protos& protos) {
  Resources resources;
  for (const Resource& resource : protos) {
    absl::StatusOr<Entry> entry = ToEntry(resource);
    if (!entry.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "resource '", resource.name(), "': ", entry.status().message()));
    }
    const Entry* same = entry->whole ? nullptr : resources.Find(*entry);
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
    Resource resource = Identity(entry.identity);
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
    absl::StrAppend(out, entry.name);
    if (entry.role != kDefaultRole) {
      absl::StrAppend(out, "(", ReservationsText(Identity(entry.identity)),
                      ")");
    }
    absl::StrAppend(out, ":", entry.amount.ToText());
  });
}

bool Resources::Precedes(const Entry& a, const Entry& b) {
  return std::tie(a.name, a.identity) < std::tie(b.name, b.identity);
}

const Resources::Entry* Resources::Find(const Entry& like) const {
  const auto at =
      std::lower_bound(entries_.begin(), entries_.end(), like, &Precedes);
  return at != entries_.end() && !Precedes(like, *at) ? &*at : nullptr;
}

void Resources::Add(Entry entry) {
  if (entry.amount.empty()) return;
  const auto [begin, end] =
      std::equal_range(entries_.begin(), entries_.end(), entry, &Precedes);
  if (begin != end && !entry.whole) {
    begin->amount.Add(entry.amount);
    return;
  }
  const auto at =
      std::lower_bound(begin, end, entry, [](const Entry& a, const Entry& b) {
        return a.amount.millis < b.amount.millis;
      });
  entries_.insert(at, std::move(entry));
}

bool Resources::Contains(const Resources& other) const {
  for (const Entry& wanted : other.entries_) {
    if (wanted.whole) {
      // As many of the same.
      if (std::count(entries_.begin(), entries_.end(), wanted) <
          std::count(other.entries_.begin(), other.entries_.end(), wanted)) {
        return false;
      }
      continue;
    }
    const Entry* held = Find(wanted);
    if (held == nullptr || !held->amount.Contains(wanted.amount)) return false;
  }
  return true;
}

Resources& Resources::operator+=(const Resources& other) {
  if (this == &other) return *this += Resources(other);
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
    if (entry.whole) {
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

void Resources::EditIdentities(const std::function<void(Resource&)>& edit) {
  std::vector<Entry> entries;
  entries.swap(entries_);
  for (Entry& entry : entries) {
    Resource identity = Identity(entry.identity);
    edit(identity);
    entry.identity = Serialized(identity);
    Add(std::move(entry));
  }
}

void Resources::Allocate(absl::string_view role) {
  EditIdentities([role](Resource& identity) {
    identity.mutable_allocation_info()->set_role(std::string(role));
  });
}

void Resources::Unallocate() {
  EditIdentities([](Resource& identity) { identity.clear_allocation_info(); });
}

Resources Resources::Unreserved() const {
  Resources unreserved;
  std::copy_if(entries_.begin(), entries_.end(),
               std::back_inserter(unreserved.entries_),
               [](const Entry& entry) { return entry.role == kDefaultRole; });
  return unreserved;
}

std::map<std::string, Resources> Resources::Reserved() const {
  std::map<std::string, Resources> by_role;
  for (const Entry& entry : entries_) {
    if (entry.role != kDefaultRole) {
      by_role[entry.role].entries_.push_back(entry);
    }
  }
  return by_role;
}

double Resources::Scalar(absl::string_view name) const {
  Amount sum;
  for (const Entry& entry : entries_) {
    if (entry.name == name) sum.millis += entry.amount.millis;
  }
  return sum.scalar();
}

void Resources::WriteSummary(json::JsonWriter& writer) const {
  std::map<std::string, Amount> sums;
  for (const Entry& entry : entries_) sums[entry.name].Add(entry.amount);
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
