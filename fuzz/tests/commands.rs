//! The commands say what they did.
//!
//! One test alone in its program: a replay counts the memory for the whole of it.

use tokenweir_fuzz::{TARGETS, command};

#[test]
fn commands_list_the_targets_and_replay_inputs() {
    let run = |arguments: &[&str]| {
        let mut out = Vec::new();
        let code = command::run(arguments.iter().map(ToString::to_string), &mut out);
        (format!("{code:?}"), String::from_utf8(out).unwrap())
    };
    let success = format!("{:?}", std::process::ExitCode::SUCCESS);
    let (code, listed) = run(&["list"]);
    assert_eq!((code, listed.lines().count()), (success.clone(), TARGETS.len()));

    let folder = std::env::temp_dir().join(format!("tokenweir-fuzz-{}", std::process::id()));
    let (code, _) = run(&["seeds", folder.to_str().unwrap()]);
    assert_eq!(code, success);
    let words = std::fs::read_to_string(folder.join("gemini_answers.dict")).unwrap();
    assert!(words.lines().any(|line| line == "\"candidates\""), "{words}");
    let seed = folder.join("gemini_answers/seed-0");
    let (code, said) = run(&["replay", "gemini_answers", seed.to_str().unwrap()]);
    assert_eq!((code, said.lines().count()), (success.clone(), 1));
    std::fs::remove_dir_all(&folder).unwrap();

    for wrong in [
        &["replay", "nothing", "x"][..],
        &["replay", "sse", "/nowhere"],
        &["replay", "sse"],
        &[],
    ] {
        assert_ne!(run(wrong).0, success, "{wrong:?}");
    }
}
