//! Any bytes as record batches: nothing panics, headers and records are written again as they
//! were, and the checksum by parts is that of the whole.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ottla_core::{
    Header,
    wire::{
        Writer, crc32c,
        record::{Batch, BatchHeader, RecordView, headers_size, record_size, write_record},
    },
};

fuzz_target!(|input: &[u8]| {
    let mut rest = input;
    while let Ok((batch, behind)) = Batch::split(rest) {
        let header = batch.header;
        assert_eq!(header.to_bytes(), rest[..BatchHeader::LEN]);
        let records_crc = crc32c(0, batch.records);
        let crc = header.checksum(crc32c, records_crc, batch.records.len());
        assert_eq!(crc == header.crc, batch.is_intact(crc32c));
        for record in batch.iter() {
            let Ok(record) = record else { break };
            let headers: Vec<Header<'_>> = record.headers.collect();
            assert_eq!(headers.len(), record.headers.len());
            let size = record_size(
                &record.head,
                record.key.map(<[u8]>::len),
                record.value.map(<[u8]>::len),
                headers_size(&headers),
            );
            let mut again = vec![0; size];
            let mut w = Writer::new(&mut again);
            write_record(&mut w, &record.head, record.key, record.value, &headers);
            assert_eq!(w.finish(), Ok(size));
            let (left, read) = RecordView::read(&again).expect("reads again");
            assert!(left.is_empty());
            assert_eq!((read.head, read.key, read.value), (record.head, record.key, record.value));
            assert!(read.headers.eq(headers));
        }
        rest = behind;
    }
});
