//! Builds the programs of the cluster from the Go wrapper modules below `tools/kube-parts`, once per version.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::command;
use super::error::{ClusterError, Result, file};
use super::folders::Folders;
use super::hash::Hasher;
use super::lock::FileLock;
use super::progress::Progress;

/// The module that holds the programs of Kubernetes.
const KUBERNETES: &str = "k8s.io/kubernetes";
/// Where they keep their version.
const KUBERNETES_STAMPS: [&str; 2] = [
    "k8s.io/component-base/version.gitVersion",
    "k8s.io/client-go/pkg/version.gitVersion",
];

/// One wrapper module: a `go.mod` that names a version, and what is built from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Module {
    /// API server, controller manager, scheduler, kubelet, kube-proxy, kubectl.
    Kubernetes,
    /// kubectl alone, for a cluster that brings its own Kubernetes.
    Kubectl,
    /// The store.
    Etcd,
    /// The package manager the chart is installed with.
    Helm,
    /// The cluster's DNS server.
    CoreDns,
    /// CPU and memory metrics for `kubectl top` and resource HPAs.
    MetricsServer,
    /// Kubernetes in containers, for machines that have a container engine.
    Kind,
}

/// What a module is made of.
struct Recipe {
    /// The name in the cache.
    name: &'static str,
    /// The folder below `tools/kube-parts`.
    folder: &'static str,
    /// The Go module whose required version is the version of the build.
    module: &'static str,
    /// The packages that become executables.
    packages: &'static [&'static str],
    /// Go variables that are set to the version; without them the programs report v0.0.0.
    stamps: &'static [&'static str],
}

impl Module {
    fn recipe(self) -> Recipe {
        match self {
            Self::Kubernetes => Recipe {
                name: "kubernetes",
                folder: "kubernetes",
                module: KUBERNETES,
                packages: &[
                    "k8s.io/kubernetes/cmd/kube-apiserver",
                    "k8s.io/kubernetes/cmd/kube-controller-manager",
                    "k8s.io/kubernetes/cmd/kube-proxy",
                    "k8s.io/kubernetes/cmd/kube-scheduler",
                    "k8s.io/kubernetes/cmd/kubectl",
                    "k8s.io/kubernetes/cmd/kubelet",
                ],
                stamps: &KUBERNETES_STAMPS,
            },
            Self::Kubectl => Recipe {
                name: "kubectl",
                folder: "kubernetes",
                module: KUBERNETES,
                packages: &["k8s.io/kubernetes/cmd/kubectl"],
                stamps: &KUBERNETES_STAMPS,
            },
            Self::Etcd => Recipe {
                name: "etcd",
                folder: "etcd",
                module: "go.etcd.io/etcd/server/v3",
                packages: &["go.etcd.io/etcd/server/v3"],
                stamps: &[],
            },
            Self::Helm => Recipe {
                name: "helm",
                folder: "helm",
                module: "helm.sh/helm/v4",
                packages: &["helm.sh/helm/v4/cmd/helm"],
                stamps: &["helm.sh/helm/v4/internal/version.version"],
            },
            Self::CoreDns => Recipe {
                name: "coredns",
                folder: "coredns",
                module: "github.com/coredns/coredns",
                packages: &["github.com/coredns/coredns"],
                stamps: &[],
            },
            Self::MetricsServer => Recipe {
                name: "metrics-server",
                folder: "metrics-server",
                module: "sigs.k8s.io/metrics-server",
                packages: &["sigs.k8s.io/metrics-server/cmd/metrics-server"],
                stamps: &["k8s.io/client-go/pkg/version.gitVersion"],
            },
            Self::Kind => Recipe {
                name: "kind",
                folder: "kind",
                module: "sigs.k8s.io/kind",
                packages: &["sigs.k8s.io/kind"],
                stamps: &[],
            },
        }
    }

    /// The name of the module's builds in the cache.
    pub fn name(self) -> &'static str {
        self.recipe().name
    }
}

/// What identifies one build: change any of it and another folder of the cache is used.
struct Build {
    recipe: Recipe,
    source: PathBuf,
    version: String,
    arguments: Vec<String>,
    folder: PathBuf,
}

impl Build {
    fn plan(module: Module, folders: &Folders) -> Result<Self> {
        let recipe = module.recipe();
        let source = folders.source.join("tools/kube-parts").join(recipe.folder);
        let read = |name: &str| {
            let path = source.join(name);
            std::fs::read_to_string(&path).map_err(file("read", &path))
        };
        let (manifest, sums) = (read("go.mod")?, read("go.sum")?);
        let version = required_version(&manifest, recipe.module)
            .ok_or_else(|| ClusterError::NoVersion {
                path: source.join("go.mod"),
                module: recipe.module,
            })?
            .to_owned();
        let arguments = arguments(&recipe, &version);
        let mut hasher = Hasher::default();
        hasher.add(manifest.as_bytes()).add(sums.as_bytes());
        for argument in &arguments {
            hasher.add(argument.as_bytes());
        }
        let folder = folders
            .cache
            .join("parts")
            .join(format!("{}-{version}-{}", recipe.name, hasher.finish()));
        Ok(Self {
            recipe,
            source,
            version,
            arguments,
            folder,
        })
    }
}

