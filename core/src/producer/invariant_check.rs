//! For tests alone: whether all slots, lists and counts agree with each other.
//!
//! Each rule is one that the rest of the core rests upon and that no type can say. They hold whenever
//! the caller has taken all outputs and looked at all that is to be written.

use super::Producer;
#[cfg(feature = "compression")]
use crate::batch::Form;
use crate::{
    Instant,
    batch::{Batch, Exposure, Life, Told, sequence_after, sequence_reached},
    broker_slot::{Broker, Origin},
    conn::{Conn, Kept, State},
    list::{Chain, List},
    partition_slot::{Listed, Partition, Phase, Question},
    slots::{Ix, Table},
    topic_slot::Knowledge,
    wire::ApiKey,
};

/// A rule that does not hold, and the number of the slot in which it does not.
type Broken = (&'static str, u32);

fn holds(rule: &'static str, number: u32, holds: bool) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err((rule, number)) }
}

/// How many slots a list has, if its links agree.
fn length<T, C: Chain<T>>(
    rule: &'static str,
    table: &Table<'_, T>,
    list: &List<T, C>,
    mut member: impl FnMut(Ix<T>, &T) -> bool,
) -> Result<u32, Broken> {
    let (mut count, mut before, mut next) = (0, Ix::NONE, list.head());
    while let Some(index) = next.some() {
        let slot = table.at(index);
        let link = C::link(slot);
        holds(rule, index.number(), link.is_listed() && link.prev() == before)?;
        holds(rule, index.number(), count < table.len() && member(index, slot))?;
        (count, before, next) = (count + 1, index, link.next());
    }
    holds(rule, before.number(), list.tail() == before)?;
    Ok(count)
}

impl Producer<'_> {
    /// Looks at all slots; the first rule that does not hold, and where.
    ///
    /// # Errors
    ///
    /// That rule, and the number of a slot.
    #[doc(hidden)]
    pub fn internal_check(&self) -> Result<(), (&'static str, u32)> {
        self.check_batches()?;
        self.check_pages()?;
        for index in self.homes() {
            self.check_partition(index)?;
        }
        let led = self.partitions.iter().filter(|(_, slot)| slot.leader.is_some()).count() as u32;
        let all = self.count_homes(|slot| slot.leader.is_some());
        holds("a partition that is free and led", led, led == all)?;
        self.check_lists_of_partitions()?;
        self.check_brokers()?;
        self.check_conns()?;
        let changed = self.topics.iter().filter(|(_, slot)| slot.changed).count() as u32;
        holds("topics with something to tell", changed, self.registry.untold() == changed)?;
        let known = self.topics.iter().filter(|(_, slot)| slot.knowledge != Knowledge::Free);
        let known = known.count() as u32;
        holds("topics that are registered", known, self.registry.count() == known)
    }

    /// The partitions of all topics.
    fn homes(&self) -> impl Iterator<Item = Ix<Partition>> {
        self.topics.iter().flat_map(move |(topic, slot)| {
            (0..slot.partition_count).map(move |number| self.partition_of(topic, number))
        })
    }

    fn count_homes(&self, which: impl Fn(&Partition) -> bool) -> u32 {
        self.homes().filter(|home| which(self.partitions.at(*home))).count() as u32
    }

    fn check_batches(&self) -> Result<(), Broken> {
        let batches = &self.batches;
        let open = |slot: &Batch| !matches!(slot.life, Life::Free | Life::Done);
        let unsettled = batches.iter().filter(|(_, slot)| open(slot)).count() as u32;
        holds("batches that are not settled", unsettled, self.queues.unsettled() == unsettled)?;
        let fresh = |_, slot: &Batch| open(slot) && slot.told == Told::Nothing;
        let old = |_, slot: &Batch| open(slot) && slot.told != Told::Nothing;
        let (untold, resolving) = self.queues.by_age();
        let by_age = length("batches by age", batches, untold, fresh)?
            + length("batches told Unknown", batches, resolving, old)?;
        holds("batches by age", by_age, by_age == unsettled)?;
        let (linger, outputs) = self.queues.others();
        length("batches that linger", batches, linger, |_, slot| slot.life == Life::Open)?;
        #[cfg(feature = "trace")]
        {
            let due: u64 = batches.iter().map(|(_, slot)| u64::from(slot.due)).sum();
            holds("bytes that are due", due as u32, due == self.due_bytes())?;
            for (index, slot) in batches.iter() {
                let waits = open(slot) && slot.life != Life::InFlight && !slot.lingers();
                holds("what waits for its broker is due", index.number(), waits == (slot.due > 0))?;
            }
        }
        length("batches with something to tell", batches, outputs, |_, slot| {
            slot.life == Life::Done || matches!(slot.told, Told::Pending(_))
        })?;
        #[cfg(feature = "compression")]
        length("batches to be lent", batches, self.queues.to_lend(), |_, slot| {
            slot.form == Form::Wanted && open(slot)
        })?;
        let (mut free, mut next) = (0, self.free_batches);
        while let Some(index) = next.some().filter(|_| free <= batches.len()) {
            let slot = batches.at(index);
            holds("free batches", index.number(), slot.life == Life::Free)?;
            (free, next) = (free + 1, slot.next_in_request);
        }
        let all = batches.iter().filter(|(_, slot)| slot.life == Life::Free);
        // One that has had all its lives rests.
        let all = all.filter(|(_, slot)| slot.generation < u32::MAX).count() as u32;
        holds("free batches", free, free == all)?;
        for (index, slot) in batches.iter().filter(|(_, slot)| slot.life != Life::Free) {
            self.check_batch(index, slot)?;
        }
        Ok(())
    }

    fn check_batch(&self, index: Ix<Batch>, slot: &Batch) -> Result<(), Broken> {
        let number = index.number();
        let origin = self.batches.at(slot.origin);
        holds("the id that a part bears", number, origin.life != Life::Free)?;
        if slot.origin == index {
            let told = |(part, slot): &(Ix<Batch>, &Batch)| {
                slot.life == Life::Done && !slot.event.is_listed() && self.queues.shown() != *part
            };
            let parts = self.batches.iter().filter(|(part, slot)| {
                slot.life != Life::Free && slot.origin == index && !told(&(*part, *slot))
            });
            holds("parts of a batch", number, parts.count() as u32 == slot.parts)?;
        } else {
            let known =
                slot.life != Life::Done || slot.event.is_listed() || self.queues.shown() == index;
            holds("a part that is told of", number, known)?;
        }
        holds("what was taken out", number, slot.withdrawn <= slot.records)?;
        #[cfg(feature = "compression")]
        self.check_form(index, slot)?;
        let unbound = matches!(slot.life, Life::Open | Life::Sealed);
        holds("a bound batch with what was taken out", number, unbound || slot.withdrawn == 0)?;
        holds("an open batch that was sent", number, slot.life != Life::Open || slot.attempts == 0)
    }

    #[cfg(feature = "compression")]
    fn check_form(&self, index: Ix<Batch>, slot: &Batch) -> Result<(), Broken> {
        let (number, form) = (index.number(), slot.form);
        let listed = slot.linger.is_listed();
        holds("a batch that is to be lent", number, listed || form != Form::Wanted)?;
        let plain = self.settings.compression.is_none();
        let settled = matches!(slot.life, Life::Free | Life::Done);
        holds("a batch that stays plain", number, !(plain || settled) || form == Form::Plain)?;
        let closed = slot.life != Life::Open;
        let lent = matches!(form, Form::Lent) || slot.is_compressed();
        holds("an open batch that was lent", number, closed || !lent)?;
        // What counts as sent, or may, has its bytes for good.
        let sent = slot.life == Life::InFlight || slot.may_be_in_log();
        holds("a batch that was sent and has no form", number, !sent || slot.has_form())
    }

    fn check_pages(&self) -> Result<(), Broken> {
        let free = self.pages.count_free().ok_or(("free pages", 0))?;
        let mut used = 0;
        for (index, slot) in self.batches.iter() {
            let mut page = slot.first_page;
            let mut chain = 0;
            while page.is_some() && chain <= self.pages.count() {
                (chain, page) = (chain + 1, self.pages.next(page));
            }
            let enough = slot.first_page.is_none() || chain >= self.pages.needed(slot.len);
            holds("pages of a batch", index.number(), enough)?;
            holds(
                "a free batch with pages",
                index.number(),
                chain == 0 || slot.life != Life::Free,
            )?;
            used += chain;
            #[cfg(feature = "compression")]
            {
                let (mut page, mut more) = (slot.packed.first_page, 0);
                while page.is_some() && more <= self.pages.count() {
                    (more, page) = (more + 1, self.pages.next(page));
                }
                let enough = !slot.is_compressed() || more == self.pages.needed(slot.body().len);
                holds("pages from a codec", index.number(), enough)?;
                used += more;
            }
        }
        holds("all pages", used, free + used == self.pages.count())
    }

    fn check_partition(&self, index: Ix<Partition>) -> Result<(), Broken> {
        let (home, number) = (self.partitions.at(index), index.number());
        let (mut queued, mut bound, mut in_flight) = (0_u64, 0_u32, 0_u32);
        let (mut unbound, mut last) = (Ix::NONE, None);
        let mut sequences = true;
        length("a partition's batches", &self.batches, &home.queue, |place, batch| {
            queued += u64::from(batch.len);
            in_flight += u32::from(batch.life == Life::InFlight);
            if batch.is_bound() {
                bound += 1;
                // One between may be in the log, as with a broker that looks at no sequence.
                let follows = |(id, epoch, next): (i64, i16, i32)| {
                    (id, epoch) == (batch.producer_id, batch.producer_epoch)
                        && sequence_reached(next, batch.base_sequence)
                };
                sequences &= last.is_none_or(follows) || home.phase != Phase::Normal;
                let next = sequence_after(batch.base_sequence, batch.records);
                last = Some((batch.producer_id, batch.producer_epoch, next));
            } else if unbound.is_none() {
                unbound = place;
            }
            let open = !matches!(batch.life, Life::Free | Life::Done);
            // Those that are bound come first.
            batch.partition == index && open && (unbound.is_none() || !batch.is_bound())
        })?;
        holds("bytes in a partition's queue", number, u64::from(home.queued) == queued)?;
        holds("batches of a partition that are bound", number, u32::from(home.bound) == bound)?;
        holds("the first batch that is not bound", number, home.unbound == unbound)?;
        holds("batches in flight", number, u32::from(home.in_flight) == in_flight)?;
        let idempotent = !self.identity.is_off();
        // As above: where a broker looks at no sequence, one behind the last may be in the log already.
        let follows = last.is_none_or(|(id, epoch, next)| {
            (id, epoch) == (home.producer_id, home.epoch)
                && sequence_reached(next, home.next_sequence)
        });
        let normal = home.phase == Phase::Normal && idempotent;
        holds("sequences of a partition", number, !idempotent || sequences)?;
        holds("the next sequence", number, !normal || follows)?;
        if in_flight > 0 {
            let conn = self.conns.at(home.conn);
            holds("a batch in flight on a dead connection", number, conn.is_alive())?;
        }
        if home.question == Question::Asked && !self.is_over() {
            let conn = self.conns.at(home.conn);
            let asked = |api| conn.requests.iter().any(|request| request.api == api);
            let asked = asked(ApiKey::DESCRIBE_PRODUCERS);
            holds("a question that nobody answers", number, conn.is_alive() && asked)?;
        }
        self.check_listed(index)
    }

    /// Whoever may send something is where it is looked for.
    fn check_listed(&self, index: Ix<Partition>) -> Result<(), Broken> {
        let (home, number) = (self.partitions.at(index), index.number());
        holds(
            "a partition's list",
            number,
            home.link.is_listed() == (home.listed != Listed::Nowhere),
        )?;
        let waits = matches!(home.listed, Listed::Nowhere | Listed::Backoff);
        let ready = waits || home.leader.is_some();
        holds("a partition that is ready for nobody", number, ready)?;
        if home.listed != Listed::Nowhere || self.is_over() || self.candidate(index).is_none() {
            return Ok(());
        }
        let Some(leader) = home.leader.some() else {
            return holds("a partition without a leader", number, self.asks_metadata());
        };
        let elsewhere = home.in_flight > 0 && home.conn != self.brokers.at(leader).conn;
        holds("a partition that may send and is not listed", number, elsewhere)
    }

    /// Whether metadata is being asked for, or will be.
    fn asks_metadata(&self) -> bool {
        self.metadata.asked || self.metadata.deadline() != Instant::NEVER
    }

    fn check_lists_of_partitions(&self) -> Result<(), Broken> {
        let waits = |_, slot: &Partition| slot.listed == Listed::Backoff;
        let mut listed =
            length("partitions that wait", &self.partitions, self.backoff.waiting(), waits)?;
        for (index, broker) in self.brokers.iter() {
            let ready = |_, slot: &Partition| slot.listed == Listed::Ready && slot.leader == index;
            listed += length("partitions that are ready", &self.partitions, &broker.ready, ready)?;
            let unasked =
                |_, slot: &Partition| slot.listed == Listed::Doubtful && slot.leader == index;
            let doubtful = &broker.doubtful;
            listed += length("partitions to ask about", &self.partitions, doubtful, unasked)?;
        }
        let all = self.count_homes(|slot| slot.listed != Listed::Nowhere);
        holds("partitions in lists", listed, listed == all)?;
        if self.is_over() {
            return Ok(());
        }
        let (mut next, timer) = (self.backoff.waiting().head(), self.backoff.until());
        while let Some(index) = next.some() {
            let slot = self.partitions.at(index);
            holds("the end of a backoff", index.number(), timer <= slot.retry_at.max(self.now))?;
            next = slot.link.next();
        }
        Ok(())
    }

    fn check_brokers(&self) -> Result<(), Broken> {
        let led: u32 = self.brokers.iter().map(|(_, slot)| slot.leads).sum();
        let all = self.count_homes(|home| home.leader.is_some());
        holds("partitions that are led", led, led == all)?;
        for (index, slot) in self.brokers.iter() {
            let number = index.number();
            if slot.origin == Origin::Free {
                holds("a free broker", number, slot.leads == 0 && slot.conn.is_none())?;
                continue;
            }
            let led = self.count_homes(|home| home.leader == index);
            holds("partitions that a broker leads", number, slot.leads == led)?;
            let same =
                |other: &Broker| other.origin == Origin::Cluster && other.node_id == slot.node_id;
            let twins = self.brokers.iter().filter(|(_, other)| same(other)).count();
            let alone = slot.origin != Origin::Cluster || twins == 1;
            holds("a broker that is there twice", number, alone)?;
            if let Some(conn) = slot.conn.some() {
                let conn = self.conns.at(conn);
                holds("a broker's connection", number, conn.is_alive() && conn.broker == index)?;
                holds("a connection to nowhere", number, slot.has_address())?;
            } else if slot.has_work() && !self.is_over() {
                let dialled = if !slot.has_address() {
                    self.asks_metadata()
                } else if slot.dial_at > self.now {
                    self.timers.dial <= slot.dial_at
                } else {
                    self.network.wants_slot()
                };
                holds("a broker with something to send that nobody dials", number, dialled)?;
            }
        }
        Ok(())
    }

    fn check_conns(&self) -> Result<(), Broken> {
        let untold = |slot: &Conn| {
            matches!(slot.state, State::Ended { .. } | State::Dialing { told: false })
        };
        let told = self.conns.iter().filter(|(_, slot)| untold(slot)).count() as u32;
        #[cfg(feature = "oauthbearer")]
        let told = told + u32::from(self.sasl.as_ref().is_some_and(|it| it.tokens.has_output()));
        holds("connections with something to tell", told, self.network.untold() == told)?;
        let open = |_, slot: &Conn| slot.is_open();
        length("connections that may write", &self.conns, self.network.writable(), open)?;
        let mut in_flight = 0;
        for (index, slot) in self.conns.iter() {
            let number = index.number();
            if !slot.is_alive() {
                let quiet = slot.requests.is_empty() && slot.tx.is_nothing();
                holds("requests of a dead connection", number, quiet || slot.is_free())?;
                continue;
            }
            let broker = self.brokers.at(slot.broker);
            holds("a connection without its broker", number, broker.conn == index)?;
            let (deadline, _) = self.connection_deadline(index);
            holds("the time of a connection", number, self.timers.conn <= deadline)?;
            in_flight += self.check_requests(index, slot)?;
            in_flight += u32::from(matches!(slot.place.kept, Kept::Refused { .. }));
            self.check_idle(index, slot, broker)?;
        }
        let all = self.batches.iter().filter(|(_, slot)| slot.life == Life::InFlight).count();
        holds("batches in requests", in_flight, in_flight as usize == all)
    }

    /// Checks a connection's requests; returns how many batches are in them.
    fn check_requests(&self, index: Ix<Conn>, slot: &Conn) -> Result<u32, Broken> {
        let number = index.number();
        let mut count = 0;
        let last = slot.requests.len().saturating_sub(1);
        for (place, request) in slot.requests.iter().enumerate() {
            let writing = place == last && !slot.tx.is_nothing();
            holds("a request that is not written", number, request.complete != writing)?;
            let mut next = request.batches;
            while let Some(batch) = next.some().filter(|_| count <= self.batches.len()) {
                let batch = self.batches.at(batch);
                let home = self.partitions.at(batch.partition);
                let here = batch.life == Life::InFlight
                    && home.conn == index
                    && batch.correlation_id == request.correlation_id;
                holds("a batch in a request", number, here)?;
                let kept = batch.exposure <= Exposure::Ambiguous && batch.first_page.is_some();
                holds("a batch in a request without its records", number, kept)?;
                (count, next) = (count + 1, batch.next_in_request);
            }
        }
        let written = slot.tx.is_nothing() || slot.tx.sent < slot.tx.total;
        holds("a request that is written", number, written)?;
        holds("bytes of no request", number, slot.tx.is_nothing() || !slot.requests.is_empty())?;
        Ok(count)
    }

    /// A connection that could take something that is ready is looked at.
    fn check_idle(&self, index: Ix<Conn>, slot: &Conn, broker: &Broker) -> Result<(), Broken> {
        let produces = slot.requests.iter().filter(|request| request.api == ApiKey::PRODUCE);
        let room = produces.count() < usize::from(self.settings.max_in_flight)
            && !slot.requests.is_full()
            && !slot.draining
            && slot.tx.is_nothing();
        if !slot.is_ready() || !room || slot.write.is_listed() || self.is_over() {
            return Ok(());
        }
        if slot.throttled_until > self.now {
            let timed = self.timers.conn <= slot.throttled_until;
            return holds("a throttle that nobody ends", index.number(), timed);
        }
        // What no longer may go is taken off the list when the connection is looked at.
        let mut next = broker.ready.head();
        while let Some(home) = next.some() {
            let idle = self.candidate(home).is_none();
            #[cfg(feature = "_sasl")]
            let idle = idle || self.rests(slot);
            holds("something to send that nobody looks at", index.number(), idle)?;
            next = self.partitions.at(home).link.next();
        }
        Ok(())
    }
}
