#include "sim/report/timeline_page.h"

#include <utility>

#include "absl/strings/str_replace.h"
#include "core/json/writer.h"

namespace quorate::sim {
namespace {

// Each of these files, as a literal.
constexpr char kFrame[] =
#include "sim/report/timeline_page.html.inc"
    ;
constexpr char kStyle[] =
#include "sim/report/timeline_page.css.inc"
    ;
constexpr char kScript[] =
#include "sim/report/timeline_script.js.inc"
    ;

class Data {
 public:
  explicit Data(const Recording& recording)
      : recording_(recording), json_(&text_) {}

  std::string Write(const PageHead& head) {
    json_.StartObject();
    Head(head);
    Names();
    Spans();
    Packets();
    Notes();
    json_.EndObject();
    // "<" stands in texts only. As \u003c it can end no script, whatever they
    // say.
    return absl::StrReplaceAll(text_, {{"<", "\\u003c"}});
  }

 private:
  void Head(const PageHead& head) {
    json_.Key("title").String(head.title).Key("seed").Uint(head.seed);
    json_.Key("failed").Bool(head.failed).Key("verdict").String(head.verdict);
    json_.Key("cause").String(head.cause).Key("replay").String(head.replay);
    json_.Key("events").Uint(recording_.events());
    json_.Key("end");
    Time(recording_.end());
    json_.Key("dropped").Uint(recording_.notes_dropped() +
                              recording_.packets_dropped());
  }

  void Names() {
    json_.Key("names").StartArray();
    for (size_t i = 0; i < recording_.names(); ++i) {
      json_.String(recording_.Text(static_cast<Recording::Name>(i)));
    }
    json_.EndArray();
  }

  // Rows are flat, which is half the size.
  void Spans() {
    json_.Key("spans").StartArray();
    for (const Recording::Stretch& span : recording_.spans()) {
      Time(span.begins);
      Time(span.ends);
      json_.Uint(span.who).Uint(span.name);
    }
    json_.EndArray();
  }

  void Packets() {
    json_.Key("packets").StartArray();
    for (const Recording::Packet& packet : recording_.packets()) {
      Time(packet.sent);
      Time(packet.arrived);
      json_.Uint(packet.from).Uint(packet.to);
      json_.Uint(packet.what).Uint(packet.bytes);
    }
    json_.EndArray();
  }

  void Notes() {
    json_.Key("notes").StartArray();
    for (const Recording::Noted& note : recording_.notes()) {
      Time(note.when);
      json_.Uint(note.who).Uint(note.what).Uint(note.whom);
      json_.Uint(note.number).Uint(note.is_fault ? 1 : 0);
    }
    json_.EndArray();
  }

  void Time(io::Instant when) { json_.Int(when.time_since_epoch().count()); }

  const Recording& recording_;
  std::string text_;
  json::JsonWriter json_;
};

std::string Escaped(absl::string_view text) {
  return absl::StrReplaceAll(text,
                             {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}});
}

}  // namespace

std::string TimelinePage(const Recording& recording, const PageHead& head) {
  return absl::StrReplaceAll(kFrame, {{"@TITLE@", Escaped(head.title)},
                                      {"@STYLE@", kStyle},
                                      {"@SCRIPT@", kScript},
                                      {"@RUN@", Data(recording).Write(head)}});
}

}  // namespace quorate::sim
