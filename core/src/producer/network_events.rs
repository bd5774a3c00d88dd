//! What the network did.

use super::Producer;
use crate::{
    ConnId, Disconnect, Instant,
    conn::{Conn, Transmission},
    slots::Ix,
    wire::ApiKey,
};

impl Producer<'_> {
    /// The connection is open.
    pub fn handle_connected(&mut self, now: Instant, conn: ConnId) {
        self.advance(now);
        if let Some(conn) = self.live_connection(conn) {
            self.open_connection(conn);
        }
    }

    /// The connection ended, or could not be opened, for this reason.
    pub fn handle_disconnected(&mut self, now: Instant, conn: ConnId, cause: Disconnect) {
        self.advance(now);
        if let Some(conn) = self.live_connection(conn) {
            self.end_connection(conn, cause, false);
        }
    }

    /// The socket accepted the first `len` bytes of [`pending_write`](Self::pending_write).
    ///
    /// From the first byte of a request on, the sequences of its batches belong to their bytes for
    /// ever; with its last byte, what becomes of them can be known from the broker only.
    pub fn handle_written(&mut self, now: Instant, conn: ConnId, len: usize) {
        self.advance(now);
        let Some(conn) = self.live_connection(conn) else {
            return;
        };
        let slot = self.conns.at_mut(conn);
        if slot.tx.is_nothing() {
            return;
        }
        slot.used = self.now;
        let left = slot.tx.total - slot.tx.sent;
        let accepted = u32::try_from(len).unwrap_or(u32::MAX).min(left);
        slot.tx.sent += accepted;
        let complete = slot.tx.sent == slot.tx.total;
        let broker = self.brokers.at_mut(slot.broker);
        broker.bytes += u64::from(accepted);
        if !complete {
            return;
        }
        broker.requests += 1;
        slot.tx = Transmission::NOTHING;
        let Some(request) = slot.requests.back_mut() else {
            return;
        };
        request.complete = true;
        let api = request.api;
        #[cfg(feature = "_sasl")]
        self.wipe_request(conn, api);
        if api == ApiKey::PRODUCE && !self.expects_answers() {
            self.end_unanswered(conn);
        }
        self.wake_conn(conn);
    }

    /// With `acks=0` a request is over when it is written.
    fn end_unanswered(&mut self, conn: Ix<Conn>) {
        let Some(request) = self.conns.at_mut(conn).requests.pop_back() else {
            return;
        };
        let mut next = request.batches;
        while let Some(index) = next.some() {
            let batch = self.batches.at(index);
            next = batch.next_in_request;
            let home = batch.partition;
            self.land(index);
            self.settle_unanswered(index);
            self.reconsider(home);
        }
        self.watch_idleness(conn);
    }

    /// The slot of an id that is alive.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(super) fn live_connection(&self, conn: ConnId) -> Option<Ix<Conn>> {
        let (index, slot) = self.conns.find(u32::from(conn.index))?;
        (slot.generation == conn.generation && slot.is_alive()).then_some(index)
    }
}