/// The folder with the executables of a module, which are built if no earlier call has built them.
///
/// Safe under concurrent callers, in one process or in many: one builds and the others wait. A folder that exists is
/// complete, because it is filled under another name first.
pub async fn ensure(module: Module, folders: &Folders, progress: &Progress) -> Result<PathBuf> {
    let build = Build::plan(module, folders)?;
    if build.folder.is_dir() {
        return Ok(build.folder);
    }
    let parent = folders.cache.join("parts");
    std::fs::create_dir_all(&parent).map_err(file("create", &parent))?;
    let lock = parent.join(format!("{}.lock", build.recipe.name));
    let waiting = || {
        progress.step(format!(
            "another process is building {}, waiting for it",
            build.recipe.name
        ));
    };
    let _lock = FileLock::acquire(&lock, waiting).await?;
    if build.folder.is_dir() {
        return Ok(build.folder);
    }
    run(&build, &parent, progress).await?;
    Ok(build.folder)
}

async fn run(build: &Build, parent: &Path, progress: &Progress) -> Result<()> {
    let name = build.recipe.name;
    progress.step(format!(
        "building {name} {} (once for this version; minutes on two cores)",
        build.version
    ));
    let temporary = tempfile::Builder::new()
        .prefix(&format!(".{name}-"))
        .tempdir_in(parent)
        .map_err(file("create a folder in", parent))?;
    let mut go = Command::new("go");
    go.arg("build")
        .arg("-o")
        .arg(format!("{}/", temporary.path().display()))
        .args(&build.arguments);
    // Static programs: some of them run in images that hold nothing else.
    go.current_dir(&build.source)
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off");
    let started = std::time::Instant::now();
    {
        let compile = command::output(&mut go);
        tokio::pin!(compile);
        loop {
            match tokio::time::timeout(Duration::from_secs(20), &mut compile).await {
                Ok(result) => {
                    result?;
                    break;
                }
                Err(_) => progress.step(format!("  still building {name} ({} s)", started.elapsed().as_secs())),
            }
        }
    }
    let finished = temporary.keep();
    std::fs::rename(&finished, &build.folder).map_err(file("rename a folder to", &build.folder))?;
    progress.step(format!(
        "built {name} {} in {} s",
        build.version,
        started.elapsed().as_secs()
    ));
    Ok(())
}

fn arguments(recipe: &Recipe, version: &str) -> Vec<String> {
    let mut flags = vec!["-s -w".to_owned()];
    flags.extend(recipe.stamps.iter().map(|stamp| format!("-X {stamp}={version}")));
    if recipe.module == KUBERNETES {
        // Helm and kubectl compare these two with numbers.
        let mut numbers = version.trim_start_matches('v').split('.');
        for stamp in ["gitMajor", "gitMinor"] {
            let number = numbers.next().unwrap_or("0");
            flags.push(format!("-X k8s.io/component-base/version.{stamp}={number}"));
        }
    }
    let flags = flags.join(" ");
    let fixed = [
        "-mod=readonly",
        "-trimpath",
        "-buildvcs=false",
        "-ldflags",
        flags.as_str(),
    ];
    fixed
        .iter()
        .chain(recipe.packages)
        .map(|argument| (*argument).to_owned())
        .collect()
}

/// The version that a `go.mod` requires of a module.
fn required_version<'a>(manifest: &'a str, module: &str) -> Option<&'a str> {
    manifest.lines().find_map(|line| {
        let line = line.trim().trim_start_matches("require ").trim_start();
        let version = line.strip_prefix(module)?.strip_prefix(' ')?;
        version
            .split_ascii_whitespace()
            .next()
            .filter(|version| version.starts_with('v'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_single_and_grouped_requirements() {
        assert_eq!(required_version("require a.b/c v1.2.3\n", "a.b/c"), Some("v1.2.3"));
        assert_eq!(
            required_version("require (\n\ta.b/c/v2 v2.0.0\n\ta.b/c v1.2.3 // indirect\n)", "a.b/c"),
            Some("v1.2.3")
        );
        assert_eq!(required_version("replace (\n\ta.b/c => d.e/f v1.0.0\n)", "a.b/c"), None);
        assert_eq!(required_version("tool a.b/c\n", "a.b/c"), None);
    }

    #[test]
    fn kubernetes_is_stamped_with_its_version() {
        let arguments = arguments(&Module::Kubernetes.recipe(), "v1.36.3");
        let flags = &arguments[4];
        for part in [
            "version.gitVersion=v1.36.3",
            "version.gitMajor=1",
            "version.gitMinor=36",
        ] {
            assert!(flags.contains(part), "{flags}");
        }
    }

    #[test]
    fn every_wrapper_module_names_the_version_it_builds() {
        let folders = Folders::from_lookup(|_| Some("/nowhere".to_owned()));
        let modules = [
            Module::Kubernetes,
            Module::Kubectl,
            Module::Etcd,
            Module::Helm,
            Module::CoreDns,
            Module::MetricsServer,
            Module::Kind,
        ];
        for module in modules {
            let build = Build::plan(module, &folders).unwrap();
            assert!(build.version.starts_with('v'), "{}", module.name());
            let manifest = std::fs::read_to_string(build.source.join("go.mod")).unwrap();
            for package in build.recipe.packages {
                assert!(manifest.contains(package), "{package} is no tool of {}", module.name());
            }
        }
    }
}
