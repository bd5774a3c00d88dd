//! Batches become LZ4 frames without a heap.

use std::io::Read as _;

use lz4_flex::frame::FrameDecoder;
use ottla_embedded::Lz4;

/// What another implementation makes of a frame.
fn decompressed(frame: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    FrameDecoder::new(frame).read_to_end(&mut plain).unwrap();
    plain
}

/// A frame of these bytes, in pages.
fn frame(plain: &[u8], page: usize, slots: usize) -> Vec<u8> {
    let mut table = vec![7; slots];
    let mut out = vec![0xAA; plain.len() + 64];
    let pages: Vec<&[u8]> = plain.chunks(page).collect();
    let len = Lz4::new(&mut table).compress(&pages, &mut out).unwrap();
    out.truncate(len);
    out
}

/// Readings of a sensor, as they lie in a batch: each with the few bytes that a record begins with.
fn readings(len: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_u32;
    let mut below = move |bound: u32| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state % bound
    };
    let mut plain = Vec::new();
    for n in 0.. {
        let time = 1_764_370_000_000_u64 + n * 1_000 + u64::from(below(20));
        let reading = format!(
            "{{\"device\":\"sensor-17\",\"ts\":{time},\"temperature\":{}.{:02},\"humidity\":{}.{},\"battery\":3.{}}}",
            20 + below(3),
            below(100),
            40 + below(5),
            below(10),
            60 + below(4)
        );
        let record =
            [&[0, n as u8 * 2, n as u8 * 2, 1, reading.len() as u8][..], reading.as_bytes()];
        if plain.len() + record.concat().len() > len {
            break;
        }
        plain.extend(record.concat());
    }
    plain
}

/// What does not repeat.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..len).map(next).collect()
}

#[test]
fn readings_become_two_and_a_half_times_smaller() {
    for (len, least) in [(2_048, 2.5), (4_096, 2.8), (8_192, 3.0)] {
        for page in [256, 512] {
            let plain = readings(len);
            let frame = frame(&plain, page, 1_024);
            assert_eq!(decompressed(&frame), plain);
            let ratio = plain.len() as f64 / frame.len() as f64;
            assert!(ratio > least, "{len} in pages of {page}: {ratio:.2}");
        }
    }
}

#[test]
fn each_length_and_each_size_of_a_page_comes_back_as_it_was() {
    let plain = readings(1_500);
    for len in (0..80).chain(700..720) {
        for page in [1, 2, 3, 5, 13, 64, 256, 2_000] {
            let plain = &plain[..len];
            assert_eq!(decompressed(&frame(plain, page, 512)), plain, "{len} in pages of {page}");
        }
    }
}

#[test]
fn pages_hardly_matter() {
    let plain = readings(6_000);
    let whole = frame(&plain, 6_000, 1_024).len();
    let cut = frame(&plain, 256, 1_024).len();
    assert!(cut < whole + whole / 50, "{cut} in pages, {whole} in one");
}

#[test]
fn what_was_compressed_before_changes_nothing() {
    let mut table = vec![0; 512];
    let mut lz4 = Lz4::new(&mut table);
    let plain = readings(3_000);
    let (mut first, mut second) = (vec![0; 3_000], vec![0; 3_000]);
    let len = lz4.compress(&[&plain], &mut first);
    for other in [&plain[..], &plain[500..], &[0; 3_000]] {
        lz4.compress(&[other], &mut second).unwrap();
        assert_eq!(lz4.compress(&[&plain], &mut second), len);
        assert_eq!(first[..len.unwrap()], second[..len.unwrap()]);
    }
}

#[test]
fn long_matches_long_literals_and_blocks_of_64_kib_come_back_as_they_were() {
    let noise = noise(3_000);
    for zeros in [14, 15, 18, 19, 20, 273, 274, 275, 65_535, 65_536, 65_537, 200_000] {
        for len in [0, 14, 15, 16, 269, 270, 271, 3_000] {
            let plain = [&noise[..len], &vec![0; zeros], &noise[..len]].concat();
            for page in [256, 500, 32_768] {
                let frame = frame(&plain, page, 512);
                assert_eq!(decompressed(&frame), plain, "{zeros} {len} {page}");
            }
        }
    }
}

#[test]
fn a_block_that_becomes_longer_than_blocks_may_be_is_not_written() {
    let noise = noise(65_536);
    for (len, is_written) in [(65_000, true), (65_536, false)] {
        let pages: Vec<&[u8]> = noise[..len].chunks(256).collect();
        let (mut table, mut out) = (vec![0; 512], vec![0; 70_000]);
        let done = Lz4::new(&mut table).compress(&pages, &mut out);
        assert_eq!(done.is_some(), is_written, "{len}: {done:?}");
    }
}

#[test]
fn any_table_does() {
    let plain = readings(2_000);
    for slots in [0, 1, 2, 3, 600, 65_536, 70_000] {
        let mut table = vec![0; slots];
        let mut out = vec![0; 4_000];
        let done = Lz4::new(&mut table).compress(&[&plain], &mut out);
        match slots {
            0 => assert_eq!(done, None),
            _ => assert_eq!(decompressed(&out[..done.unwrap()]), plain, "{slots}"),
        }
    }
}

#[test]
fn what_does_not_fit_is_not_written() {
    let plain = readings(2_000);
    let pages: Vec<&[u8]> = plain.chunks(256).collect();
    let len = frame(&plain, 256, 512).len();
    let mut table = vec![0; 512];
    for room in 0..len {
        let mut out = vec![0; room];
        assert_eq!(Lz4::new(&mut table).compress(&pages, &mut out), None, "{room}");
    }
    assert_eq!(Lz4::new(&mut table).compress(&pages, &mut vec![0; len]), Some(len));
}

#[test]
fn pages_that_are_not_equally_long_are_refused() {
    let (mut table, mut out) = (vec![0; 512], vec![0; 200_000]);
    let mut compress = |pages: &[&[u8]]| Lz4::new(&mut table).compress(pages, &mut out).is_some();
    let page = &[1; 100][..];
    assert!(compress(&[]) && compress(&[&[]]) && compress(&[page, page, &page[..1]]));
    assert!(
        compress(&[&[0; 65_536], &[0; 65_536], &[0; 1]]) && compress(&[&[0; 65_537], &[0; 65_537]])
    );
    assert!(!compress(&[&page[..1], page]));
    assert!(!compress(&[page, &page[..99], page]));
    assert!(!compress(&[page, &[], page]));
    assert!(!compress(&[&[], &[0; 1]]));
}
