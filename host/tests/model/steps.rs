//! What may happen: the steps of a history, made by chance from a seed.
//!
//! A new kind of step is a variant of [`Step`] (what people and machines do between passes), of
//! [`Deed`] (what people do to files, also in the middle of a pass) or of [`What`] (what goes wrong
//! in one), with its weight in the functions below and its effect in `world` or `history`. What people
//! ask of a host is an [`Order`], between passes or in the middle of one.

use sitesync::engine::clock::Dice;
use sitesync::settings::{Conflicts, Deletes};
use sitesync_provider::ErrorKind;

/// A place where files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Site {
    Studio,
    Cloud,
    Local,
    /// Where everything of the studio's is to be as well, in some histories.
    Nas,
}

impl Site {
    pub(crate) const ALL: [Site; 4] = [Site::Studio, Site::Cloud, Site::Local, Site::Nas];
    /// Those of every history.
    const FIRST: [Site; 3] = [Site::Studio, Site::Cloud, Site::Local];

    pub(crate) fn name(self) -> &'static str {
        ["studio", "cloud", "local", "nas"][self as usize]
    }
}

/// A machine that runs the engine: its own site, and the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Machine {
    A,
    B,
}

impl Machine {
    pub(crate) const ALL: [Machine; 2] = [Machine::A, Machine::B];

    pub(crate) fn own(self) -> Site {
        [Site::Studio, Site::Local][self as usize]
    }

    /// The sites that nobody else brings files to.
    pub(crate) fn disks(self) -> Vec<Site> {
        match self {
            Machine::A => vec![Site::Studio, Site::Nas],
            Machine::B => vec![Site::Local],
        }
    }

    /// The ends of its first pair.
    fn ends(self) -> [Site; 2] {
        [self.own(), Site::Cloud]
    }
}

pub(crate) const PATHS: [&str; 6] = ["a", "b", "d/a", "d/e/c", "d/e/f", "x/y/z/w"];

/// What a person does to files, past the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// A new file, in place of what may be there.
    Publish {
        site: Site,
        path: &'static str,
        bytes: usize,
    },
    /// The same new content at two sites.
    PublishTwice {
        sites: [Site; 2],
        path: &'static str,
        bytes: usize,
    },
    /// Other content, if there is a file.
    Edit {
        site: Site,
        path: &'static str,
        same_size: bool,
    },
    Delete {
        site: Site,
        path: &'static str,
    },
    /// In place of what may be there.
    Rename {
        site: Site,
        from: &'static str,
        to: &'static str,
    },
}

/// What a person asks of a machine. A file is one path, or all that is published with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// It is wanted at a site, or is not, or as the rule says.
    Want {
        path: &'static str,
        all: bool,
        site: Site,
        wanted: Option<bool>,
    },
    /// Work that was given up begins anew.
    Reset {
        path: &'static str,
        all: bool,
    },
    Priority {
        path: &'static str,
        priority: i64,
    },
    Pause(Reach),
    Resume(Reach),
    /// One content of a conflict is kept.
    Resolve {
        path: &'static str,
        keep: Site,
    },
    /// What guards stopped is meant.
    GoOn,
}

/// What a pause reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    Host,
    Project,
    Site(Site),
    /// What is published with a file; at one site, or wherever it goes.
    Published(&'static str, Option<Site>),
}

/// The calls of a provider that troubles choose among.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    OpenRoot,
    Stat,
    List,
    OpenRead,
    Read,
    OpenWrite,
    Write,
    Finish,
    Discard,
    Flush,
    ServerCopy,
    Changes,
    Sweep,
    Delete,
    Rename,
}

impl Call {
    /// Those that any trouble may choose. The others have troubles of their own.
    const ALL: [Call; 13] = [
        Call::OpenRoot,
        Call::Stat,
        Call::List,
        Call::OpenRead,
        Call::Read,
        Call::OpenWrite,
        Call::Write,
        Call::Finish,
        Call::Discard,
        Call::Flush,
        Call::ServerCopy,
        Call::Changes,
        Call::Sweep,
    ];
}

