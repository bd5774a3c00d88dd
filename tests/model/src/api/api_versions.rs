//! API_VERSIONS (18).

use ottla_core::wire::{
    ApiKey, Count, ErrorCode, VersionRange, Wire,
    api_versions::{
        Api, ApiVersionsRequest, write_response, write_response_api, write_response_end,
    },
    dialect, frame,
};

use super::{Request, Unanswered, write_frame};
use crate::{Action, Cluster, fault::Met};

/// The version and the correlation id of a frame that asks for API versions. They lie at the same
/// place in every version, known or not.
pub(super) fn asked(frame: &[u8]) -> Option<(i16, i32)> {
    let &[k0, k1, v0, v1, c0, c1, c2, c3] = frame.first_chunk()?;
    let key = ApiKey(i16::from_be_bytes([k0, k1]));
    let asked = (i16::from_be_bytes([v0, v1]), i32::from_be_bytes([c0, c1, c2, c3]));
    (key == ApiKey::API_VERSIONS).then_some(asked)
}

/// Answers a version that is not spoken, in the middle of a SASL exchange: in version 0.
pub(super) fn refuse_between(out: &mut Vec<u8>, correlation_id: i32) {
    let d = dialect(ApiKey::API_VERSIONS, 0);
    write_frame(out, |w| {
        frame::write_response_header(w, ApiKey::API_VERSIONS, 0, correlation_id);
        write_response(w, d, ErrorCode::ILLEGAL_SASL_STATE, 0);
        write_response_end(w, d, 0);
    });
}

/// Answers a version that is not spoken: in version 0, with the range that is (KIP-511).
pub(super) fn refuse(out: &mut Vec<u8>, correlation_id: i32, range: VersionRange) {
    let d = dialect(ApiKey::API_VERSIONS, 0);
    let api = Api { key: ApiKey::API_VERSIONS, min: range.min, max: range.max };
    write_frame(out, |w| {
        frame::write_response_header(w, ApiKey::API_VERSIONS, 0, correlation_id);
        write_response(w, d, ErrorCode::UNSUPPORTED_VERSION, 1);
        write_response_api(w, d, &api);
        write_response_end(w, d, 0);
    });
}

impl Cluster {
    pub(super) fn api_versions(
        &mut self,
        request: &Request<'_>,
        met: &mut Option<Met>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unanswered> {
        let d = request.dialect;
        let Ok((_, asked)) = ApiVersionsRequest::read(request.body, d) else {
            return Err(Unanswered::Malformed);
        };
        *met = match self.meet(request, &[]) {
            Ok(met) => met,
            Err(stop) => {
                *met = Some(stop);
                return Ok(());
            }
        };
        if let Some(met) = met
            && met.action == Action::Reject(ErrorCode::UNSUPPORTED_VERSION)
        {
            let versions = self.nodes.get(&request.node).map(|n| &n.config.versions);
            let range = versions.and_then(|versions| versions.range(ApiKey::API_VERSIONS));
            let range = range.unwrap_or(VersionRange { min: 0, max: 0 });
            refuse(out, request.header.correlation_id, range);
            return Ok(());
        }
        let names = [asked.client_software_name, asked.client_software_version];
        let error = match met.as_ref().map(|met| &met.action) {
            Some(Action::Reject(error)) => *error,
            _ if d.version >= 3 && !names.into_iter().all(is_software_name) => {
                ErrorCode::INVALID_REQUEST
            }
            _ => ErrorCode::NONE,
        };
        let none = crate::Versions::none();
        let versions = match self.nodes.get(&request.node) {
            Some(node) if error.is_none() => &node.config.versions,
            _ => &none,
        };
        let count = Count::try_from(versions.len()).unwrap_or(0);
        request.answer(out, |w| {
            write_response(w, d, error, count);
            for (key, VersionRange { min, max }) in versions.ranges() {
                write_response_api(w, d, &Api { key, min, max });
            }
            write_response_end(w, d, request.throttle_ms());
        });
        Ok(())
    }
}

/// KIP-511: letters and digits, and between them `-` and `.`.
fn is_software_name(name: &str) -> bool {
    let edge = |c: Option<u8>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.');
    edge(name.bytes().next()) && edge(name.bytes().last()) && name.bytes().all(inner)
}
