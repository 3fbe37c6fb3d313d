//! How words go on in a shell, with names that the cluster knows.

use serde_json::json;

use super::support::{Api, SILENT, command, list, refusal, run_with};

const OURS: &str = "/apis/tokenweir.dev/v1alpha1";

fn named(names: &[&str]) -> serde_json::Value {
    let items: Vec<_> = names
        .iter()
        .map(|name| json!({"metadata": {"name": name, "namespace": "llm"}}))
        .collect();
    list(&items)
}

async fn api() -> Api {
    Api::start(&[
        (
            &format!("{OURS}/namespaces/llm/modelroutes"),
            200,
            named(&["chat", "chat-small", "search"]),
        ),
        (&format!("{OURS}/namespaces/other/modelroutes"), 200, named(&["change"])),
        (&format!("{OURS}/namespaces/llm/llmgateways"), 200, named(&["edge"])),
        (
            &format!("{OURS}/namespaces/llm/tenants"),
            SILENT,
            serde_json::Value::Null,
        ),
        (
            &format!("{OURS}/namespaces/llm/modelproviders"),
            403,
            refusal(403, "Forbidden", ""),
        ),
        ("/api/v1/namespaces", 200, named(&["kube-system", "llm"])),
    ])
    .await
}

#[tokio::test]
async fn names_go_on_as_far_as_the_cluster_tells_them_in_time() {
    let api = api().await;
    for (line, expected) in [
        (&["get", "routes", "ch"][..], "chat\nchat-small\n:4\n"),
        (&["get", "-n", "other", "routes", "ch"], "change\n:4\n"),
        (&["describe", "mr/se"], "mr/search\n:4\n"),
        (&["top", "--gateway="], "--gateway=edge\n:4\n"),
        (&["get", "--namespace", "l"], "llm\n:4\n"),
        (&["--context", ""], "fake\n:4\n"),
        (&["get", "providers", ""], ":4\n"),
        (&["chat", "--tenant", ""], ":4\n"),
    ] {
        let ran = api.run(&[&["__complete"], line].concat()).await;
        assert_eq!(
            (ran.code, ran.out.as_str(), ran.err.as_str()),
            (0, expected, ""),
            "{line:?}"
        );
    }
}

#[tokio::test]
async fn the_script_for_bash_gives_the_words_of_the_program() {
    let api = api().await;
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_tokenweirctl"))
        .parent()
        .unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let script = "source <(tokenweirctl completion bash); COMP_LINE=$1; COMP_POINT=${#1}; _tokenweirctl
        [ ${#COMPREPLY[@]} = 0 ] || printf '%s\\n' \"${COMPREPLY[@]}\"";
    for (line, expected) in [
        ("tokenweirctl get routes chat", "chat\nchat-small\n"),
        ("tokenweirctl get route/se", "route/search\n"),
        ("tokenweirctl desc", "describe\n"),
        ("tokenweirctl top --gateway=", "edge\n"),
        ("tokenweirctl get -o ", "table\nwide\njson\nyaml\nname\n"),
        ("tokenweirctl check -f ", ""),
    ] {
        let mut bash = tokio::process::Command::new("bash");
        let plain = command(&[]);
        for (name, value) in plain.as_std().get_envs() {
            match value {
                Some(value) => bash.env(name, value),
                None => bash.env_remove(name),
            };
        }
        bash.args(["--norc", "--noprofile", "-c", script, "bash", line]);
        bash.env("PATH", &path).env("KUBECONFIG", api.kubeconfig());
        let ran = run_with(bash, "").await;
        assert_eq!(
            (ran.code, ran.out.as_str(), ran.err.as_str()),
            (0, expected, ""),
            "{line:?}"
        );
    }
}
