//! Whether the GPUs were well while a launch ran: a look before it, one after it, and every Xid in between.
//!
//! Knows the kernel room's readings and the words that results have for what spoils a launch; judges no numbers.

use crate::domain::results::Spoiler;
use crate::gate::launch::Supervisor;
use crate::kernel::health::{self, Kind, Reading, Sentinel, Trouble};

/// Eyes on the GPUs, for as long as launches are compared.
pub struct Watch {
    sentinel: Option<Sentinel>,
    before: Option<Reading>,
    blind: bool,
}

impl Watch {
    /// Opens its eyes, where the launches use GPUs. To be called between launches: what it starts must not count as theirs.
    pub fn over(gpus: u32, supervisor: &mut Supervisor) -> Self {
        let sentinel = (gpus > 0).then(|| Sentinel::start(&health::LIMITS)).flatten();
        supervisor.exclude_current_children();
        Watch {
            blind: gpus > 0 && sentinel.is_none(),
            sentinel,
            before: None,
        }
    }

    /// The look before a launch.
    pub fn before(&mut self) {
        self.before = self.look();
    }

    /// The look after it, when all its processes are gone: what spoiled it, worst first.
    pub fn after(&mut self) -> Vec<(Spoiler, String)> {
        let (Some(before), Some(after)) = (self.before.take(), self.look()) else {
            return Vec::new();
        };
        let mut troubles = after.troubles_since(&before);
        // Whoever was there when it began may have gone before it ended.
        troubles.extend(
            before
                .troubles()
                .into_iter()
                .filter(|trouble| trouble.kind == Kind::Foreign),
        );
        troubles.sort_by_key(|trouble| trouble.kind);
        troubles.iter().map(told).collect()
    }

    /// Whether launches on GPUs went unwatched, since their health could not be read.
    pub fn blind(&self) -> bool {
        self.blind
    }

    fn look(&mut self) -> Option<Reading> {
        let reading = self.sentinel.as_mut()?.read();
        if reading.is_none() {
            self.sentinel = None;
            self.blind = true;
        }
        reading
    }
}

fn told(trouble: &Trouble) -> (Spoiler, String) {
    let spoiler = match trouble.kind {
        Kind::Lost => Spoiler::Lost,
        Kind::Foreign => Spoiler::Foreign,
        Kind::Throttled => Spoiler::Throttled,
        Kind::Memory => Spoiler::Memory,
        Kind::Xid => Spoiler::Xid,
        Kind::Split => Spoiler::Split,
    };
    (spoiler, trouble.to_string())
}
