//! The wire format in both directions: what a producer, a model broker and a fuzzer call of it.

use ottla_core::{
    Header,
    wire::{
        ApiKey, DecodeError, Dialect, ErrorCode, Step, Uuid, VersionRange, Wire, Writer,
        api_versions::{self, Api, ApiVersionsRequest, ApiVersionsResponse},
        combine, crc32c, dialect,
        frame::{self, RequestHeader, ResponseHead},
        init_producer_id::{InitProducerIdItem, InitProducerIdRequest, InitProducerIdResponse},
        metadata::{self, MetadataRequest, MetadataResponse},
        murmur2, negotiate,
        produce::{self, ProduceRequest, ProduceResponse},
        read_whole, reader,
        record::{self, Attributes, Batch, BatchHeader, RecordHead, RecordView, Records},
        varint,
    },
};

use crate::input::{Input, see};

pub(crate) fn drive(input: &mut Input<'_>) {
    let api = ApiKey(input.i16() & 31);
    let d = dialect(api, input.i16());
    see(&(d.classic(), d.version, d.flexible, api.name(), api.versions(), api.flexible_from()));
    numbers(input);
    primitives(input, d);
    structures(input, d);
    walks(input, d.version);
    records(input);
    let mut room = [0; 300];
    let mut writer = Writer::new(room.get_mut(..usize::from(input.u8())).unwrap_or_default());
    requests(&mut writer, input, api, d);
    responses(&mut writer, input, d);
    see(&(writer.len(), writer.is_empty()));
    see(&writer.finish());
}

#[inline(never)]
fn numbers(input: &mut Input<'_>) {
    let bytes = input.bytes();
    see(&murmur2::partition(bytes, input.u32()));
    see(&combine(crc32c(input.u32(), bytes), input.u32(), input.u64()));
    let ours = VersionRange { min: input.i16(), max: input.i16() };
    see(&negotiate(ours, VersionRange { min: input.i16(), max: input.i16() }));
    let mut room = [0; varint::MAX_LEN_64];
    let room = room.get_mut(..usize::from(input.u8() & 7)).unwrap_or_default();
    see(&(varint::put_u64(room, input.u64()), varint::put_i64(room, input.i64())));
    see(&(varint::put_u32(room, input.u32()), varint::put_i32(room, input.i32())));
    see(&(varint::len_u32(input.u32()), varint::len_i32(input.i32())));
    see(&(varint::len_u64(input.u64()), varint::len_i64(input.i64())));
    see(&(varint::unzigzag_32(input.u32()), varint::unzigzag_64(input.u64())));
}

#[inline(never)]
fn primitives(input: &mut Input<'_>, d: Dialect) {
    let bytes = input.bytes();
    see(&reader::int8(bytes));
    see(&reader::int16(bytes));
    see(&reader::int32(bytes));
    see(&reader::int64(bytes));
    see(&reader::uint32(bytes));
    see(&reader::boolean(bytes));
    see(&reader::uuid(bytes));
    see(&reader::bytes(bytes, input.u64() as usize));
    see(&reader::uvarint(bytes));
    see(&reader::uvarlong(bytes));
    see(&reader::varint(bytes));
    see(&reader::varlong(bytes));
    see(&reader::string_len(bytes, d));
    see(&reader::bytes_len(bytes, d));
    see(&reader::nullable_count(bytes, d));
    see(&reader::count(bytes, d));
    see(&reader::nullable_string(bytes, d));
    see(&reader::string(bytes, d));
    see(&reader::nullable_bytes(bytes, d));
    see(&reader::tagged_fields(bytes, d));
    see(&frame::read_size(bytes));
    see(&ResponseHead::read(bytes).map(|(_, head)| head.remaining()));
    see(&RequestHeader::read(bytes));
}

