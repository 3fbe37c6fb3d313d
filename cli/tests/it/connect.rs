//! The way to the API server: which files, which proxy, and as whom.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::support::{Api, Ran, command, kubeconfig, list, run_with};

const ROUTES: &str = "/apis/tokenweir.dev/v1alpha1/namespaces/llm/modelroutes";

async fn api() -> Api {
    let route = json!({"metadata": {"name": "chat", "namespace": "llm"}, "spec": {"model": "assistant"}});
    Api::start(&[(ROUTES, 200, list(&[route]))]).await
}

/// A proxy that opens tunnels, all to one place, and remembers what it was asked for.
struct Proxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = heads.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let seen = seen.clone();
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(client.read_u8().await.unwrap());
                    }
                    seen.lock().unwrap().push(String::from_utf8(head).unwrap());
                    let mut server = TcpStream::connect(to).await.unwrap();
                    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { address, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// Asks for routes with a kubeconfig for this cluster and these variables.
async fn ask(cluster: &serde_json::Value, variables: &[(&str, String)]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    std::fs::write(&path, kubeconfig(cluster).to_string()).unwrap();
    let mut command = command(&["get", "routes", "-o", "name", "--request-timeout", "5s"]);
    command.env("KUBECONFIG", path).envs(variables.iter().cloned());
    run_with(command, "").await
}

#[tokio::test]
async fn a_proxy_is_used_as_kubectl_uses_it() {
    let api = api().await;
    let proxy = Proxy::start(api.address).await;
    let found = "modelroute.tokenweir.dev/chat\n";
    let url = format!("http://me:s%40cret@{}", proxy.address);

    // That of the kubeconfig, even for this machine and what is exempt.
    let cluster = json!({"server": format!("http://{}", api.address), "proxy-url": url});
    let ran = ask(&cluster, &[("NO_PROXY", "*".to_owned())]).await;
    assert_eq!((ran.out.as_str(), proxy.heads().len()), (found, 1), "{ran:?}");
    let head = proxy.heads().remove(0);
    assert!(
        head.starts_with(&format!("CONNECT {} HTTP/1.1\r\n", api.address)),
        "{head}"
    );
    assert!(
        head.to_lowercase()
            .contains("proxy-authorization: basic bwu6c0bjcmv0\r\n"),
        "{head}"
    );

    // That of the environment, in lower case, by the scheme of the server, with a list that kube could not read.
    let cluster = json!({"server": "http://api.example.com:6443"});
    let variables = [
        ("http_proxy", proxy.address.to_string()),
        ("HTTPS_PROXY", "http://127.0.0.1:1".to_owned()),
        ("no_proxy", ".example.org,, 10.0.0.0/8,".to_owned()),
    ];
    let ran = ask(&cluster, &variables).await;
    assert_eq!((ran.out.as_str(), proxy.heads().len()), (found, 2), "{ran:?}");
    assert!(
        proxy.heads()[1].starts_with("CONNECT api.example.com:6443 "),
        "{:?}",
        proxy.heads()
    );

    // Not for this machine.
    let cluster = json!({"server": format!("http://{}", api.address)});
    let ran = ask(&cluster, &[("HTTP_PROXY", proxy.address.to_string())]).await;
    assert_eq!((ran.out.as_str(), proxy.heads().len()), (found, 2), "{ran:?}");

    let cluster = json!({"server": "http://127.0.0.1:1", "proxy-url": "ftp://proxy"});
    let ran = ask(&cluster, &[]).await;
    assert!(ran.code == 1 && ran.err.contains("proxy-url"), "{ran:?}");
}

#[tokio::test]
async fn files_of_a_list_that_are_missing_are_passed_over() {
    let api = api().await;
    let here = api.kubeconfig();
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone");
    let joined = std::env::join_paths([&gone, &here]).unwrap();
    let mut one = command(&["get", "routes", "-o", "name"]);
    one.env("KUBECONFIG", joined);
    let ran = run_with(one, "").await;
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "modelroute.tokenweir.dev/chat\n"),
        "{ran:?}"
    );

    let mut none = command(&["get", "routes"]);
    let joined = std::env::join_paths([&gone, &folder.path().join("lost")]).unwrap();
    none.env("KUBECONFIG", joined);
    let ran = run_with(none, "").await;
    assert!(
        ran.code == 1 && ran.err.contains("none of these files exists: "),
        "{ran:?}"
    );
    assert!(
        ran.err.contains("gone, ") && ran.err.contains("lost; set KUBECONFIG"),
        "{ran:?}"
    );
    // What the flag names must be there.
    let ran = run_with(command(&["get", "routes", "--kubeconfig", gone.to_str().unwrap()]), "").await;
    assert!(ran.code == 1 && ran.err.contains("gone"), "{ran:?}");
}

#[tokio::test]
async fn whoever_may_impersonate_asks_as_somebody_else() {
    let api = api().await;
    let flags = ["--as", "eve", "--as-group", "dev", "--as-group", "ops", "--as-uid", "7"];
    let ran = api.run(&[&["get", "routes"][..], &flags].concat()).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let seen = api.seen().remove(0);
    assert_eq!(
        (&seen["impersonate-user"], &seen["impersonate-uid"]),
        (&"eve".parse().unwrap(), &"7".parse().unwrap())
    );
    let groups: Vec<_> = seen.get_all("impersonate-group").iter().collect();
    assert_eq!(groups, ["dev", "ops"]);
    let ran = api.run(&["get", "routes", "--as-group", "dev"]).await;
    assert!(ran.code == 1 && ran.err.contains("need --as"), "{ran:?}");
    assert_eq!(api.seen().len(), 1, "nobody was asked");
}
