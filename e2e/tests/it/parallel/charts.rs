//! The charts as GitOps tools see them.

use std::process::Stdio;

use tokenweir_e2e::harness::helm::Helm;
use tokenweir_e2e::harness::install;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::support::beside;

#[test]
fn rendering_a_chart_twice_gives_the_same_bytes() {
    beside(async |world| {
        let helm = Helm::new(&world.cluster);
        for release in [
            install::crd_release(&world.folders),
            install::main_release(&world.folders, &world.images),
        ] {
            let first = helm.template(&release).await?;
            assert_eq!(
                first,
                helm.template(&release).await?,
                "{} differs from itself",
                release.name
            );
            assert!(first.contains("kind:"), "nothing was rendered");
        }
        Ok(())
    });
}

#[test]
fn what_is_installed_is_what_was_rendered_and_stays_so() {
    beside(async |world| {
        let helm = Helm::new(&world.cluster);
        for release in [install::CRD_RELEASE, install::RELEASE] {
            let manifest = helm.manifest(release, install::NAMESPACE).await?;
            // As another tool would apply it. What helm itself writes beside the chart, its marks, is left out of this.
            let mut diff = Command::new(world.cluster.kubectl());
            diff.arg("--kubeconfig").arg(world.cluster.kubeconfig());
            diff.args([
                "diff",
                "--server-side",
                "--field-manager=gitops",
                "--force-conflicts",
                "-f",
                "-",
            ]);
            let mut child = diff
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("kubectl can be run");
            let mut input = child.stdin.take().expect("its input is piped");
            input.write_all(manifest.as_bytes()).await.expect("kubectl reads");
            drop(input);
            let output = child.wait_with_output().await.expect("kubectl ends");
            let (out, err) = (
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
            );
            assert!(output.status.success(), "{release} drifted:\n{out}{err}");
        }
        Ok(())
    });
}