#[inline(never)]
fn structures(input: &mut Input<'_>, d: Dialect) {
    fn both<'a, T: Wire<'a>>(bytes: &'a [u8], d: Dialect) {
        let read = read_whole::<T>(bytes, d);
        see(&read);
        if let Ok(value) = read {
            see(&Writer::measure(|writer| value.write(writer, d)));
        }
    }
    let bytes = input.bytes();
    both::<Api>(bytes, d);
    both::<ApiVersionsRequest<'_>>(bytes, d);
    both::<InitProducerIdRequest<'_>>(bytes, d);
    both::<InitProducerIdItem>(bytes, d);
    both::<metadata::Broker<'_>>(bytes, d);
    both::<metadata::Topic<'_>>(bytes, d);
    both::<metadata::Partition>(bytes, d);
    both::<metadata::RequestTopic<'_>>(bytes, d);
    both::<metadata::End>(bytes, d);
    both::<produce::Topic<'_>>(bytes, d);
    both::<produce::Partition>(bytes, d);
    both::<produce::CurrentLeader>(bytes, d);
    both::<produce::NodeEndpoint<'_>>(bytes, d);
    both::<i8>(bytes, d);
    both::<i64>(bytes, d);
    both::<bool>(bytes, d);
    both::<Option<u32>>(bytes, d);
    both::<Uuid>(bytes, d);
    both::<ApiKey>(bytes, d);
}

/// Walks over bytes, forward by what each step says.
#[inline(never)]
fn walk<'a, E>(bytes: &'a [u8], mut step: impl FnMut(&'a [u8]) -> Result<Step<E>, DecodeError>) {
    let mut rest = bytes;
    for _ in 0..64 {
        let step = step(rest);
        see(&step);
        let Ok(step) = step.map(|step| step.map(|element| see(&element))) else { return };
        let past = match step {
            Step::Element { used, .. } | Step::Done { used } => used,
            Step::Skip { used, skip } => used.saturating_add(skip),
            Step::Wait => return,
        };
        rest = rest.get(past..).unwrap_or_default();
    }
}

#[inline(never)]
fn walks(input: &mut Input<'_>, version: i16) {
    let bytes = input.bytes();
    let mut response = ApiVersionsResponse::new(version);
    walk(bytes, |rest| response.step(rest));
    let mut response = MetadataResponse::new(version);
    walk(bytes, |rest| response.step(rest));
    let mut response = InitProducerIdResponse::new(version);
    walk(bytes, |rest| response.step(rest));
    let mut response = ProduceResponse::new(version);
    walk(bytes, |rest| response.step(rest));
    let mut request = ProduceRequest::new(version);
    walk(bytes, |rest| request.step(rest));
    let mut request = MetadataRequest::new(version);
    walk(bytes, |rest| request.step(rest));
}

#[inline(never)]
fn records(input: &mut Input<'_>) {
    let mut bytes = [0; 200];
    let records_len = usize::from(input.u8());
    let header = BatchHeader {
        base_offset: input.i64(),
        batch_length: BatchHeader::batch_length_for(records_len).unwrap_or(input.i32()),
        partition_leader_epoch: input.i32(),
        crc: input.u32(),
        attributes: Attributes(input.i16()),
        last_offset_delta: input.i32(),
        base_timestamp: input.i64(),
        max_timestamp: input.i64(),
        producer_id: input.i64(),
        producer_epoch: input.i16(),
        base_sequence: input.i32(),
        records_count: input.i32(),
    };
    see(&header.records_len());
    see(&header.checksum(crc32c, input.u32(), records_len));
    see(&header.to_bytes());
    see(&(header.attributes.compression(), header.attributes.contains(Attributes::CONTROL)));
    let mut writer = Writer::new(&mut bytes);
    header.write(&mut writer);
    let head = RecordHead {
        attributes: input.u8() as i8,
        timestamp_delta: input.i64(),
        offset_delta: input.i32(),
    };
    let headers = [Header { key: input.str(), value: input.maybe_bytes() }];
    let (key, value) = (input.maybe_bytes(), input.maybe_bytes());
    let size = record::headers_size(&headers);
    let (key_len, value_len) = (key.map(<[u8]>::len), value.map(<[u8]>::len));
    see(&record::record_body_size(&head, key_len, value_len, size));
    see(&record::record_size(&head, key_len, value_len, size));
    record::write_record(&mut writer, &head, key, value, &headers);
    see(&writer.finish());
    if let Ok((batch, rest)) = Batch::split(if input.bool() { &bytes } else { input.bytes() }) {
        see(&(batch.is_intact(crc32c), rest));
        batch.iter().for_each(|record| see(&record));
    }
    for record in Records::new(input.bytes()) {
        see(&record);
        let Ok(record) = record else { continue };
        record.headers.for_each(|header| see(&header));
    }
    see(&RecordView::read(input.bytes()));
}

