//! The program as a plugin of kubectl.

use std::io::ErrorKind;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

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

#[tokio::test]
async fn a_link_to_the_program_is_what_the_plugin_leads_to_and_never_to_itself() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("tokenweirctl");
    let file = std::path::Path::new(env!("CARGO_BIN_EXE_tokenweirctl"));
    std::os::unix::fs::symlink(file, &link).unwrap();
    let plugin = folder.path().join("kubectl-tokenweir");
    // By its path, and by its name alone as a shell finds it.
    for program in [link.as_os_str(), std::ffi::OsStr::new("tokenweirctl")] {
        let done = Command::new(program)
            .args(["plugin", "install"])
            .env("PATH", folder.path())
            .output()
            .unwrap();
        assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
        assert_eq!(std::fs::read_link(&plugin).unwrap(), link);
    }
    // As the plugin itself: the link that was called must not lead to itself.
    let dir = folder.path().to_str().unwrap();
    let done = Command::new(&plugin)
        .args(["plugin", "install", "--dir", dir])
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    assert_eq!(plugin.canonicalize().unwrap(), file.canonicalize().unwrap());
    assert!(Command::new(&plugin).arg("version").output().unwrap().status.success());

    // A program that has the plugin's name, as package managers of kubectl install it.
    let other = tempfile::tempdir().unwrap();
    let copy = other.path().join("kubectl-tokenweir");
    std::fs::copy(file, &copy).unwrap();
    let done = ran(Command::new(&copy).args(["plugin", "install"]));
    assert!(done.status.success(), "{done:?}");
    assert!(!copy.is_symlink() && other.path().join("kubectl_complete-tokenweir").is_symlink());
}

/// Runs a program that was written a moment ago. A child of another test that began in that moment holds the file open for
/// writing until it is a program of its own, and Linux runs no file that may still be written.
fn ran(command: &mut Command) -> Output {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match command.output() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(10));
            }
            done => return done.unwrap(),
        }
    }
}
