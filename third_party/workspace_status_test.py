"""The hash that fresh seeds are made of stands for what is in the files."""

import pathlib
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path.cwd() / "third_party/workspace_status.sh"


class WorkspaceStatusTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_here(self, *command):
        return subprocess.run(
            command, cwd=self.folder, check=True, text=True,
            stdout=subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.folder),
                 "GIT_CEILING_DIRECTORIES": str(self.folder.parent)}).stdout

    def tree(self):
        name, tree = self.run_here(SCRIPT).split()
        self.assertEqual(name, "STABLE_TREE")
        return tree

    def commit(self):
        self.run_here("git", "add", "--all")
        self.run_here("git", "-c", "user.name=a", "-c", "user.email=a@b.c",
                      "commit", "--quiet", "--message=x")

    def test_a_commit_does_not_change_it_but_content_does(self):
        self.run_here("git", "init", "--quiet")
        (self.folder / "a").write_text("1")
        self.commit()
        committed = self.tree()
        self.assertEqual(
            committed, self.run_here("git", "rev-parse", "HEAD^{tree}").strip())
        (self.folder / "a").write_text("2")
        edited = self.tree()
        (self.folder / "new").write_text("")
        added = self.tree()
        self.assertEqual(len({committed, edited, added}), 3)
        before = self.run_here("git", "status", "--porcelain")
        self.assertEqual(before, " M a\n?? new\n")
        self.commit()
        self.assertEqual(self.tree(), added)

    def test_without_git(self):
        self.assertEqual(self.tree(), "unknown")


if __name__ == "__main__":
    unittest.main()
