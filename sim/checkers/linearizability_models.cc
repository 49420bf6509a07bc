// The sequential models, and histories as text.

#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/json/value.h"
#include "sim/checkers/linearizability.h"

namespace quorate::sim {
namespace {

using Step = decltype(SequentialModel::step);

// A call without a result may have been answered in any way.
bool Answers(const Call& call, absl::string_view result) {
  return !call.result || *call.result == result;
}

// A model of calls of these kinds.
SequentialModel ModelOf(std::string initial,
                        const std::map<std::string, Step>& kinds) {
  SequentialModel model;
  model.initial = std::move(initial);
  model.step = [kinds](const std::string& state, const Call& call,
                       std::string* next) {
    *next = state;
    return kinds.at(call.kind)(state, call, next);
  };
  model.refuse = [kinds](const Call& call) {
    return kinds.count(call.kind) != 0
               ? ""
               : absl::StrCat("the model has no call ", call.kind);
  };
  return model;
}

bool Get(const std::string& state, const Call& call, std::string*) {
  return Answers(call, state);
}

bool Put(const std::string&, const Call& call, std::string* next) {
  *next = call.argument;
  return Answers(call, "ok");
}

bool CompareAndSet(const std::string& state, const Call& call,
                   std::string* next) {
  const std::pair<absl::string_view, absl::string_view> values =
      absl::StrSplit(call.argument, absl::MaxSplits(',', 1));
  if (state != values.first) return Answers(call, "fail");
  *next = std::string(values.second);
  return Answers(call, "ok");
}

bool AppendTo(const std::string&, const Call& call, std::string* next) {
  *next += call.argument;
  return Answers(call, "ok");
}

// From `from` to `to`, answered "ok"; otherwise `otherwise`.
Step Move(const std::string& from, const std::string& to,
          const std::string& otherwise) {
  return [=](const std::string& state, const Call& call, std::string* next) {
    if (state != from) return Answers(call, otherwise);
    *next = to;
    return Answers(call, "ok");
  };
}

bool Admit(const std::string& state, const Call& call, std::string* next) {
  if (state != "none") return Answers(call, "known");
  *next = "admitted";
  return Answers(call, "ok");
}

bool MarkReachable(const std::string& state, const Call& call,
                   std::string* next) {
  if (state == "admitted") return Answers(call, "known");
  *next = "admitted";
  return Answers(call, "ok");
}

// An unknown outcome moves nobody's position that somebody knows.
bool AppendAt(const std::string& state, const Call& call, std::string* next) {
  if (!call.result) return true;
  uint64_t before = 0;
  uint64_t position = 0;
  if (!absl::SimpleAtoi(state, &before) ||
      !absl::SimpleAtoi(*call.result, &position) || position < before) {
    return false;
  }
  *next = *call.result;
  return true;
}

// Lines with what has no outcome may lie above the last one that has one.
bool End(const std::string& state, const Call& call, std::string* next) {
  return AppendAt(state, call, next);
}

// -----------------------------------------------------------------------------

absl::StatusOr<Call> ParseWords(absl::string_view line) {
  const std::vector<std::string> words =
      absl::StrSplit(line, ' ', absl::SkipEmpty());
  if (words.size() != 7) {
    return absl::InvalidArgumentError(
        "not 7 words: client key op value result begin end");
  }
  const auto given = [](const std::string& word) { return word != "-"; };
  Call call;
  call.key = words[1];
  call.kind = words[2];
  if (given(words[3])) call.argument = words[3];
  if (given(words[4])) call.result = words[4] == "\"\"" ? "" : words[4];
  int64_t end = 0;
  if (!absl::SimpleAtoi(words[0], &call.client) ||
      !absl::SimpleAtoi(words[5], &call.begin) ||
      (given(words[6]) && !absl::SimpleAtoi(words[6], &end))) {
    return absl::InvalidArgumentError("client, begin and end are numbers");
  }
  if (given(words[6])) call.end = end;
  return call;
}

absl::StatusOr<Call> ParseJson(absl::string_view line) {
  const absl::StatusOr<json::Value> parsed = json::Parse(line);
  if (!parsed.ok()) return parsed.status();
  const json::Value& value = *parsed;
  if (!value["client"].is_number() || !value["begin"].is_number()) {
    return absl::InvalidArgumentError("client and begin are numbers");
  }
  Call call;
  call.client = static_cast<uint64_t>(value["client"].AsInt());
  call.key = std::string(value["key"].AsString());
  call.kind = std::string(value["op"].AsString());
  call.argument = std::string(value["value"].AsString());
  if (value["result"].is_string()) {
    call.result = std::string(value["result"].AsString());
  }
  call.begin = value["begin"].AsInt();
  if (value["end"].is_number()) call.end = value["end"].AsInt();
  return call;
}

}  // namespace

SequentialModel RegisterModel() {
  return ModelOf("", {{"read", Get}, {"write", Put}, {"cas", CompareAndSet}});
}

SequentialModel KeyValueModel() {
  return ModelOf("", {{"get", Get}, {"put", Put}, {"append", AppendTo}});
}

SequentialModel AgentModel() {
  return ModelOf("none",
                 {{"admit", Admit},
                  {"reachable", MarkReachable},
                  {"unreachable", Move("admitted", "unreachable", "unknown")},
                  {"remove", Move("admitted", "none", "unknown")},
                  {"read", Get}});
}

SequentialModel SequenceModel() {
  return ModelOf("0", {{"append", AppendAt}, {"end", End}});
}

std::optional<SequentialModel> ModelNamed(absl::string_view name) {
  if (name == "register") return RegisterModel();
  if (name == "kv") return KeyValueModel();
  if (name == "agent") return AgentModel();
  if (name == "sequence") return SequenceModel();
  return std::nullopt;
}

absl::StatusOr<std::vector<Call>> ParseHistory(absl::string_view text) {
  std::vector<Call> calls;
  size_t number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    absl::StatusOr<Call> call =
        line[0] == '{' ? ParseJson(line) : ParseWords(line);
    if (call.ok() && call->end && *call->end < call->begin) {
      call = absl::InvalidArgumentError("it ends before it begins");
    }
    if (!call.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, ": ", call.status().message()));
    }
    calls.push_back(*std::move(call));
  }
  return calls;
}

std::string ToString(const Call& call) {
  const auto or_dash = [](const std::string& word) {
    return word.empty() ? "-" : word;
  };
  const std::string result = !call.result           ? "-"
                             : call.result->empty() ? "\"\""
                                                    : *call.result;
  return absl::StrCat(call.client, " ", or_dash(call.key), " ", call.kind, " ",
                      or_dash(call.argument), " ", result, " ", call.begin, " ",
                      call.end ? absl::StrCat(*call.end) : "-");
}

}  // namespace quorate::sim
