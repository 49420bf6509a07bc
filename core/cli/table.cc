#include "core/cli/table.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace quorate::cli {
namespace {

constexpr absl::string_view kGap = "  ";

// In characters, of UTF-8.
size_t WidthOf(absl::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(),
      [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string LineOf(const std::vector<Table::Column>& columns,
                   const std::vector<size_t>& widths,
                   const std::vector<std::string>& cells) {
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i) {
    const std::string padding(widths[i] - WidthOf(cells[i]), ' ');
    absl::StrAppend(&line, i == 0 ? "" : kGap);
    if (columns[i].align == Table::Align::kRight) {
      absl::StrAppend(&line, padding, cells[i]);
    } else {
      absl::StrAppend(&line, cells[i], padding);
    }
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

}  // namespace

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

void Table::Add(std::vector<std::string> cells) {
  CHECK_EQ(cells.size(), columns_.size());
  for (std::string& cell : cells) {
    cell = cell.empty() ? "-" : Printable(cell);
  }
  rows_.push_back(std::move(cells));
}

std::vector<std::string> Table::Lines() const {
  std::vector<std::string> titles;
  std::vector<size_t> widths;
  for (const Column& column : columns_) {
    titles.push_back(column.title);
    widths.push_back(column.title.size());
  }
  for (const std::vector<std::string>& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], WidthOf(row[i]));
    }
  }
  std::vector<std::string> lines = {LineOf(columns_, widths, titles)};
  for (const std::vector<std::string>& row : rows_) {
    lines.push_back(LineOf(columns_, widths, row));
  }
  return lines;
}

std::string Printable(absl::string_view text) {
  std::string printable(text);
  for (size_t i = 0; i < printable.size(); ++i) {
    const auto byte = static_cast<unsigned char>(printable[i]);
    if (byte < 0x20 || byte == 0x7f) printable[i] = '?';
    // U+0080 to U+009F are control characters as well.
    if (byte == 0xc2 && i + 1 < printable.size() &&
        static_cast<unsigned char>(printable[i + 1]) < 0xa0) {
      printable.replace(i, 2, "?");
    }
  }
  return printable;
}

std::string TextOf(io::Duration time) {
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(time).count();
  const auto minutes = seconds / 60, hours = minutes / 60, days = hours / 24;
  if (seconds < 0) return "0 s";
  if (minutes == 0) return absl::StrCat(seconds, " s");
  if (hours == 0) return absl::StrCat(minutes, " min");
  if (days == 0) return absl::StrCat(hours, " h ", minutes % 60, " min");
  return absl::StrCat(days, " d ", hours % 24, " h");
}

std::string TextOf(double number) {
  std::string text = absl::StrFormat("%.2f", number);
  text.erase(text.find_last_not_of('0') + 1);
  return std::string(absl::StripSuffix(text, "."));
}

}  // namespace quorate::cli
