#include "sim/report/chrome_trace.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/json/writer.h"

namespace quorate::sim {
namespace {

constexpr char kRuns[] = "runs";

class TraceWriter {
 public:
  explicit TraceWriter(const Recording& recording)
      : recording_(recording), json_(&text_) {}

  std::string Write() {
    json_.StartObject().Key("displayTimeUnit").String("ms");
    json_.Key("traceEvents").StartArray();
    for (const Recording::Stretch& span : recording_.spans()) Add(span);
    for (const Recording::Packet& packet : recording_.packets()) Add(packet);
    for (const Recording::Noted& note : recording_.notes()) Add(note);
    json_.EndArray().EndObject();
    return std::move(text_);
  }

 private:
  struct Place {
    int host = 0;
    int process = 0;
  };

  // The place of `who`, which is named when it is met first.
  Place PlaceOf(Recording::Name who) {
    auto [known, is_new] = places_.emplace(who, Place{});
    if (!is_new) return known->second;
    const std::string& name = recording_.Text(who);
    const std::string host(HostOf(name));
    const auto [at, new_host] =
        hosts_.emplace(host, static_cast<int>(hosts_.size()) + 1);
    known->second = {at->second, static_cast<int>(places_.size())};
    if (new_host) NameIt("process_name", known->second, host);
    NameIt("thread_name", known->second, name);
    return known->second;
  }

  void NameIt(const char* what, const Place& place, const std::string& name) {
    Begin("M", place, {}).Key("name").String(what);
    json_.Key("args").StartObject().Key("name").String(name).EndObject();
    json_.EndObject();
  }

  // Microseconds, exact to the nanosecond.
  json::JsonWriter& Begin(const char* phase, const Place& place,
                          io::Instant when) {
    const int64_t ns = when.time_since_epoch().count();
    json_.StartObject().Key("ph").String(phase);
    json_.Key("pid").Int(place.host).Key("tid").Int(place.process);
    return json_.Key("ts").Raw(
        absl::StrFormat("%d.%03d", ns / 1000, ns % 1000));
  }

  void End(absl::string_view name, absl::string_view category) {
    json_.Key("name").String(name).Key("cat").String(category).EndObject();
  }

  // The life of a process nests everything else of it. Other spans may overlap
  // in any way: each is asynchronous, with a number of its own.
  void Add(const Recording::Stretch& span) {
    const Place place = PlaceOf(span.who);
    const std::string& name = recording_.Text(span.name);
    const bool runs = name == kRuns;
    const uint64_t id = ++next_id_;
    Begin(runs ? "B" : "b", place, span.begins);
    if (!runs) json_.Key("id").Uint(id);
    End(name, "span");
    Begin(runs ? "E" : "e", place, span.ends);
    if (!runs) json_.Key("id").Uint(id);
    End(name, "span");
  }

  // An arrow needs a slice at either end.
  void Add(const Recording::Packet& packet) {
    const uint64_t id = ++next_id_;
    AddEnd("s", "sends to", PlaceOf(packet.from), packet.sent, packet.to,
           packet.bytes, id);
    AddEnd("f", recording_.Text(packet.what), PlaceOf(packet.to),
           packet.arrived, packet.from, packet.bytes, id);
  }

  void AddEnd(const char* phase, const std::string& what, const Place& place,
              io::Instant when, Recording::Name other, uint64_t bytes,
              uint64_t id) {
    Begin("X", place, when).Key("dur").Raw("0.001");
    json_.Key("args").StartObject().Key("bytes").Uint(bytes).EndObject();
    End(absl::StrCat(what, " ", recording_.Text(other)), "packet");
    Begin(phase, place, when).Key("id").Uint(id);
    // To the slice around it, not to the next one.
    if (*phase == 'f') json_.Key("bp").String("e");
    End("packet", "packet");
  }

  void Add(const Recording::Noted& note) {
    Begin("i", PlaceOf(note.who), note.when).Key("s").String("t");
    json_.Key("args").StartObject();
    json_.Key("number").Uint(note.number).EndObject();
    const std::string& whom = recording_.Text(note.whom);
    End(absl::StrCat(recording_.Text(note.what), whom.empty() ? "" : " ", whom),
        note.is_fault ? "fault" : "note");
  }

  const Recording& recording_;
  std::string text_;
  json::JsonWriter json_;
  std::map<Recording::Name, Place> places_;
  std::map<std::string, int> hosts_;
  uint64_t next_id_ = 0;
};

}  // namespace

std::string ChromeTrace(const Recording& recording) {
  return TraceWriter(recording).Write();
}

}  // namespace quorate::sim
