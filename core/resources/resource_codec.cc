#include "core/resources/resource_codec.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/api/json.h"
#include "core/resources/resources.h"
#include "core/resources/roles.h"

namespace quorate {
namespace {

using mesos::v1::Resource;
using mesos::v1::TaskResourceLimitation;
using mesos::v1::Value;
using Reservation = Resource::ReservationInfo;

absl::Status Invalid(absl::string_view problem) {
  return absl::InvalidArgumentError(problem);
}

absl::StatusOr<Amount> ScalarOf(const Resource& resource) {
  const double value = resource.scalar().value();
  if (!(value >= 0 && value <= Resources::kMaxScalar)) {
    return Invalid(absl::StrCat("expected a number from 0 to ",
                                Resources::kMaxScalar, ", not ", value));
  }
  Amount amount;
  amount.millis = ToMillis(value);
  return amount;
}

absl::StatusOr<Amount> RangesOf(const Resource& resource) {
  std::vector<Range> ranges;
  for (const Value::Range& range : resource.ranges().range()) {
    ranges.emplace_back(range.begin(), range.end());
  }
  absl::StatusOr<std::vector<Range>> coalesced = Coalesce(std::move(ranges));
  if (!coalesced.ok()) return coalesced.status();
  Amount amount;
  amount.ranges = *std::move(coalesced);
  return amount;
}

absl::StatusOr<Amount> ItemsOf(const Resource& resource) {
  Amount amount;
  amount.items.assign(resource.set().item().begin(),
                      resource.set().item().end());
  std::sort(amount.items.begin(), amount.items.end());
  const auto twice =
      std::adjacent_find(amount.items.begin(), amount.items.end());
  if (twice != amount.items.end()) {
    return Invalid(absl::StrCat("item '", *twice, "' is given twice"));
  }
  return amount;
}

// The stack that the classic form means: `role` and `reservation`.
absl::Status RefineClassicForm(Resource& resource) {
  const std::string role = resource.role();
  if (resource.has_reservation()) {
    if (resource.reservation().has_type() ||
        resource.reservation().has_role()) {
      return Invalid("'reservation' cannot have a type or role of its own");
    }
    if (role == kDefaultRole) {
      return Invalid("a dynamic reservation needs a role other than '*'");
    }
    Reservation& reservation = *resource.add_reservations();
    reservation = resource.reservation();
    reservation.set_type(Reservation::DYNAMIC);
    reservation.set_role(role);
  } else if (role != kDefaultRole) {
    Reservation& reservation = *resource.add_reservations();
    reservation.set_type(Reservation::STATIC);
    reservation.set_role(role);
  }
  resource.clear_role();
  resource.clear_reservation();
  return absl::OkStatus();
}

absl::Status CheckReservations(const Resource& resource) {
  const std::string* outer = nullptr;
  for (const Reservation& reservation : resource.reservations()) {
    const std::string& role = reservation.role();
    absl::Status status = ValidateRole(role);
    if (!status.ok()) return status;
    if (role == kDefaultRole) return Invalid("'*' cannot hold a reservation");
    if (reservation.type() == Reservation::UNKNOWN) {
      return Invalid("a reservation needs a type, STATIC or DYNAMIC");
    }
    if (outer != nullptr && reservation.type() == Reservation::STATIC) {
      return Invalid("a static reservation cannot refine another");
    }
    if (outer != nullptr &&
        !absl::StartsWith(role, absl::StrCat(*outer, "/"))) {
      return Invalid(absl::StrCat("a reservation for '", role,
                                  "' cannot refine one for '", *outer, "'"));
    }
    outer = &role;
  }
  return absl::OkStatus();
}

absl::Status CheckIdentity(const Resource& resource) {
  if (resource.name().empty()) return Invalid("expected a name");
  if (resource.has_shared()) return Invalid("sharing is not supported");
  if (resource.has_disk() &&
      (resource.name() != "disk" || resource.type() != Value::SCALAR)) {
    return Invalid("'disk' is only for disk space");
  }
  if (resource.allocation_info().has_role()) {
    absl::Status status = ValidateRole(resource.allocation_info().role());
    if (!status.ok()) return status;
  }
  return CheckReservations(resource);
}

absl::Status ParseValue(absl::string_view text, Resource& resource) {
  double number;
  absl::string_view inner = text;
  if (absl::StartsWith(text, "[")) {
    const absl::StatusOr<std::vector<Range>> ranges = ParseRanges(text);
    if (!ranges.ok()) return ranges.status();
    resource.set_type(Value::RANGES);
    resource.mutable_ranges();
    for (const auto& [begin, end] : *ranges) {
      Value::Range& range = *resource.mutable_ranges()->add_range();
      range.set_begin(begin);
      range.set_end(end);
    }
  } else if (absl::ConsumePrefix(&inner, "{") &&
             absl::ConsumeSuffix(&inner, "}")) {
    resource.set_type(Value::SET);
    resource.mutable_set();
    for (absl::string_view item :
         absl::StrSplit(inner, ',', absl::SkipWhitespace())) {
      resource.mutable_set()->add_item(
          std::string(absl::StripAsciiWhitespace(item)));
    }
  } else if (absl::SimpleAtod(text, &number)) {
    resource.set_type(Value::SCALAR);
    resource.mutable_scalar()->set_value(number);
  } else {
    return Invalid(absl::StrCat("expected a number, [ranges] or {items}, not '",
                                text, "'"));
  }
  return absl::OkStatus();
}

// "cpus(eng):2".
absl::Status ParseOne(absl::string_view text, Resource& resource) {
  const size_t open = text.substr(0, text.find(':')).find('(');
  const size_t close = open == text.npos ? open : text.find(')', open);
  const size_t colon = text.find(':', close == text.npos ? 0 : close);
  if (colon == text.npos || (open != text.npos && close == text.npos)) {
    return Invalid(absl::StrCat(
        "expected resources like cpus:4;mem(role):512, not '", text, "'"));
  }
  const absl::string_view name = text.substr(0, std::min(open, colon));
  resource.set_name(std::string(absl::StripAsciiWhitespace(name)));
  if (open != text.npos) {
    if (!absl::StripAsciiWhitespace(text.substr(close + 1, colon - close - 1))
             .empty()) {
      return Invalid(
          absl::StrCat("expected ':' after the role in '", text, "'"));
    }
    resource.set_role(std::string(text.substr(open + 1, close - open - 1)));
    absl::Status status = ValidateRole(resource.role());
    if (!status.ok()) return status;
  }
  const absl::Status status =
      ParseValue(absl::StripAsciiWhitespace(text.substr(colon + 1)), resource);
  if (status.ok()) return status;
  return Invalid(
      absl::StrCat("resource '", resource.name(), "': ", status.message()));
}

}  // namespace

absl::StatusOr<Amount> AmountOf(const Resource& resource) {
  const int values =
      resource.has_scalar() + resource.has_ranges() + resource.has_set();
  switch (resource.type()) {
    case Value::SCALAR:
      if (values == 1 && resource.has_scalar()) return ScalarOf(resource);
      break;
    case Value::RANGES:
      if (values == 1 && resource.has_ranges()) return RangesOf(resource);
      break;
    case Value::SET:
      if (values == 1 && resource.has_set()) return ItemsOf(resource);
      break;
    case Value::TEXT:
      break;
  }
  return Invalid(
      absl::StrCat("expected exactly a value of type SCALAR, RANGES or SET, as "
                   "'type' says, which is ",
                   Value::Type_Name(resource.type())));
}

absl::StatusOr<Resource> IdentityOf(const Resource& resource) {
  Resource identity = resource;
  identity.clear_scalar();
  identity.clear_ranges();
  identity.clear_set();
  // What says nothing must not tell identities apart.
  identity.DiscardUnknownFields();
  if (!identity.allocation_info().has_role()) identity.clear_allocation_info();
  if (identity.disk().ByteSizeLong() == 0) identity.clear_disk();
  if (identity.reservations().empty()) {
    absl::Status status = RefineClassicForm(identity);
    if (!status.ok()) return status;
  } else if (identity.has_role() || identity.has_reservation()) {
    return Invalid("'reservations' excludes 'role' and 'reservation'");
  }
  absl::Status status = CheckIdentity(identity);
  if (!status.ok()) return status;
  return identity;
}

std::string ReservationRole(const Resource& identity) {
  return identity.reservations().empty()
             ? std::string(kDefaultRole)
             : identity.reservations().rbegin()->role();
}

bool IsWhole(const Resource& identity) {
  const Resource::DiskInfo& disk = identity.disk();
  if (disk.has_persistence()) return true;
  if (!disk.has_source()) return false;
  return disk.source().type() != Resource::DiskInfo::Source::PATH;
}

bool ToClassicForm(Resource& identity) {
  if (identity.reservations_size() > 1) return false;
  identity.set_role(ReservationRole(identity));
  if (!identity.reservations().empty() &&
      identity.reservations(0).type() == Reservation::DYNAMIC) {
    *identity.mutable_reservation() = identity.reservations(0);
    identity.mutable_reservation()->clear_type();
    identity.mutable_reservation()->clear_role();
  }
  identity.clear_reservations();
  return true;
}

void SetAmount(const Amount& amount, Resource& resource) {
  switch (resource.type()) {
    case Value::SCALAR:
      resource.mutable_scalar()->set_value(amount.scalar());
      return;
    case Value::RANGES:
      for (const auto& [begin, end] : amount.ranges) {
        Value::Range& range = *resource.mutable_ranges()->add_range();
        range.set_begin(begin);
        range.set_end(end);
      }
      return;
    case Value::SET:
      for (const std::string& item : amount.items) {
        resource.mutable_set()->add_item(item);
      }
      return;
    case Value::TEXT:
      return;
  }
}

absl::Status ParseResourceList(
    absl::string_view text,
    google::protobuf::RepeatedPtrField<Resource>* resources) {
  text = absl::StripAsciiWhitespace(text);
  if (absl::StartsWith(text, "[")) {
    // Any message with a field of this name and type serves.
    TaskResourceLimitation list;
    absl::Status status =
        api::JsonToMessage(absl::StrCat("{\"resources\":", text, "}"), &list);
    if (!status.ok()) return Invalid(status.message());
    resources->MergeFrom(list.resources());
    return absl::OkStatus();
  }
  for (absl::string_view item :
       absl::StrSplit(text, ';', absl::SkipWhitespace())) {
    Resource resource;
    absl::Status status = ParseOne(absl::StripAsciiWhitespace(item), resource);
    if (!status.ok()) return status;
    *resources->Add() = std::move(resource);
  }
  return absl::OkStatus();
}

}  // namespace quorate
