#include "io/disk.h"

#include "absl/strings/str_cat.h"

namespace quorate::io {

absl::StatusOr<std::string> Disk::ReadFile(const std::string& path) {
  auto file = Open(path, Mode::kRead);
  if (!file.ok()) return file.status();
  auto size = (*file)->Size();
  if (!size.ok()) return size.status();
  std::string content;
  absl::Status read = (*file)->ReadAt(0, *size, &content);
  if (!read.ok()) return read;
  return content;
}

absl::Status Disk::WriteFileDurably(const std::string& path,
                                    absl::string_view content) {
  const std::string temporary = absl::StrCat(path, ".tmp");
  auto file = Open(temporary, Mode::kCreateEmpty);
  if (!file.ok()) return file.status();
  absl::Status status = (*file)->WriteAt(0, content);
  if (status.ok()) status = (*file)->Sync();
  if (status.ok()) status = Rename(temporary, path);
  if (status.ok()) status = SyncDirectory(path.substr(0, path.rfind('/')));
  return status;
}

}  // namespace quorate::io