#[inline(never)]
fn requests(w: &mut Writer<'_>, input: &mut Input<'_>, api: ApiKey, d: Dialect) {
    let size = frame::begin(w);
    frame::write_request_header(w, api, d.version, input.i32(), input.maybe_str());
    let id = Uuid(core::array::from_fn(|_| input.u8()));
    produce::write_head(w, d, input.maybe_str(), input.i16(), input.i32(), input.u32());
    produce::write_topic(w, d, input.str(), id, input.u32());
    produce::write_partition(w, d, input.i32(), input.u32());
    produce::write_partition_end(w, d);
    produce::write_topic_end(w, d);
    produce::write_end(w, d);
    metadata::write_request(w, d, Some(input.u32()).filter(|count| count & 1 == 0));
    let topic = metadata::RequestTopic { id, name: input.maybe_str() };
    metadata::write_request_topic(w, d, &topic);
    metadata::write_request_end(w, d, input.bool());
    w.uuid(id);
    w.boolean(input.bool());
    w.int8(input.u8() as i8);
    w.varint(input.i32());
    w.varlong(input.i64());
    w.string(input.str(), d);
    w.nullable_string(input.maybe_str(), d);
    w.bytes_len(Some(input.u64() as usize), d);
    w.count(Some(input.u32()), d);
    w.bytes(input.bytes());
    let gap = w.gap::<2>();
    see(&w.len_since(&gap));
    w.fill(gap, input.i16().to_be_bytes());
    w.tagged_field(input.u32(), |w| w.int32(7));
    frame::end(w, size, input.u64() as usize);
}

#[inline(never)]
fn responses(w: &mut Writer<'_>, input: &mut Input<'_>, d: Dialect) {
    let error = ErrorCode(input.i16());
    frame::write_response_header(w, ApiKey::PRODUCE, d.version, input.i32());
    api_versions::write_response(w, d, error, input.u32());
    let versions = Api { key: ApiKey(input.i16()), min: input.i16(), max: input.i16() };
    see(&versions.versions().contains(input.i16()));
    api_versions::write_response_api(w, d, &versions);
    api_versions::write_response_end(w, d, input.i32());
    metadata::write_response(w, d, input.i32(), input.u32());
    let broker = metadata::Broker { node_id: input.i32(), host: input.str(), port: input.i32() };
    metadata::write_response_broker(w, d, &broker, input.maybe_str());
    metadata::write_response_cluster(w, d, input.maybe_str(), input.i32(), input.u32());
    let topic = metadata::Topic {
        error,
        name: input.maybe_str(),
        id: Uuid::ZERO,
        internal: input.bool(),
        partitions: input.u32(),
    };
    metadata::write_response_topic(w, d, &topic);
    let (index, leader_id, leader_epoch) = (input.i32(), input.i32(), input.i32());
    let partition = metadata::Partition { error, index, leader_id, leader_epoch };
    let nodes = [input.i32(), input.i32()];
    let some = nodes.get(..usize::from(input.u8() & 3)).unwrap_or_default();
    let replicas = metadata::Replicas { all: &nodes, in_sync: some, offline: some };
    metadata::write_response_partition(w, d, &partition, &replicas);
    metadata::write_response_topic_end(w, d);
    metadata::write_response_end(w, d, error);
    produce::write_response(w, d, input.u32());
    let topic = produce::Topic { name: Some(input.str()), id: Uuid::ZERO, partitions: input.u32() };
    produce::write_response_topic(w, d, &topic);
    let partition = produce::Partition {
        index,
        error,
        base_offset: input.i64(),
        log_append_time_ms: input.i64(),
        log_start_offset: input.i64(),
    };
    let errors = [(input.i32(), input.maybe_str())];
    let details = produce::Details {
        record_errors: if input.bool() { &errors } else { &[] },
        error_message: input.maybe_str(),
        current_leader: Some(produce::CurrentLeader { leader_id, leader_epoch }),
    };
    produce::write_response_partition(w, d, &partition, &details);
    produce::write_response_topic_end(w, d);
    let endpoint = produce::NodeEndpoint { node_id: input.i32(), host: input.str(), port: 9092 };
    produce::write_response_end(w, d, input.i32(), &[(endpoint, input.maybe_str())]);
}
