#include "sim/znode_tree.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace quorate::sim {
namespace {

bool AnyOwnedBy(const ZnodeTree::Node& node, int64_t session) {
  return node.owner == session ||
         std::any_of(node.children.begin(), node.children.end(),
                     [session](const auto& child) {
                       return AnyOwnedBy(child.second, session);
                     });
}

}  // namespace

ZnodeTree::ZnodeTree() {
  auto& own = root_.children["zookeeper"].children;
  own["config"];
  own["quota"];
}

const ZnodeTree::Node* ZnodeTree::Find(absl::string_view path) const {
  const Node* node = &root_;
  for (absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    auto child = node->children.find(std::string(part));
    if (child == node->children.end()) return nullptr;
    node = &child->second;
  }
  return node;
}

ZnodeTree::Node* ZnodeTree::FindMutable(absl::string_view path) {
  return const_cast<Node*>(Find(path));
}

bool ZnodeTree::HasEphemeralsOf(int64_t session) const {
  return session != 0 && AnyOwnedBy(root_, session);
}

void ZnodeTree::Apply(const Change& change, const OnChanged& on_changed) {
  using Kind = Change::Kind;
  zxid_ = change.zxid;
  if (change.kind == Kind::kCreate) return Create(change, on_changed);
  if (change.kind == Kind::kCloseSession) {
    return RemoveEphemerals(root_, "", change.session, on_changed);
  }
  if (change.kind == Kind::kOpenSession || change.kind == Kind::kNewLeader) {
    return;
  }
  Node* node = FindMutable(change.path);
  if (node == nullptr) return;
  if (change.kind == Kind::kSet) {
    node->data = change.data;
    ++node->version;
    node->data_zxid = zxid_;
    on_changed(change.path, Watched::kData);
  } else if (change.kind == Kind::kDelete) {
    const std::string directory = DirectoryOf(change.path);
    Remove(*FindMutable(directory), directory, NameOf(change.path), on_changed);
  } else if (change.kind == Kind::kRestrict) {
    node->writer = change.writer;
  } else {
    node->creations = static_cast<int32_t>(change.session);
  }
}

void ZnodeTree::Create(const Change& change, const OnChanged& on_changed) {
  const std::string directory = DirectoryOf(change.path);
  Node* parent = FindMutable(directory);
  if (parent == nullptr) return;
  // As ZooKeeper's, it overflows.
  parent->creations =
      static_cast<int32_t>(static_cast<uint32_t>(parent->creations) + 1);
  parent->children_zxid = zxid_;
  Node& node = parent->children[NameOf(change.path)];
  node.data = change.data;
  node.owner = change.ephemeral ? change.session : 0;
  node.writer = change.writer;
  node.data_zxid = node.children_zxid = zxid_;
  on_changed(directory.empty() ? "/" : directory, Watched::kChildren);
}

void ZnodeTree::Remove(Node& parent, const std::string& directory,
                       const std::string& name, const OnChanged& on_changed) {
  parent.children.erase(name);
  parent.children_zxid = zxid_;
  const std::string path = absl::StrCat(directory, "/", name);
  on_changed(path, Watched::kData);
  on_changed(path, Watched::kChildren);
  on_changed(directory.empty() ? "/" : directory, Watched::kChildren);
}

void ZnodeTree::RemoveEphemerals(Node& node, const std::string& path,
                                 int64_t session, const OnChanged& on_changed) {
  std::vector<std::string> gone;
  for (auto& [name, child] : node.children) {
    if (child.owner == session) {
      gone.push_back(name);
    } else {
      RemoveEphemerals(child, absl::StrCat(path, "/", name), session,
                       on_changed);
    }
  }
  for (const std::string& name : gone) Remove(node, path, name, on_changed);
}

}  // namespace quorate::sim
