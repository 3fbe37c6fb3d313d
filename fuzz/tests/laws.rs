//! What checks the laws can fail, and the commands say what they did.

use tokenweir_fuzz::{CANARY, TARGETS, command, in_proportion};

#[test]
fn work_that_grows_with_the_square_of_the_input_is_out_of_proportion() {
    let quadratic = |length: usize| {
        in_proportion("copying", length, || {
            (0..length).map(|_| vec![0_u8; length].len()).sum::<usize>()
        })
    };
    assert_eq!(quadratic(100), 10_000);
    assert!(std::panic::catch_unwind(|| quadratic(5000)).is_err());
}

#[test]
fn the_canary_is_found_at_its_six_bytes_alone() {
    (CANARY.run)(b"weir");
    (CANARY.run)(b"______");
    assert!(std::panic::catch_unwind(|| (CANARY.run)(b"weired")).is_err());
}

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