/// Something that goes wrong in a pass, at the `nth` call (from 1) that it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) nth: u32,
    pub(crate) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// One call of this kind fails; `after` it has had its effect, if it says so.
    Fails { site: Site, call: Call, kind: ErrorKind, after: bool },
    /// One call never answers.
    Hangs { site: Site, call: Call, after: bool },
    /// A read ends early, as if the file did.
    Truncates { site: Site },
    /// One `stat` or one entry of a listing tells a wrong size.
    Lies { site: Site, call: Call, larger: bool },
    /// A person replaces a file by other content of the same size while it is read.
    Replaces { site: Site },
    /// A person does something at that very moment.
    Person { site: Site, call: Call, deed: Deed },
    /// A person asks something of the machine that makes the call, at that very moment.
    Asked { machine: Machine, order: Order },
    /// From that call on all calls to the site fail.
    Offline { site: Site, kind: ErrorKind },
    /// From that call on an empty folder is where the root was.
    Unmounted { site: Site },
    /// From that call on nothing fits there.
    Full { site: Site },
    /// The machine dies at that call of its own. A power cut takes the last commits of its catalog
    /// with it (so much of them is left, in percent), and what its own site had not made durable.
    Crash { machine: Machine, power_cut: Option<u8> },
}

/// One step of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Person(Deed),
    /// A person asks something of a machine between two passes.
    Order(Machine, Order),
    /// A pass of one machine, or of both at once.
    Pass {
        machines: Vec<Machine>,
        troubles: Vec<Trouble>,
    },
}

/// What holds for a whole history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ground {
    /// By machine: whether new files travel by themselves to the cloud, and from it.
    pub(crate) upload: [bool; 2],
    pub(crate) download: [bool; 2],
    pub(crate) verify_all: bool,
    pub(crate) server_copy: bool,
    pub(crate) recursive: bool,
    /// The cloud has a change feed that names everything.
    pub(crate) feed: bool,
    /// It names the folders of what changed, as if it had changed with all beneath.
    pub(crate) vague_feed: bool,
    /// By site.
    pub(crate) md5: [bool; 4],
    pub(crate) keeps_mtime: [bool; 4],
    /// A reader sees what is in the file now, not what was when it was opened.
    pub(crate) mixed_reads: [bool; 4],
    /// The root is known by an id of its service's, and has no marker.
    pub(crate) lasting: [bool; 4],
    /// What was written is durable only after a flush. Never the cloud.
    pub(crate) flush: [bool; 4],
    /// By machine: who wins where both ends changed, and whether deletes travel.
    pub(crate) conflicts: [Conflicts; 2],
    pub(crate) deletes: [Deletes; 2],
    /// By machine: its guards stop a pass that would replace or delete more than one file.
    pub(crate) guarded: [bool; 2],
    /// Whether people ask anything of machines.
    pub(crate) asked: bool,
    /// What hosts replace or delete goes to a trash. Always, where they may do so with what people
    /// made.
    pub(crate) keeps: bool,
    /// Everything of machine A's is to be at a third site as well.
    pub(crate) third: bool,
}

impl Ground {
    /// The sites that a machine works with: where its people are, the cloud, and maybe a third.
    pub(crate) fn sites(&self, machine: Machine) -> Vec<Site> {
        let mut sites = machine.ends().to_vec();
        if self.third && machine == Machine::A {
            sites.push(Site::Nas);
        }
        sites
    }

    /// The sites from which a machine brings files to one of its sites.
    pub(crate) fn neighbours(&self, machine: Machine, site: Site) -> impl Iterator<Item = Site> {
        let beside = self.download[machine as usize];
        self.sites(machine).into_iter().filter(move |other| {
            // What is not to come where people work goes from the cloud to the third site.
            let past = [site, *other].contains(&Site::Nas) && [site, *other].contains(&Site::Cloud);
            *other != site && !(past && beside)
        })
    }

    /// Whether everything comes to a site of a machine's by itself.
    pub(crate) fn rule(&self, machine: Machine, site: Site) -> bool {
        match site {
            Site::Nas => true,
            Site::Cloud => self.upload[machine as usize],
            Site::Studio | Site::Local => self.download[machine as usize],
        }
    }

    /// Whether this machine may put what people made into a trash, where it meets other content.
    pub(crate) fn replaces(&self, machine: Machine) -> bool {
        let conflicts = self.conflicts[machine as usize];
        matches!(conflicts, Conflicts::ActiveWins | Conflicts::RemoteWins | Conflicts::Newest)
    }
}

