//! SASL_HANDSHAKE (17) and SASL_AUTHENTICATE (36).

use ottla_core::wire::{
    ErrorCode, Wire, Writer, sasl_authenticate,
    sasl_handshake::{self, SaslHandshakeRequest},
};

use super::{Request, Unanswered};
use crate::{
    Action, Cluster,
    fault::Met,
    sasl::{Answer, Authentication, Mechanism, Said, SaslLie},
};

/// What `KafkaApis` says to who authenticates where there is nothing to authenticate for.
const NOT_NOW: &str = "SaslAuthenticate request received after successful authentication";

impl Cluster {
    pub(super) fn sasl_handshake(
        &mut self,
        request: &Request<'_>,
        authentication: &mut Authentication,
        met: &mut Option<Met>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unanswered> {
        let d = request.dialect;
        let Ok((_, asked)) = SaslHandshakeRequest::read(request.body, d) else {
            return Err(Unanswered::Malformed);
        };
        *met = match self.meet(request, &[]) {
            Ok(met) => met,
            Err(stop) => {
                *met = Some(stop);
                return Ok(());
            }
        };
        if let Some(SaslLie::Mechanisms(error, many)) = authentication.handshake_lie() {
            authentication.ending = Some(core::time::Duration::ZERO);
            let names: Vec<String> = (0..many).map(|n| format!("MECHANISM-{n}")).collect();
            let names = || names.iter().map(String::as_str);
            request.answer(out, |w| sasl_handshake::write_response(w, d, error, names()));
            return Ok(());
        }
        let rejected = match met.as_ref().map(|met| &met.action) {
            Some(Action::Reject(error)) => Some(*error),
            _ => None,
        };
        let tally = &mut self.sasl_tally;
        let error = match (&self.accounts, rejected) {
            (_, Some(error)) => Some(error),
            (Some(accounts), None) => {
                authentication.handshake(accounts, asked.mechanism, request.now, tally)
            }
            (None, None) => Some(ErrorCode::ILLEGAL_SASL_STATE),
        };
        let error = error.ok_or(Unanswered::Failed)?;
        let offered = self.accounts.as_ref().filter(|_| error != ErrorCode::ILLEGAL_SASL_STATE);
        let offered = offered.map_or(&[][..], |accounts| &accounts.mechanisms);
        let names = || offered.iter().copied().map(Mechanism::name);
        request.answer(out, |w| sasl_handshake::write_response(w, d, error, names()));
        Ok(())
    }

    pub(super) fn sasl_authenticate(
        &mut self,
        request: &Request<'_>,
        authentication: &mut Authentication,
        met: &mut Option<Met>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unanswered> {
        let message = sasl_authenticate::read_request(request.body, request.dialect)?;
        *met = match self.meet(request, &[]) {
            Ok(met) => met,
            Err(stop) => {
                *met = Some(stop);
                return Ok(());
            }
        };
        let rejected = match met.as_ref().map(|met| &met.action) {
            Some(Action::Reject(error)) => Some(Said { error: *error, ..Said::default() }),
            _ => None,
        };
        let tally = &mut self.sasl_tally;
        let said = match (&mut self.accounts, rejected) {
            (_, Some(said)) => Answer::Said(said),
            (Some(accounts), None) => {
                authentication.authenticate(accounts, message, request.now, tally)
            }
            (None, None) => Answer::NotAwaited,
        };
        let said = match said {
            Answer::Said(said) => said,
            Answer::Hangup => return Err(Unanswered::Failed),
            Answer::NotAwaited => Said {
                error: ErrorCode::ILLEGAL_SASL_STATE,
                words: Some(NOT_NOW.to_owned()),
                ..Said::default()
            },
        };
        request.answer(out, |w| write(w, request, &said));
        Ok(())
    }
}

fn write(w: &mut Writer<'_>, request: &Request<'_>, said: &Said) {
    let Said { error, words, bytes, lifetime_ms } = said;
    // Kafka says nothing by an empty string and not by null.
    let words = Some(words.as_deref().unwrap_or_default());
    sasl_authenticate::write_response(w, request.dialect, *error, words, bytes, *lifetime_ms);
}

/// Whether an answer to ApiVersions, frame and all, tells no error. It stands behind the size and the
/// correlation id in every version.
pub(super) fn tells_no_error(frame: Option<&[u8]>) -> bool {
    frame.and_then(|frame| frame.get(8..10)).is_some_and(|error| error == [0, 0])
}
