#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/flags/flags.h"

namespace quorate::flags {
namespace {

constexpr size_t kColumns = 80;
constexpr size_t kIndent = 4;

// Appends `paragraph` as lines of at most kColumns, each indented.
void AppendWrapped(absl::string_view paragraph, size_t indent,
                   std::string& out) {
  size_t column = 0;
  for (absl::string_view word :
       absl::StrSplit(paragraph, absl::ByAnyChar(" \n"), absl::SkipEmpty())) {
    if (column > 0 && column + 1 + word.size() > kColumns) {
      out += '\n';
      column = 0;
    }
    if (column == 0) {
      out.append(indent, ' ');
      column = indent;
    } else {
      out += ' ';
      ++column;
    }
    absl::StrAppend(&out, word);
    column += word.size();
  }
  if (column > 0) out += '\n';
}

void AppendProse(absl::string_view text, size_t indent, std::string& out) {
  bool first = true;
  for (absl::string_view paragraph : absl::StrSplit(text, "\n\n")) {
    if (!first) out += '\n';
    AppendWrapped(paragraph, indent, out);
    first = false;
  }
}

void AppendFlag(const Flag& flag, std::string& out) {
  const bool asks_for_text = flag.name == "help" || flag.name == "version";
  out.append(kIndent, ' ');
  absl::StrAppend(&out, flag.is_boolean && !asks_for_text ? "--[no-]" : "--",
                  flag.name);
  if (!flag.is_boolean) absl::StrAppend(&out, "=", flag.value_name);
  out += '\n';
  std::string help = flag.help;
  if (flag.required) {
    absl::StrAppend(&help, " Required.");
  } else if (flag.default_text && !flag.default_text->empty() &&
             !asks_for_text) {
    absl::StrAppend(&help, " Default: ", *flag.default_text, ".");
  }
  AppendProse(help, 2 * kIndent, out);
}

}  // namespace

std::string FlagSet::HelpText() const {
  std::string out = "NAME\n";
  AppendProse(absl::StrCat(program_.name, " - ", program_.summary), kIndent,
              out);
  absl::StrAppend(&out, "\nSYNOPSIS\n");
  for (absl::string_view usage : absl::StrSplit(program_.synopsis, '\n')) {
    AppendWrapped(usage, kIndent, out);
  }
  absl::StrAppend(&out, "\nDESCRIPTION\n");
  AppendProse(program_.description, kIndent, out);

  absl::StrAppend(&out, "\nFLAGS\n");
  bool first = true;
  for (const auto& [name, flag] : flags_) {
    if (!first) out += '\n';
    first = false;
    AppendFlag(*flag, out);
  }

  absl::StrAppend(&out, "\nENVIRONMENT AND FILES\n");
  AppendProse(
      absl::StrCat("Each flag may also be given as a variable, for instance ",
                   program_.environment_prefix,
                   "PORT for --port; the command "
                   "line counts first. A value file:///path stands for the "
                   "content of that file."),
      kIndent, out);
  return out;
}

std::string FlagSet::VersionText() const {
  return absl::StrCat(program_.name, " ", program_.version, "\n");
}

}  // namespace quorate::flags
