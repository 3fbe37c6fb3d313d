//! Images made from one static program each, without a registry: built by buildah into an archive that is imported.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::command;
use super::error::{Result, file};
use super::folders::Folders;
use super::hash::Hasher;
use super::lock::FileLock;
use super::progress::Progress;

/// The authorities that programs in an image trust: those of the machine that builds it.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Images stand under `localhost/`, so that no node ever asks a registry for one.
const PREFIX: &str = "localhost/tokenweir";

/// An image to make: one program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The last part of the repository, such as `gateway`; the program stands at `/tokenweir-gateway` in the image when
    /// the binary is called so.
    pub name: String,
    /// The static program. Its file name is its name in the image.
    pub binary: PathBuf,
}

/// An image that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRef {
    /// The name it was asked for by.
    pub name: String,
    /// The repository, such as `localhost/tokenweir/gateway`.
    pub repository: String,
    /// The tag: a hash of everything in the image.
    pub tag: String,
    /// The OCI archive.
    pub archive: PathBuf,
}

impl ImageRef {
    /// Repository and tag, as a pod names the image.
    pub fn reference(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }
}

/// Makes the images that the cache does not hold yet. The same program gives the same tag, so that nothing is built or
/// imported twice.
pub async fn build(images: &[Image], folders: &Folders, progress: &Progress) -> Result<Vec<ImageRef>> {
    let mut made = Vec::with_capacity(images.len());
    for image in images {
        made.push(build_one(image, folders, progress).await?);
    }
    Ok(made)
}

/// Makes the image that holds a pod's namespaces: a program that waits, compiled from `tools/image/pause.c`. It is also
/// the cheapest thing that a test can run in a pod.
pub async fn pause(folders: &Folders, progress: &Progress) -> Result<ImageRef> {
    let folder = folders.cache.join("images");
    std::fs::create_dir_all(&folder).map_err(file("create", &folder))?;
    let work = tempfile::tempdir_in(&folder).map_err(file("create a folder in", &folder))?;
    let binary = work.path().join("pause");
    let source = folders.source.join("tools/image/pause.c");
    let mut compile = Command::new("cc");
    compile.args(["-static", "-Os", "-s", "-o"]).arg(&binary).arg(source);
    command::output(&mut compile).await?;
    let name = "pause".to_owned();
    build_one(&Image { name, binary }, folders, progress).await
}

async fn build_one(image: &Image, folders: &Folders, progress: &Progress) -> Result<ImageRef> {
    let program = image
        .binary
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let containerfile = containerfile(&program);
    let content = std::fs::read(&image.binary).map_err(file("read", &image.binary))?;
    let authorities = std::fs::read(AUTHORITIES).map_err(file("read", Path::new(AUTHORITIES)))?;
    let mut hasher = Hasher::default();
    hasher.add(&content).add(&authorities).add(containerfile.as_bytes());
    let tag = hasher.finish();
    let folder = folders.cache.join("images");
    std::fs::create_dir_all(&folder).map_err(file("create", &folder))?;
    let made = ImageRef {
        name: image.name.clone(),
        repository: format!("{PREFIX}/{}", image.name),
        archive: folder.join(format!("{}-{tag}.tar", image.name)),
        tag,
    };
    if made.archive.is_file() {
        return Ok(made);
    }
    let _lock = FileLock::acquire(&folder.join("buildah.lock"), || {
        progress.step("waiting for another image build");
    })
    .await?;
    if made.archive.is_file() {
        return Ok(made);
    }
    progress.step(format!("building the image {}", made.reference()));
    let work = tempfile::tempdir_in(&folder).map_err(file("create a folder in", &folder))?;
    let write = |name: &str, bytes: &[u8]| {
        let path = work.path().join(name);
        std::fs::write(&path, bytes)
            .map_err(file("write", &path))
            .map(|()| path)
    };
    let recipe = write("Containerfile", containerfile.as_bytes())?;
    write("ca-certificates.crt", &authorities)?;
    let copied = write(&program, &content)?;
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&copied, executable).map_err(file("make executable", &copied))?;
    // Under another name first: an archive that exists is complete.
    let archive = work.path().join("image.tar");
    let reference = made.reference();
    let mut bud = buildah(folders);
    bud.args([
        "bud",
        "--quiet",
        "--isolation",
        "chroot",
        "--timestamp",
        "0",
        "--tag",
        &reference,
        "--file",
    ]);
    command::output(bud.arg(&recipe).arg(work.path())).await?;
    let mut push = buildah(folders);
    push.args(["push", "--quiet", &reference])
        .arg(format!("oci-archive:{}:{reference}", archive.display()));
    command::output(&mut push).await?;
    // The archive is all that is needed from here; what buildah stores would only grow.
    command::output(buildah(folders).args(["rmi", "--force", &reference])).await?;
    std::fs::rename(&archive, &made.archive).map_err(file("rename a file to", &made.archive))?;
    remove_older(&folder, &made)?;
    Ok(made)
}

