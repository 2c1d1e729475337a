//! Makes a run the rank of a job: its inputs come from the folder of the job, it waits at the barrier, and reports to `run`.
//!
//! Must not start gates.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use indexmap::IndexMap;

use crate::cmd::run::input::{self, Refused, RunInput};
use crate::cmd::run_rank;
use crate::domain::evidence::Evidence;
use crate::domain::gate_environment::OF_JOB;
use crate::domain::ids::Sha256;
use crate::domain::results::Results;
use crate::domain::verdict::Reason;
use crate::executor::folder::{BARRIER, JobFolder, JobSpec, Key, Ready, Report, Start};
use crate::gate::engine::{PerfTerms, Ranks};
use crate::gate::evidence;
use crate::gate::kernel_build::BUILD_TIMEOUT;
use crate::gate::select::Selection;
use crate::leaks::machine;
use crate::report::links::Links;
use crate::system::signals::Signals;
use leakscan::identity::Identity;

/// The time between two looks for the barrier.
const LOOK: Duration = Duration::from_millis(50);

/// The variable with the address of a pod, which the manifest sets.
const ADDRESS: &str = "POD_IP";

/// One rank of a job.
pub(super) struct Rank {
    folder: JobFolder,
    key: Key,
    spec: JobSpec,
    number: u32,
    node: String,
    /// The nonce of the kernel build, read before code of the change runs.
    nonce: OnceCell<Option<String>>,
}

impl Rank {
    /// Opens the folder of a job.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let (folder, key, spec) = JobFolder::open(path).context("cannot run a rank")?;
        let number = run_rank::number()?;
        if number >= spec.nodes {
            return Err(anyhow!("cannot run a rank: the job has {} ranks", spec.nodes));
        }
        let named = ["SLURMD_NODENAME", "NODE_NAME"];
        let named = named.into_iter().find_map(|name| std::env::var(name).ok());
        Ok(Rank {
            folder,
            key,
            spec,
            number,
            node: named.unwrap_or_else(host),
            nonce: OnceCell::new(),
        })
    }

    /// Returns the inputs of the run of this rank.
    pub(super) fn input(&self, subject: &Path) -> Result<RunInput, Refused> {
        let selection = Selection {
            bundle: None,
            gate_ids: vec![self.spec.gate.clone()],
        };
        let (identity, _) = input::identity(&self.spec.registry, &selection)
            .map_err(Refused::because(Reason::Prerequisite))?;
        let found = evidence::of_subject(subject).map_err(anyhow::Error::from)?;
        Ok(RunInput {
            evidence: Evidence {
                registry: self.spec.evidence.registry.clone(),
                contract: self.spec.evidence.contract.clone(),
                run: self.spec.evidence.run.clone(),
                image: std::env::var("NMOE_IMAGE_DIGEST")
                    .ok()
                    .filter(|digest| Sha256::is_image_digest(digest)),
                ..found
            },
            registry: self.spec.registry.clone(),
            selection,
            contract: None,
            external: IndexMap::new(),
            perf: PerfTerms::default(),
            links: Links::default(),
            identity,
            redacts_output: true,
        })
    }

    /// Says that this rank is ready, and waits until all are. Returns the variables of the gate, and adds the names of all nodes
    /// to those that are redacted.
    ///
    /// # Errors
    /// The folder cannot be written, or the run is stopped.
    pub(super) fn meet(
        &self,
        evidence: &Evidence,
        identity: &mut Identity,
        signals: &mut Signals,
    ) -> anyhow::Result<Vec<(OsString, OsString)>> {
        // The port is free now. Another process could take it before rank 0 listens.
        let port = TcpListener::bind(("0.0.0.0", 0))
            .and_then(|listener| listener.local_addr())
            .context("cannot find a free port")?
            .port();
        let ready = Ready {
            rank: self.number,
            node: self.node.clone(),
            // The name of a pod is known to itself only.
            host: std::env::var(ADDRESS).unwrap_or_else(|_| host()),
            port,
            names: self.names(),
            evidence: evidence.clone(),
        };
        self.folder
            .write_ready(&ready)
            .context("cannot report to the run")?;
        // The run opens the barrier or cancels the job earlier, unless it was killed.
        let until = Instant::now() + 2 * BARRIER;
        let start = loop {
            if let Some(start) = self.folder.start(&self.key) {
                break start;
            }
            if Instant::now() >= until {
                return Err(anyhow!(
                    "cannot start the gate: the run that submitted this job is gone\nhelp: start the run again"
                ));
            }
            if signals.stop().is_some() {
                return Err(anyhow!(
                    "cannot start the gate: the job was stopped before all ranks were ready"
                ));
            }
            std::thread::sleep(LOOK);
        };
        start.names.iter().for_each(|name| machine::host(identity, name));
        self.nonce.get_or_init(|| start.nonce.clone());
        Ok(self.variables(&start))
    }

    /// Returns all names of nodes that this rank knows.
    fn names(&self) -> Vec<String> {
        let of_slurm = machine::OF_SLURM
            .into_iter()
            .chain([ADDRESS])
            .filter_map(|name| std::env::var(name).ok());
        [self.node.clone(), host()].into_iter().chain(of_slurm).collect()
    }

    fn variables(&self, start: &Start) -> Vec<(OsString, OsString)> {
        let values = [
            self.spec.nodes.to_string(),
            self.number.to_string(),
            start.host.clone(),
            start.port.to_string(),
        ];
        let pairs = OF_JOB.into_iter().zip(values);
        pairs.map(|(name, value)| (name.into(), value.into())).collect()
    }

    /// Reports the results of this rank.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(super) fn report(&self, results: &Results) -> anyhow::Result<()> {
        let report = Report {
            rank: self.number,
            node: self.node.clone(),
            results: results.clone(),
        };
        self.folder
            .write_report(&report, &self.key)
            .context("cannot report to the run")
    }
}

impl Ranks for Rank {
    fn builds(&self) -> bool {
        self.number == 0
    }

    fn nonce(&self) -> Option<String> {
        self.nonce.get()?.clone()
    }

    fn built(&self) {
        // Without the file, the other ranks wait until this one reports, and the gate is invalid.
        let _ = self.folder.write_built();
    }

    fn wait_for_build(&self, stop: &mut dyn FnMut() -> bool) -> bool {
        let until = Instant::now() + BUILD_TIMEOUT + BARRIER;
        while !self.folder.is_built() {
            // Rank 0 ended without a build, or nobody waits for this job any more.
            let is_over = self.folder.report(0, &self.key).is_some() || !self.folder.path().exists();
            if stop() || is_over || Instant::now() >= until {
                return self.folder.is_built();
            }
            std::thread::sleep(LOOK);
        }
        true
    }
}

/// Returns the name of this machine.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
mod tests {
    use super::*;
    use crate::executor::join::tests::spec;

    #[test]
    fn removed_folder_ends_wait_for_build() {
        let place = tempfile::tempdir().unwrap();
        let (folder, key) = JobFolder::create(&place.path().join("job"), &spec(2)).unwrap();
        let rank = Rank {
            folder,
            key,
            spec: spec(2),
            number: 1,
            node: "n2".to_owned(),
            nonce: OnceCell::new(),
        };
        drop(place);
        assert!(!rank.wait_for_build(&mut || false));
    }
}
