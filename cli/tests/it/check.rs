//! Checking files.

use super::support::{command, run, run_with};

const QUICKSTART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/quickstart");

#[tokio::test]
async fn the_quickstart_is_right() {
    let ran = run(&["check", "-f", QUICKSTART]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.ends_with("compiled for llm/edge\n"), "{}", ran.out);
    let json = run(&["check", "-f", QUICKSTART, "-o", "json"]).await.json();
    assert_eq!(
        (json["ok"].as_bool(), json["gateways"][0].as_str()),
        (Some(true), Some("llm/edge"))
    );
}

#[tokio::test]
async fn a_mistake_is_told_with_its_place_and_what_would_be_right() {
    let text = "apiVersion: tokenweir.dev/v1alpha1\nkind: Tenant\nmetadata: {name: a}\nspec:\n  atuh: {}\n";
    let ran = run_with(command(&["check", "-f", "-"]), text).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.out
            .contains("error: <stdin>:5:3: spec.atuh: unknown field \"atuh\"; did you mean \"auth\"?"),
        "{}",
        ran.out
    );
    assert_eq!(ran.err, "", "it was told already");
    let ran = run_with(command(&["check", "-f", "-", "-o", "json"]), text).await;
    let json = ran.json();
    let finding = &json["findings"][0];
    assert_eq!(
        (ran.code, finding["line"].as_u64(), finding["field"].as_str()),
        (1, Some(5), Some("spec.atuh"))
    );
}

#[tokio::test]
async fn a_wrong_command_line_has_its_own_exit_code() {
    for args in [
        &["check"][..],
        &["check", "-f", QUICKSTART, "-o", "name"],
        &["get", "pods"],
        &["nothing"],
        &["describe", "route"],
    ] {
        let ran = run(args).await;
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}: {}", ran.err);
    }
}

#[tokio::test]
async fn without_a_cluster_the_error_says_how_to_name_one() {
    let ran = run(&["get"]).await;
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.contains("no cluster is known") && ran.err.contains("KUBECONFIG"),
        "{}",
        ran.err
    );
    let mut gone = command(&["get", "--kubeconfig", "gone.yaml"]);
    gone.current_dir(env!("CARGO_TARGET_TMPDIR"));
    let ran = run_with(gone, "").await;
    assert!(ran.code == 1 && ran.err.contains("gone.yaml"), "{}", ran.err);
}

#[tokio::test]
async fn version_and_completion_need_no_cluster() {
    let ran = run(&["version"]).await;
    assert_eq!(ran.out, format!("tokenweirctl {}\n", env!("CARGO_PKG_VERSION")));
    let ran = run(&["completion", "bash"]).await;
    assert!(ran.code == 0 && ran.out.contains("_tokenweirctl()"), "{}", ran.err);
}
