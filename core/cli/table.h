// Tables for people, in aligned columns.
//
//   Table table({{"ID"}, {"CPUS", Table::Align::kRight}});
//   table.Add({"a", "1"});
//   for (const std::string& line : table.Lines()) ...

#ifndef QUORATE_CORE_CLI_TABLE_H_
#define QUORATE_CORE_CLI_TABLE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "io/clock.h"

namespace quorate::cli {

class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns);

  // A cell for each column; an empty one is shown as "-".
  void Add(std::vector<std::string> cells);

  // The titles, then the rows.
  std::vector<std::string> Lines() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// Without what would move a terminal's cursor or change its colours: names come
// from anybody who may run a task.
std::string Printable(absl::string_view text);

// "12 s", "3 min", "2 h 5 min", "4 d 3 h". Less than a second is "0 s".
std::string TextOf(io::Duration time);

// With at most two digits after the point: "0.1", "2", "1024".
std::string TextOf(double number);

}  // namespace quorate::cli

#endif  // QUORATE_CORE_CLI_TABLE_H_
