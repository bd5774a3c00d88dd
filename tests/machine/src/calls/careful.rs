//! What a careful caller does: all that can be done at an instant, then time goes on.

use ottla_core::{Compressed, Instant, TimerKind, Token};
use ottla_model::sasl;
use ottla_scenario::{
    Dice, USER, codec_of,
    trace::{Lane, Tone},
};

use super::machine::Machine;

impl Machine<'_> {
    /// Does all that can be done at this instant. The law: that comes to an end.
    pub(super) fn rest(&mut self) {
        // Each round, each connection writes and reads all it can, so that rounds are round trips.
        let most = 100 + 4 * (self.lent.batches + self.lent.brokers) as usize;
        for round in 0.. {
            assert!(round < most, "the core never comes to rest: {:?}", self.producer);
            let mut moved = self.drain();
            moved |= self.give_token();
            moved |= self.compress();
            for id in self.open_wires() {
                moved |= self.open(id);
            }
            moved |= self.write_all();
            for id in self.open_wires() {
                moved |= self.answer(id);
                while self.read(id, usize::MAX) {
                    moved = true;
                }
            }
            moved |= self.producer.has_output();
            if !moved {
                break;
            }
        }
        self.check_at_rest();
    }

    /// Writes all that there is.
    pub(super) fn write_all(&mut self) -> bool {
        let mut moved = false;
        let mut ids = self.open_wires();
        ids.retain(|id| self.producer.pending_write(*id).next().is_some());
        while let Some(id) = self.producer.poll_writable(self.now) {
            ids.push(id);
            assert!(ids.len() < 10_000, "more connections to write on than there are");
        }
        for id in ids {
            while self.producer.prepare_write(self.now, id) {
                let wrote = self.write(id, usize::MAX, None);
                assert!(wrote.is_some(), "nothing to write: {id:?}");
                moved = true;
            }
        }
        moved
    }

    /// Compresses all that there is.
    pub(super) fn compress(&mut self) -> bool {
        let mut moved = false;
        while let Some(batch) = self.producer.poll_compress(self.now) {
            moved = true;
            let (id, size) = (batch.id(), batch.size());
            let codec = codec_of(batch.compression()).expect("a batch is lent to a codec");
            let bytes: Vec<u8> = batch.flatten().copied().collect();
            assert_eq!(bytes.len(), size, "a batch that is lent is as long as is said");
            assert!(!self.ids.compressions.contains(&id), "lent twice under one id: {id:?}");
            self.ids.compressions.push(id);
            let packed = codec.pack(&bytes);
            self.call(|| format!("handle_compressed({id:?}, {} bytes)", packed.len()));
            self.producer.handle_compressed(self.now, id, Compressed::Bytes(&packed));
        }
        // Those that a careless caller took, and did not answer.
        for id in core::mem::take(&mut self.owed) {
            moved = true;
            self.producer.handle_compressed(self.now, id, Compressed::Failed);
        }
        moved
    }

    /// Gives the producer a token, if it wants one.
    pub(super) fn give_token(&mut self) -> bool {
        if !core::mem::take(&mut self.wants_token) {
            return false;
        }
        let lifetime = core::time::Duration::from_millis(100 + 20 * self.dice.roll(0, 255));
        let text = format!("token.{}", self.now.as_micros());
        let token = sasl::Token {
            text: text.clone(),
            principal: USER.to_owned(),
            until: self.time() + lifetime,
        };
        let _ = self.cluster.add_token(token);
        self.call(|| format!("handle_token(for {lifetime:?})"));
        let token = Token { text: &text, extensions: &[], lifetime };
        let _ = self.producer.handle_token(self.now, &token);
        true
    }

    /// Has time go on from timer to timer, so many times at most, and does all there is to do each time.
    pub(super) fn live(&mut self, timers: u64) {
        let mut overdue = 0;
        for _ in 0..timers {
            self.rest();
            let time = self.time();
            let servers = self.wires.values().filter_map(|wire| wire.server.as_ref());
            let next = servers.filter_map(|server| server.poll_timeout(&self.cluster)).min();
            let next = next.filter(|at| *at > time);
            let next = next.map(|at| Instant::from_micros(at.as_micros() as u64));
            let timer = self.producer.poll_timeout();
            if timer.is_some_and(|(at, _)| at > Self::LAST) {
                return;
            }
            match (timer, next) {
                (None, None) => return,
                (Some((at, kind)), next) if next.is_none_or(|next| at <= next) => {
                    if kind == TimerKind::KeyDerivation {
                        // Iterations of many, each slice of which is due at once.
                    } else if at <= self.now {
                        overdue += 1;
                        assert!(overdue < 20, "the core never comes to rest: {kind:?} at {at:?}");
                    } else {
                        overdue = 0;
                        self.pace.woke(at);
                    }
                    self.pass(at);
                }
                (_, Some(next)) => self.now = self.now.max(next),
                (Some(_), None) => {}
            }
        }
    }

    /// The time is told.
    pub(super) fn pass(&mut self, at: Instant) {
        self.tell(Lane::Client, if at > self.now { Tone::Plain } else { Tone::Faint }, || {
            format!("handle_timeout({at:?})")
        });
        self.now = self.now.max(at);
        self.producer.handle_timeout(at);
        self.drain();
        self.check_prompt();
    }

    /// The time goes no further, and so does not come to where nothing is due any more.
    pub(super) const LAST: Instant = Instant::from_micros(1 << 62);

    /// All is well again, and then the producer is closed: everything is told.
    pub(super) fn end(&mut self) {
        for node in self.cluster.nodes().collect::<Vec<_>>() {
            self.cluster.start(node).expect("a node");
            self.cluster.thaw(node).expect("a node");
            self.cluster.set_throttle(node, core::time::Duration::ZERO).expect("a node");
            self.cluster.make_honest(node).expect("a node");
        }
        self.cluster.clear_faults();
        self.live(30);
        self.call(|| "close".to_owned());
        self.close_by(self.now.after(core::time::Duration::from_millis(50)));
        for _ in 0..40 {
            if self.closed {
                break;
            }
            self.live(1);
        }
        if let Some(deadline) = self.closing {
            self.pass(deadline);
            assert!(self.closed, "not closed by {deadline:?}: {:?}", self.producer);
        }
        for _ in 0..3 {
            self.check();
            self.pass(self.now.after(core::time::Duration::from_secs(60)));
            self.write_all();
        }
        if self.closed {
            let stats = self.producer.stats();
            assert_eq!((stats.pages_used, stats.batches), (0, 0), "something is left: {stats:?}");
            for entry in self.ledger.entries() {
                assert!(entry.last.is_some(), "no last word: {entry:?}");
            }
        }
    }

    pub(super) fn close_by(&mut self, deadline: Instant) {
        let deadline = self.closing.map_or(deadline, |earlier| earlier.min(deadline));
        self.producer.close(self.now, deadline);
        self.closing = Some(deadline.max(self.now));
    }
}
