//! Submits, watches and deletes Indexed Jobs through the API of Kubernetes. Each pod of the job is one rank.
//!
//! The state comes from a list and then from a watch that begins at the version of the list. Must not depend on gates.

use std::cell::RefCell;

use crate::domain::container::is_named_image;
use crate::domain::executor::KubernetesOptions;
use crate::executor::kubernetes::api::Api;
use crate::executor::kubernetes::config::Config;
use crate::executor::kubernetes::logs::Logs;
use crate::executor::kubernetes::manifest::Manifest;
use crate::executor::kubernetes::objects::{Groups, JobObject, List, Pod, Resources, WatchEvent};
use crate::executor::scheduler::{Job, Queue, Scheduler, SchedulerError, State};
use crate::system::files;

pub mod api;
pub mod config;
pub mod logs;
pub mod manifest;
pub mod objects;

/// The version of the API that has jobs.
const BATCH: &str = "/apis/batch/v1";
/// What this program does with jobs.
const VERBS: [&str; 5] = ["create", "delete", "get", "list", "watch"];
/// The group of objects of Kueue.
const KUEUE: &str = "kueue.x-k8s.io";
/// The seconds that a job may need to fetch its image, after Kueue admitted it.
const START_S: u64 = 1800;
/// The answer to a watch that begins at a version that the server no longer has.
const GONE: u16 = 410;
const NOT_FOUND: u16 = 404;

/// The jobs of a cluster.
pub struct Cluster(Api);

impl Cluster {
    /// Prepares requests to a cluster.
    ///
    /// # Errors
    /// A certificate of the configuration cannot be read.
    pub fn new(config: Config) -> Result<Self, SchedulerError> {
        Api::new(config).map(Cluster)
    }

    fn jobs(&self, rest: &str) -> String {
        self.0.in_namespace(BATCH, &format!("jobs{rest}"))
    }

    fn pods(&self, name: &str) -> Result<List<Pod>, SchedulerError> {
        let path = format!("pods?labelSelector=batch.kubernetes.io%2Fjob-name%3D{name}");
        self.0.get(&self.0.in_namespace("/api/v1", &path))
    }
}

impl Queue for Cluster {
    fn cancel(&self, name: &str) -> Result<(), SchedulerError> {
        match self
            .0
            .delete(&self.jobs(&format!("/{name}?propagationPolicy=Foreground")))
        {
            Err(SchedulerError::Refused { code: NOT_FOUND, .. }) => Ok(()),
            deleted => deleted,
        }
    }

    fn find(&self, name: &str) -> Result<Option<String>, SchedulerError> {
        match self.0.get::<JobObject>(&self.jobs(&format!("/{name}"))) {
            Ok(job) => return Ok(Some(job.metadata.uid)),
            Err(SchedulerError::Refused { code: NOT_FOUND, .. }) => {}
            Err(error) => return Err(error),
        }
        // A pod that ends slowly can outlive its job.
        Ok(self.pods(name)?.items.first().map(|_| name.to_owned()))
    }
}

/// What is submitted, in addition to the job.
pub struct Submission {
    pub options: KubernetesOptions,
    /// The text of the template; `None` means the template of nmoe-gates.
    pub template: Option<String>,
    /// The variables of the gate.
    pub variables: Vec<(String, String)>,
    /// The longest time in the queue, in seconds.
    pub queue_s: u64,
}

/// The API of a cluster, with the options of the site.
pub struct Kubernetes {
    cluster: Cluster,
    submission: Submission,
    watched: RefCell<Watched>,
    logs: RefCell<Logs>,
}

/// What is known about the job.
#[derive(Default)]
struct Watched {
    /// The version from which the next watch begins; `None` means that the next question is a list.
    version: Option<String>,
    state: Option<State>,
    was_active: bool,
}

impl Watched {
    fn take(&mut self, job: &JobObject, id: &str) {
        // A foreign job with the same name is not this one.
        self.state = Some(match job.metadata.uid == id {
            true => job.state(self.was_active),
            false => State::Unknown,
        });
        self.was_active |= job.is_active();
        if self.version.is_some() {
            self.version = Some(job.metadata.resource_version.clone());
        }
    }
}

impl Kubernetes {
    /// Prepares the submission of one job.
    ///
    /// # Errors
    /// A certificate of the configuration cannot be read.
    pub fn new(config: Config, submission: Submission) -> Result<Self, SchedulerError> {
        Ok(Kubernetes {
            cluster: Cluster::new(config)?,
            submission,
            watched: RefCell::default(),
            logs: RefCell::default(),
        })
    }

    fn api(&self) -> &Api {
        &self.cluster.0
    }

    /// Checks that the server has what a job needs.
    fn discover(&self) -> Result<(), SchedulerError> {
        let unsuitable = |why: &str| Err(SchedulerError::Unsuitable(why.to_owned()));
        let found: Resources = self.api().get(&format!("{BATCH}/"))?;
        let jobs = found.resources.iter().find(|resource| resource.name == "jobs");
        let can = |verb: &&str| jobs.is_some_and(|jobs| jobs.verbs.iter().any(|v| v == verb));
        if !VERBS.iter().all(can) {
            return unsuitable("the cluster has no jobs of batch/v1");
        }
        if self.submission.options.queue.is_none() {
            return Ok(());
        }
        let groups: Groups = self.api().get("/apis/")?;
        match groups.groups.iter().any(|group| group.name == KUEUE) {
            true => Ok(()),
            // Without Kueue, a suspended job would wait for ever.
            false => unsuitable("the executor names a queue, and the cluster has no Kueue"),
        }
    }