/// A history: what it stands on, and its steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) seed: u64,
    pub(crate) ground: Ground,
    pub(crate) steps: Vec<Step>,
}

impl std::fmt::Display for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{:?}", self.ground)?;
        for (at, step) in self.steps.iter().enumerate() {
            match step {
                Step::Person(deed) => writeln!(f, "{at:3}  {deed:?}")?,
                Step::Order(machine, order) => writeln!(f, "{at:3}  {machine:?}: {order:?}")?,
                Step::Pass { machines, troubles } => {
                    writeln!(f, "{at:3}  pass of {machines:?}")?;
                    for trouble in troubles {
                        writeln!(f, "       call {}: {:?}", trouble.nth, trouble.what)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Chance, by name.
struct Chance(Dice);

impl Chance {
    fn below(&self, n: usize) -> usize {
        (self.0.roll() % n as u64) as usize
    }

    fn one_in(&self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<T: Copy>(&self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// From 1, small ones more often.
    fn nth(&self, most: usize) -> u32 {
        1 + self.below(1 + self.below(most)) as u32
    }
}

impl Script {
    pub(crate) fn new(seed: u64) -> Self {
        let chance = Chance(Dice::seeded(seed));
        let mut ground = ground(&chance);
        // Came later: the same seed still makes the same steps.
        ground.vague_feed = ground.feed && seed.is_multiple_of(3);
        let steps = 8 + chance.below(11);
        let steps = (0..steps).map(|at| step(&chance, at, &ground)).collect();
        let mut script = Script { seed, ground, steps };
        // Came later as well, with a chance of their own.
        script.decide(&Chance(Dice::seeded(seed.rotate_left(32) ^ 0x5eed)));
        script
    }
}

impl Script {
    /// Whether somebody asks for a file at a site, or that it be not there.
    pub(crate) fn wants_anything(&self) -> bool {
        let wants = |order: &Order| matches!(order, Order::Want { .. });
        self.steps.iter().any(|step| match step {
            Step::Person(_) => false,
            Step::Order(_, order) => wants(order),
            Step::Pass { troubles, .. } => troubles.iter().any(|trouble| match &trouble.what {
                What::Asked { order, .. } => wants(order),
                _ => false,
            }),
        })
    }

    /// What people decided: the settings of each machine, and what they ask of it on the way.
    fn decide(&mut self, chance: &Chance) {
        let ground = &mut self.ground;
        let policies =
            [Conflicts::ActiveWins, Conflicts::RemoteWins, Conflicts::Newest, Conflicts::KeepBoth];
        for m in 0..2 {
            if chance.one_in(2) {
                ground.conflicts[m] = chance.of(&policies);
            }
            if chance.one_in(2) {
                ground.deletes[m] = Deletes::Propagate;
            }
            ground.guarded[m] = chance.one_in(4);
        }
        ground.asked = chance.one_in(2);
        ground.third = chance.one_in(3);
        if ground.third {
            let nas = Site::Nas as usize;
            ground.keeps_mtime[nas] = !chance.one_in(5);
            ground.flush[nas] = chance.one_in(2);
        }
        let propagates = ground.deletes.contains(&Deletes::Propagate);
        let replaces = ground.asked || Machine::ALL.iter().any(|m| ground.replaces(*m));
        ground.keeps = propagates || replaces || chance.one_in(2);
        let ground = &*ground;
        let (asked, keeps) = (ground.asked, ground.keeps);
        for step in &mut self.steps {
            let Step::Pass { machines, troubles } = step else { continue };
            // Where a trash turns out to be none, what is replaced by rule is lost by rule.
            for trouble in troubles.iter_mut().filter(|_| keeps) {
                if let What::Fails { kind: kind @ ErrorKind::Unsupported, call, .. } =
                    &mut trouble.what
                    && *call != Call::Flush
                {
                    *kind = ErrorKind::Interrupted;
                }
            }
            // A lie has what is there written once more. With a power cut that nobody remembers, what
            // is torn then looks like news: of two things that no storage does, one is enough.
            if troubles.iter().any(|trouble| matches!(trouble.what, What::Lies { .. })) {
                for trouble in troubles.iter_mut() {
                    if let What::Crash { power_cut, .. } = &mut trouble.what {
                        *power_cut = None;
                    }
                }
            }
            for call in [Call::Delete, Call::Rename] {
                if chance.one_in(16) {
                    let site = chance.of(&ground.sites(chance.of(machines)));
                    let kind = chance.of(ErrorKind::ALL);
                    // What can never be renamed stays a conflict.
                    let never = call == Call::Rename
                        && matches!(kind, ErrorKind::Unsupported | ErrorKind::AlreadyExists);
                    let kind = if never { ErrorKind::Interrupted } else { kind };
                    let lost = matches!(kind, ErrorKind::Interrupted | ErrorKind::Unexpected);
                    let after = lost && chance.one_in(2);
                    let what = What::Fails { site, call, kind, after };
                    troubles.push(Trouble { nth: 1, what });
                }
            }
            if ground.third && machines.contains(&Machine::A) {
                self::nas(chance, troubles);
            }
            if asked && chance.one_in(3) {
                let machine = chance.of(machines);
                let what = What::Asked { machine, order: order(chance, machine, ground) };
                troubles.push(Trouble { nth: chance.nth(60), what });
            }
        }
        if ground.third {
            for _ in 0..chance.below(4) {
                let deed = at_nas(deed(chance, true));
                self.steps.insert(1 + chance.below(self.steps.len()), Step::Person(deed));
            }
        }
        let orders = if asked { 1 + chance.below(8) } else { 0 };
        for _ in 0..orders {
            let at = 1 + chance.below(self.steps.len());
            let machine = chance.of(&Machine::ALL);
            self.steps.insert(at, Step::Order(machine, order(chance, machine, ground)));
        }
    }
}

fn order(chance: &Chance, machine: Machine, ground: &Ground) -> Order {
    let (path, all, site) =
        (chance.of(&PATHS), chance.one_in(2), chance.of(&ground.sites(machine)));
    match chance.below(16) {
        0..5 => {
            let wanted = chance.of(&[Some(true), Some(true), Some(false), Some(false), None]);
            Order::Want { path, all, site, wanted }
        }
        5 => Order::Reset { path, all },
        6 => Order::Priority { path, priority: 1 + chance.below(1000) as i64 },
        7..10 => Order::Pause(reach(chance, path, site)),
        10..12 => Order::Resume(reach(chance, path, site)),
        12..15 => Order::Resolve { path, keep: site },
        _ => Order::GoOn,
    }
}

/// What goes wrong at the third site.
fn nas(chance: &Chance, troubles: &mut Vec<Trouble>) {
    let site = Site::Nas;
    let kind = chance.of(&[ErrorKind::RootUnavailable, ErrorKind::Unexpected, ErrorKind::Timeout]);
    let what = match chance.below(8) {
        0 => What::Offline { site, kind },
        1 => What::Unmounted { site },
        2 => What::Fails { site, call: chance.of(&Call::ALL), kind, after: false },
        3 => {
            let deed = at_nas(deed(chance, false));
            What::Person { site, call: chance.of(&Call::ALL), deed }
        }
        _ => return,
    };
    troubles.push(Trouble { nth: if chance.one_in(2) { 1 } else { chance.nth(30) }, what });
}

/// The same, at the third site.
fn at_nas(deed: Deed) -> Deed {
    let site = Site::Nas;
    match deed {
        Deed::Publish { path, bytes, .. } => Deed::Publish { site, path, bytes },
        Deed::PublishTwice { sites, path, bytes } => {
            Deed::PublishTwice { sites: [sites[0], site], path, bytes }
        }
        Deed::Edit { path, same_size, .. } => Deed::Edit { site, path, same_size },
        Deed::Delete { path, .. } => Deed::Delete { site, path },
        Deed::Rename { from, to, .. } => Deed::Rename { site, from, to },
    }
}

fn reach(chance: &Chance, path: &'static str, site: Site) -> Reach {
    match chance.below(8) {
        0 => Reach::Host,
        1 => Reach::Project,
        2 => Reach::Site(site),
        3 => Reach::Published(path, Some(site)),
        _ => Reach::Published(path, None),
    }
}

/// The fourth site came later, and is of the plainest kind.
fn of_three(mut draw: impl FnMut() -> bool) -> [bool; 4] {
    let three = [0; 3].map(|_| draw());
    [three[0], three[1], three[2], false]
}

fn ground(chance: &Chance) -> Ground {
    let mut flush = of_three(|| !chance.one_in(3));
    flush[Site::Cloud as usize] = false;
    Ground {
        upload: [0; 2].map(|_| !chance.one_in(4)),
        download: [0; 2].map(|_| !chance.one_in(3)),
        verify_all: chance.one_in(4),
        server_copy: chance.one_in(3),
        recursive: chance.one_in(2),
        feed: chance.one_in(3),
        vague_feed: false,
        md5: of_three(|| chance.one_in(3)),
        keeps_mtime: of_three(|| !chance.one_in(5)),
        mixed_reads: of_three(|| chance.one_in(2)),
        lasting: of_three(|| chance.one_in(3)),
        flush,
        conflicts: [Conflicts::Ask; 2],
        deletes: [Deletes::Keep; 2],
        guarded: [false; 2],
        asked: false,
        keeps: false,
        third: false,
    }
}

fn step(chance: &Chance, at: usize, ground: &Ground) -> Step {
    if at == 0 || chance.one_in(2) {
        return Step::Person(deed(chance, at < 4));
    }
    let machines = match chance.below(10) {
        0..4 => vec![Machine::A],
        4..7 => vec![Machine::B],
        _ => Machine::ALL.to_vec(),
    };
    let troubles = [0, 0, 0, 1, 1, 1, 1, 2, 2, 3][chance.below(10)];
    let troubles = (0..troubles).map(|_| trouble(chance, &machines, ground)).collect();
    Step::Pass { machines, troubles }
}

fn deed(chance: &Chance, early: bool) -> Deed {
    let (site, path, bytes) = (chance.of(&Site::FIRST), chance.of(&PATHS), 8 + chance.below(17));
    match chance.below(if early { 5 } else { 12 }) {
        0..4 => Deed::Publish { site, path, bytes },
        4 => Deed::PublishTwice { sites: [site, chance.of(&Site::FIRST)], path, bytes },
        5..8 => Deed::Edit { site, path, same_size: chance.one_in(2) },
        8..10 => Deed::Delete { site, path },
        _ => Deed::Rename { site, from: path, to: chance.of(&PATHS) },
    }
}

fn trouble(chance: &Chance, machines: &[Machine], ground: &Ground) -> Trouble {
    let machine = chance.of(machines);
    let site = chance.of(&machine.ends());
    let after = chance.one_in(2);
    let what = match chance.below(26) {
        0..6 => {
            let call = chance.of(&Call::ALL);
            let kind = chance.of(ErrorKind::ALL);
            let lost = [ErrorKind::Interrupted, ErrorKind::Timeout, ErrorKind::Unexpected];
            // What a feed does not name is never looked at again: there no answer is a lie.
            let lie = kind == ErrorKind::NotFound && site == Site::Cloud && ground.feed;
            let kind = if lie { ErrorKind::Interrupted } else { kind };
            What::Fails { site, call, kind, after: after && lost.contains(&kind) }
        }
        6..9 => What::Fails {
            site,
            call: Call::Finish,
            kind: chance.of(&[ErrorKind::Interrupted, ErrorKind::Unexpected]),
            after,
        },
        9 => What::Hangs { site, call: chance.of(&Call::ALL), after },
        10 => What::Truncates { site },
        11 => {
            let call = chance.of(&[Call::Stat, Call::List]);
            What::Lies { site, call, larger: chance.one_in(2) }
        }
        12..16 => What::Person { site, call: chance.of(&Call::ALL), deed: deed(chance, false) },
        16 => {
            let kinds = [
                ErrorKind::RootUnavailable,
                ErrorKind::Unauthenticated,
                ErrorKind::PermissionDenied,
                ErrorKind::Unexpected,
                ErrorKind::Timeout,
            ];
            What::Offline { site, kind: chance.of(&kinds) }
        }
        17..19 => What::Unmounted { site },
        19 => What::Full { site },
        20..22 => What::Replaces { site },
        _ => What::Crash { machine, power_cut: chance.one_in(2).then(|| chance.below(101) as u8) },
    };
    let nth = match what {
        What::Crash { .. } => chance.nth(120),
        What::Offline { .. } | What::Unmounted { .. } if chance.one_in(3) => 1,
        What::Offline { .. } | What::Unmounted { .. } => chance.nth(60),
        _ => chance.nth(8),
    };
    Trouble { nth, what }
}
