//! The program as a plugin of kubectl.

use std::process::Command;

use super::support::run;

#[tokio::test]
async fn it_is_linked_answers_to_both_names_and_leaves_other_files_alone() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    for _ in 0..2 {
        let ran = run(&["plugin", "install", "--dir", dir]).await;
        assert_eq!((ran.code, ran.out.lines().count()), (0, 2), "{ran:?}");
        assert!(ran.err.contains("is not in PATH"), "{}", ran.err);
    }
    let help = Command::new(folder.path().join("kubectl-tokenweir"))
        .args(["get", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("Usage: kubectl tokenweir get "), "{help}");
    let words = Command::new(folder.path().join("kubectl_complete-tokenweir"))
        .args(["describe", "ten"])
        .output();
    assert_eq!(
        String::from_utf8(words.unwrap().stdout).unwrap(),
        "tenant\tTenant\n:4\n"
    );

    let other = tempfile::tempdir().unwrap();
    let file = other.path().join("kubectl-tokenweir");
    std::fs::write(&file, "mine").unwrap();
    let ran = run(&["plugin", "install", "--dir", other.path().to_str().unwrap()]).await;
    assert!(ran.code == 1 && ran.err.contains("no link"), "{ran:?}");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "mine");
}
