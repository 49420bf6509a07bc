// The nodes that one server of the model ensemble holds, and the changes to
// them on which the servers agree.

#ifndef QUORATE_SIM_ZNODE_TREE_H_
#define QUORATE_SIM_ZNODE_TREE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "absl/strings/string_view.h"

namespace quorate::sim {

class ZnodeTree {
 public:
  struct Node {
    std::string data;
    int32_t version = 0;
    int64_t owner = 0;   // Session, 0 for a persistent node.
    std::string writer;  // Credentials of who may write; empty: everyone.
    // Children that were ever created: the next sequence number. After 2^31-1
    // it stays, as in ZooKeeper 3.8, whose counter wraps and whose tree then
    // takes it for an old one: the next sequential name is that of the last.
    int32_t creations = 0;
    // Of the last change of the data, and of the children.
    int64_t data_zxid = 0;
    int64_t children_zxid = 0;
    std::map<std::string, Node> children;
  };

  struct Change {
    enum class Kind {
      kCreate,
      kSet,
      kDelete,
      kRestrict,      // from now on only `writer` may write
      kSequence,      // `session` is the next sequence number of the children
      kOpenSession,   // changes no node
      kNewLeader,     // of the servers; the same
      kCloseSession,  // the session's ephemeral nodes go
    };
    Kind kind = Kind::kSet;
    std::string path;
    std::string data = {};
    bool ephemeral = false;
    int64_t session = 0;
    std::string writer = {};
    int64_t zxid = 0;  // grows from change to change
  };

  // What a watch is on.
  enum class Watched { kData, kChildren };
  using OnChanged = std::function<void(const std::string& path, Watched)>;

  // With the nodes that a server makes for itself.
  ZnodeTree();

  // Null for none.
  const Node* Find(absl::string_view path) const;
  // Applies what is possible: it was checked by who proposed it.
  void Apply(const Change& change, const OnChanged& on_changed);
  // Of the last change.
  int64_t zxid() const { return zxid_; }
  bool HasEphemeralsOf(int64_t session) const;

  // "/a" and "b" of "/a/b"; the root is "".
  static std::string DirectoryOf(const std::string& path) {
    return path.substr(0, path.rfind('/'));
  }
  static std::string NameOf(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
  }

 private:
  Node* FindMutable(absl::string_view path);
  void Create(const Change& change, const OnChanged& on_changed);
  void Remove(Node& parent, const std::string& directory,
              const std::string& name, const OnChanged& on_changed);
  void RemoveEphemerals(Node& node, const std::string& path, int64_t session,
                        const OnChanged& on_changed);

  Node root_;
  int64_t zxid_ = 0;
};

}  // namespace quorate::sim

#endif  // QUORATE_SIM_ZNODE_TREE_H_
