// Between v1 Resources and what Resources keeps of them: an identity and an
// amount. For resources.cc only.

#ifndef QUORATE_CORE_RESOURCES_RESOURCE_CODEC_H_
#define QUORATE_CORE_RESOURCES_RESOURCE_CODEC_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/api/mesos.pb.h"
#include "core/resources/amount.h"

namespace quorate {

// InvalidArgument as Resources::FromProto, without the resource's name.
absl::StatusOr<Amount> AmountOf(const mesos::v1::Resource& resource);

// `resource` without its amount and in the refined form. InvalidArgument as
// Resources::FromProto, without the resource's name.
absl::StatusOr<mesos::v1::Resource> IdentityOf(
    const mesos::v1::Resource& resource);

// Of the innermost reservation; "*" if there is none.
std::string ReservationRole(const mesos::v1::Resource& identity);

// Whether amounts of this identity are neither merged nor split.
bool IsWhole(const mesos::v1::Resource& identity);

// Turns an identity into the classic form. False if that cannot express it.
bool ToClassicForm(mesos::v1::Resource& identity);

// Completes an identity.
void SetAmount(const Amount& amount, mesos::v1::Resource& resource);

// Appends the resources of a text as Resources::ParseText takes it; a role in
// parentheses becomes `role`. InvalidArgument for bad syntax.
absl::Status ParseResourceList(
    absl::string_view text,
    google::protobuf::RepeatedPtrField<mesos::v1::Resource>* resources);

}  // namespace quorate

#endif  // QUORATE_CORE_RESOURCES_RESOURCE_CODEC_H_
