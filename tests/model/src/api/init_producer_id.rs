//! INIT_PRODUCER_ID (22).

use ottla_core::wire::{
    ErrorCode, Wire,
    init_producer_id::{InitProducerIdItem, InitProducerIdRequest},
};

use super::{Request, Unanswered};
use crate::{Action, Cluster, fault::Met};

impl Cluster {
    /// A producer that is idempotent and no more always gets a new id: Kafka heeds the id and
    /// epoch that it may go on from only with a transactional id.
    pub(super) fn init_producer_id(
        &mut self,
        request: &Request<'_>,
        met: &mut Option<Met>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unanswered> {
        let d = request.dialect;
        let Ok((_, asked)) = InitProducerIdRequest::read(request.body, d) else {
            return Err(Unanswered::Malformed);
        };
        *met = match self.meet(request, &[]) {
            Ok(met) => met,
            Err(stop) => {
                *met = Some(stop);
                return Ok(());
            }
        };
        let half_given = (asked.producer_id == -1) != (asked.producer_epoch == -1);
        let error = match met.as_ref().map(|met| &met.action) {
            Some(Action::Reject(error)) => *error,
            _ if asked.transactional_id.is_some() => {
                ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
            }
            _ if half_given => ErrorCode::INVALID_REQUEST,
            _ => ErrorCode::NONE,
        };
        let (producer_id, producer_epoch) =
            if error.is_none() { (self.new_producer_id(), 0) } else { (-1, -1) };
        let item = InitProducerIdItem {
            throttle_ms: request.throttle_ms(),
            error,
            producer_id,
            producer_epoch,
        };
        request.answer(out, |w| item.write(w, d));
        Ok(())
    }
}
