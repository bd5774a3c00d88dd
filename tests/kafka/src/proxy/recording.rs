//! What arrived at the proxy, kept as a witness.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{Direction, faults::Both};

/// What arrived from one end of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// How many connections there were before it on its link.
    pub connection: u64,
    /// All of it.
    pub bytes: Vec<u8>,
    /// Until which byte it had arrived when.
    pub times: Vec<(usize, Instant)>,
}

impl Heard {
    /// When `bytes` had arrived as a whole for the first time, if they did.
    #[must_use]
    pub fn first(&self, bytes: &[u8]) -> Option<Instant> {
        let at = self.bytes.windows(bytes.len().max(1)).position(|window| window == bytes)?;
        let end = at + bytes.len();
        self.times.iter().find(|(until, _)| *until >= end).map(|(_, time)| *time)
    }
}

/// Keeps what arrives at a link, once it is open.
#[derive(Debug, Default)]
pub(crate) struct Tap(Mutex<Option<Both<Vec<Heard>>>>);

impl Tap {
    pub(crate) fn open(&self) {
        *self.lock() = Some(Both::default());
    }

    pub(crate) fn hear(&self, connection: u64, direction: Direction, bytes: &[u8]) {
        let mut tap = self.lock();
        let Some(both) = tap.as_mut().filter(|_| !bytes.is_empty()) else {
            return;
        };
        let all = &mut both[direction];
        let place = all.partition_point(|heard| heard.connection < connection);
        if all.get(place).is_none_or(|heard| heard.connection != connection) {
            all.insert(place, Heard { connection, bytes: Vec::new(), times: Vec::new() });
        }
        let heard = &mut all[place];
        heard.bytes.extend_from_slice(bytes);
        heard.times.push((heard.bytes.len(), Instant::now()));
    }

    pub(crate) fn heard(&self, direction: Direction) -> Vec<Heard> {
        self.lock().as_ref().map_or_else(Vec::new, |both| both[direction].clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Both<Vec<Heard>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