    /// Returns the user and the group of the pods, who must be able to read the folder of the job.
    fn user(&self) -> Result<(u32, u32), SchedulerError> {
        let own = (
            rustix::process::getuid().as_raw(),
            rustix::process::getgid().as_raw(),
        );
        let user = self.submission.options.user.map_or(own, |user| (user, user));
        match user.0 {
            0 => Err(SchedulerError::Unsuitable(
                "pods do not run as root; start `run` as another user, or set `user` of the executor"
                    .to_owned(),
            )),
            _ => Ok(user),
        }
    }

    fn create(&self, job: &Job<'_>) -> Result<String, SchedulerError> {
        if !job.folder.path().starts_with(&*self.submission.options.mount) {
            return Err(SchedulerError::Unsuitable(format!(
                "the folder of the results is not below {}",
                self.submission.options.mount
            )));
        }
        if !is_named_image(&self.submission.options.image) {
            return Err(SchedulerError::Unsuitable("the image has no digest".to_owned()));
        }
        let user = self.user()?;
        self.discover()?;
        if self.submission.options.user.is_some() {
            let given = job.folder.give_to(user.0);
            given.map_err(|error| SchedulerError::Unsuitable(error.to_string()))?;
        }
        let waits = if self.submission.options.queue.is_some() {
            START_S
        } else {
            self.submission.queue_s
        };
        let manifest = Manifest {
            options: &self.submission.options,
            template: self.submission.template.as_deref(),
            variables: &self.submission.variables,
            user,
            deadline: job.limit.map(|limit| limit.as_secs() + waits),
        };
        let manifest = manifest.render(job)?;
        let path = self.cluster.jobs("?fieldValidation=Strict");
        let created: JobObject = self.api().create(&path, &manifest)?;
        Ok(created.metadata.uid)
    }

    fn list(&self, name: &str, id: &str) -> Result<State, SchedulerError> {
        let path = self
            .cluster
            .jobs(&format!("?fieldSelector=metadata.name%3D{name}"));
        let found: List<JobObject> = self.api().get(&path)?;
        let mut watched = self.watched.borrow_mut();
        match found.items.first() {
            Some(job) => watched.take(job, id),
            None => watched.state = Some(State::Unknown),
        }
        watched.version = Some(found.metadata.resource_version);
        Ok(watched.state.unwrap_or(State::Unknown))
    }

    /// Asks for the changes since a version, for one second.
    fn changes(&self, name: &str, version: &str) -> Result<Vec<WatchEvent>, SchedulerError> {
        let path = self.cluster.jobs(&format!(
            "?fieldSelector=metadata.name%3D{name}&watch=true&resourceVersion={version}&timeoutSeconds=1&allowWatchBookmarks=true"
        ));
        let text = self.api().bytes(&path)?;
        let lines = text.split(|byte| *byte == b'\n');
        Ok(lines
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect())
    }
}

impl Scheduler for Kubernetes {
    fn submit(&self, job: &Job<'_>, _: &mut dyn FnMut() -> bool) -> Result<String, SchedulerError> {
        let created = self.create(job);
        if let Err(SchedulerError::Refused { message, .. }) = &created {
            // The message names the site, so it is not printed. No code of the change runs in this job yet.
            let text = format!("kubernetes: {message}\n");
            let _ = files::replace(&job.folder.file("job.log"), text.as_bytes(), false);
        }
        created
    }

    fn watch(&self, job: &Job<'_>, id: &str) -> Result<State, SchedulerError> {
        let version = self.watched.borrow().version.clone();
        let Some(version) = version else {
            return self.list(job.name, id);
        };
        let events = match self.changes(job.name, &version) {
            Err(SchedulerError::Refused { code: GONE, .. }) => return self.list(job.name, id),
            events => events?,
        };
        let mut watched = self.watched.borrow_mut();
        for event in events {
            let is_error = event.r#type == "ERROR";
            let object = serde_json::from_value(event.object).unwrap_or_default();
            let object: JobObject = object;
            match event.r#type.as_str() {
                "ADDED" | "MODIFIED" => watched.take(&object, id),
                "DELETED" => watched.state = Some(State::Unknown),
                "BOOKMARK" => watched.version = Some(object.metadata.resource_version),
                _ => {}
            }
            if is_error {
                // Most often, the version is too old. The list says what happened since.
                watched.version = None;
                drop(watched);
                return self.list(job.name, id);
            }
        }
        Ok(watched.state.unwrap_or(State::Unknown))
    }

    fn collect(&self, job: &Job<'_>) -> Vec<u8> {
        // Output is for people only. A gap in it changes no verdict.
        let pods = self.cluster.pods(job.name);
        pods.map(|pods| self.logs.borrow_mut().read(self.api(), &pods))
            .unwrap_or_default()
    }

    fn keeps(&self) -> bool {
        true
    }
}

impl Queue for Kubernetes {
    fn cancel(&self, name: &str) -> Result<(), SchedulerError> {
        self.cluster.cancel(name)
    }

    fn find(&self, name: &str) -> Result<Option<String>, SchedulerError> {
        self.cluster.find(name)
    }
}
