//! What of a tree is left out.

use std::fs;

use depot_tests::user::User;
use depot_tests::world::World;

fn project(ann: &User) {
    for (name, text) in [
        ("src/main.c", "int main;"),
        ("src/main.o", "object"),
        ("src/keep.o", "object"),
        ("build/out", "binary"),
        ("docs/build/notes", "notes"),
        ("debug.log", "log"),
        ("README", "read me"),
    ] {
        ann.file(format!("tree/{name}"), text);
    }
}

#[test]
fn patterns_leave_out_what_they_match() {
    let world = World::start();
    let ann = world.admin("ann");
    project(&ann);
    let put = |target: &str, arguments: &[&str]| {
        ann.does(["put", "-r", "tree", target].iter().chain(arguments));
        let below = |path: String| path[target.len() + 1..].to_owned();
        ann.tree(target).into_iter().map(below).collect::<Vec<_>>()
    };
    let all = put("/all", &[]);
    assert_eq!(all.len(), 11);
    let some = put("/some", &["--exclude", "*.o", "--include", "keep.o", "--exclude", "/build"]);
    let left =
        ["docs", "docs/build", "docs/build/notes", "README", "src", "src/keep.o", "src/main.c"];
    let mut sorted: Vec<_> = some.iter().filter(|path| *path != "debug.log").collect();
    sorted.sort_by_key(|path| path.to_lowercase());
    assert_eq!(sorted, left);
    assert!(some.contains(&"debug.log".to_owned()));

    ann.file("tree/.gitignore", "*.o\n*.log\nbuild/\n");
    ann.file("tree/src/.gitignore", "!keep.o\n");
    let git = put("/git", &["--gitignore", "--include", "docs/build"]);
    for (path, is_there) in [
        ("src/keep.o", true),
        ("src/main.o", false),
        ("debug.log", false),
        ("build", false),
        ("docs/build/notes", true),
        (".gitignore", true),
    ] {
        assert_eq!(git.contains(&path.to_owned()), is_there, "{path} in {git:?}");
    }

    ann.does(["get", "-r", "/all", "back", "--exclude", "build", "--exclude", "*.o"]);
    let mut back: Vec<_> = fs::read_dir(ann.path("back")).expect("a tree").flatten().collect();
    back.sort_by_key(fs::DirEntry::file_name);
    let names: Vec<_> = back.iter().map(fs::DirEntry::file_name).collect();
    assert_eq!(names, ["README", "debug.log", "docs", "src"]);
    assert!(ann.path("back/src/main.c").exists() && !ann.path("back/src/main.o").exists());
    assert!(!ann.path("back/docs/build").exists());

    // What is left out can have any name, and stand in nobody's way.
    ann.file("tree/readme", "a twin");
    assert_eq!(ann.refused(["put", "-r", "tree", "/twins"]).kind(), (6, "NAME_TWIN"));
    ann.does(["put", "-r", "tree", "/twins", "--exclude", "readme"]);
    for wrong in ["", "a[", "[z-a]"] {
        let refused = ann.refused(["put", "-r", "tree", "/x", "--exclude", wrong]);
        assert_eq!(refused.exit, 2, "{wrong:?}: {refused:?}");
    }
}