/// Removes the archives of earlier builds of an image, keeping the three newest: a rollback needs the one before.
fn remove_older(folder: &Path, made: &ImageRef) -> Result<()> {
    let prefix = format!("{}-", made.name);
    let entries = std::fs::read_dir(folder).map_err(file("read", folder))?;
    let mut archives: Vec<_> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let tag = name.strip_prefix(&prefix)?.strip_suffix(".tar")?;
            // Tags are hexadecimal: `coredns-…` is no build of an image called `core`.
            tag.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(())?;
            Some((entry.metadata().ok()?.modified().ok()?, entry.path()))
        })
        .collect();
    archives.sort_by(|a, b| b.cmp(a));
    for (_, path) in archives.iter().skip(3).filter(|(_, path)| *path != made.archive) {
        std::fs::remove_file(path).map_err(file("remove", path))?;
    }
    Ok(())
}

fn containerfile(program: &str) -> String {
    format!(
        "FROM scratch\n\
         COPY ca-certificates.crt {AUTHORITIES}\n\
         COPY {program} /{program}\n\
         USER 65532:65532\n\
         ENTRYPOINT [\"/{program}\"]\n"
    )
}

fn buildah(folders: &Folders) -> Command {
    let storage = folders.cache.join("buildah");
    let mut command = Command::new("buildah");
    command
        .args(["--storage-driver", "vfs", "--root"])
        .arg(storage.join("root"));
    command.arg("--runroot").arg(storage.join("run"));
    command
}

/// Pushes images to a registry, for a cluster that the user named, and returns them under their names there.
pub(crate) async fn push(images: &[ImageRef], registry: &str, progress: &Progress) -> Result<Vec<ImageRef>> {
    let mut pushed = Vec::with_capacity(images.len());
    for image in images {
        let target = ImageRef {
            repository: format!("{}/{}", registry.trim_end_matches('/'), image.name),
            ..image.clone()
        };
        progress.step(format!("pushing {}", target.reference()));
        let mut command = Command::new("buildah");
        command.args(["--storage-driver", "vfs", "push", "--quiet"]);
        command.arg(format!("oci-archive:{}", image.archive.display()));
        command::output(command.arg(format!("docker://{}", target.reference()))).await?;
        pushed.push(target);
    }
    Ok(pushed)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn the_containerfile_holds_the_program_under_its_own_name_and_a_user_without_rights() {
        assert_eq!(
            containerfile("tokenweir-sim"),
            "FROM scratch\nCOPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt\n\
             COPY tokenweir-sim /tokenweir-sim\nUSER 65532:65532\nENTRYPOINT [\"/tokenweir-sim\"]\n"
        );
    }

    #[test]
    fn old_archives_of_the_same_image_are_removed_and_others_kept() {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let names = [
            "sim-a1.tar",
            "sim-a2.tar",
            "sim-a3.tar",
            "sim-a4.tar",
            "sim-server-a1.tar",
            "sim-a5.txt",
        ];
        for (age, name) in names.iter().enumerate() {
            let created = std::fs::File::create(folder.path().join(name)).unwrap();
            created.set_modified(now - Duration::from_secs(age as u64)).unwrap();
        }
        let made = ImageRef {
            name: "sim".to_owned(),
            repository: String::new(),
            tag: "a1".to_owned(),
            archive: folder.path().join("sim-a1.tar"),
        };
        remove_older(folder.path(), &made).unwrap();
        let mut left: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(
            left,
            [
                "sim-a1.tar",
                "sim-a2.tar",
                "sim-a3.tar",
                "sim-a5.txt",
                "sim-server-a1.tar"
            ]
        );
    }
}
